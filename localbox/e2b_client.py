"""`E2B`: the public classes with connection options bound to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from localbox._async.sandbox import AsyncSandbox
from localbox._async.secret import AsyncSecret
from localbox._async.template import AsyncTemplate
from localbox._async.volume import AsyncVolume
from localbox._sync.sandbox import Sandbox
from localbox._sync.secret import Secret
from localbox._sync.template import Template
from localbox._sync.volume import Volume

if TYPE_CHECKING:
    from typing import Unpack

    from localbox.connection_config import E2BClientParams

Class = TypeVar("Class", bound=type)


class E2B:
    """Classes that are as the package's own, with other defaults for the connection options.

    Options of a call come first, then those of the client. On this machine `request_timeout`
    has an effect; the rest is accepted. Sandboxes, volumes, secrets and templates belong to the
    program or the user and not to a client: one client finds what another has made.

    Args:
        opts: E2B's connection options, such as `api_key` and `request_timeout` (seconds).

    Raises:
        TypeError: an unknown option.
        InvalidArgumentException: an option cannot be.
    """

    def __init__(self, **opts: Unpack[E2BClientParams]) -> None:
        from localbox.connection_config import ConnectionConfig
        from localbox.engine.creation import check_options, check_timeout

        # A copy, headers too: what the program later does to its own dictionaries changes nothing.
        params: dict[str, Any] = {
            name: dict(value) if isinstance(value, dict) else value for name, value in opts.items()
        }
        check_options(params)
        check_timeout(params.get("request_timeout"), "request_timeout", zero_is_none=True)
        ConnectionConfig(**params)
        self.Sandbox = _bind(Sandbox, params)
        self.AsyncSandbox = _bind(AsyncSandbox, params)
        self.Volume = _bind(Volume, params)
        self.AsyncVolume = _bind(AsyncVolume, params)
        self.Template = _bind(Template, params)
        self.AsyncTemplate = _bind(AsyncTemplate, params)
        self.Secret = _bind(Secret, params)
        self.AsyncSecret = _bind(AsyncSecret, params)


def _bind(owner: Class, params: dict[str, Any]) -> Class:
    bound: Any = type(owner.__name__, (owner,), {"_bound_params": params})
    return bound  # type: ignore[no-any-return]
