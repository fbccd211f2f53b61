"""`ConnectionConfig`: what a program says about the way to E2B's servers, kept and checked.

There are no servers here. Of all this only the request timeout has an effect; the rest is accepted
so that programs run unchanged, and given back as it was.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, Literal, TypedDict

from localbox._version import __version__
from localbox.errors import InvalidArgumentException
from localbox.models import ApiParams

__all__ = [
    "ConnectionConfig",
    "E2BClientParams",
    "HttpVersion",
    "ProxyTypes",
    "VolumeApiParams",
    "VolumeConnectionConfig",
]

REQUEST_TIMEOUT_S = 60.0
_RETRIES = 3
HttpVersion = Literal["1.1", "2"]
# E2B's names httpx's classes, which localbox does not need.
ProxyTypes = Any


class E2BClientParams(ApiParams, total=False):
    """What an `E2B` client binds to its classes."""


class VolumeApiParams(TypedDict, total=False):
    """Keywords E2B accepts on calls for a volume's files; `request_timeout` has an effect."""

    domain: str | None
    debug: bool | None
    request_timeout: float | None
    headers: dict[str, str] | None
    token: str | None
    api_url: str | None
    proxy: ProxyTypes | None
    http_version: HttpVersion | None
    logger: logging.Logger | None


def merge_params(bound: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What a call is given, over what its class is bound to; None counts as not given."""
    return {**bound, **{name: value for name, value in given.items() if value is not None}}


def check_retries(retries: object) -> int:
    if isinstance(retries, bool) or not isinstance(retries, int) or retries < 0:
        raise InvalidArgumentException(f"retries must be an int from 0 on, not {retries!r}")
    return retries


def check_http_version(http_version: object) -> HttpVersion:
    version = http_version or os.environ.get("E2B_HTTP_VERSION") or "2"
    if version not in {"1.1", "2"}:
        raise InvalidArgumentException(f"http_version must be '1.1' or '2', not {version!r}")
    return version


class _Config:
    def __init__(
        self,
        domain: str | None,
        debug: bool | None,
        request_timeout: float | None,
        http_version: HttpVersion | None,
    ) -> None:
        self.domain = domain or os.environ.get("E2B_DOMAIN") or "localhost"
        if debug is None:
            debug = os.environ.get("E2B_DEBUG", "").lower() == "true"
        self.debug = debug
        self.request_timeout = self._timeout(REQUEST_TIMEOUT_S, request_timeout)
        self.http_version = check_http_version(http_version)

    @staticmethod
    def _timeout(default: float | None, given: float | None) -> float | None:
        if given is None:
            return default
        return given or None

    def get_request_timeout(self, request_timeout: float | None = None) -> float | None:
        """Seconds for a request: those given or else the configured, None for no limit (0)."""
        return self._timeout(self.request_timeout, request_timeout)


class ConnectionConfig(_Config):
    """The connection options of a sandbox or a call.

    Args:
        request_timeout: seconds for a request, 60 if not given, 0 for no limit.
        retries: checked; nothing here has to be tried again.
        http_version: checked; nothing here speaks HTTP.
        domain, debug, api_key, api_url, sandbox_url, headers, proxy, ...: kept as they are.

    Raises:
        InvalidArgumentException: `retries` or `http_version` cannot be.
    """

    envd_port = 49983
    _integration: str | None = None

    def __init__(
        self,
        domain: str | None = None,
        debug: bool | None = None,
        api_key: str | None = None,
        validate_api_key: bool | None = None,
        api_url: str | None = None,
        sandbox_url: str | None = None,
        request_timeout: float | None = None,
        headers: dict[str, str] | None = None,
        api_headers: dict[str, str] | None = None,
        extra_sandbox_headers: dict[str, str] | None = None,
        proxy: ProxyTypes | None = None,
        logger: logging.Logger | None = None,
        *,
        retries: int | None = None,
        http_version: HttpVersion | None = None,
    ) -> None:
        super().__init__(domain, debug, request_timeout, http_version)
        self.api_key = api_key or os.environ.get("E2B_API_KEY")
        self.validate_api_key = validate_api_key
        agent = " ".join(filter(None, [f"localbox/{__version__}", self._integration]))
        self.headers = {"User-Agent": agent, **(headers or {}), **(api_headers or {})}
        self.proxy = proxy
        self.logger = logger
        self.retries = check_retries(_RETRIES if retries is None else retries)
        # Empty: there is no server to be reached.
        self.api_url = api_url or os.environ.get("E2B_API_URL") or ""
        self._sandbox_url = sandbox_url or os.environ.get("E2B_SANDBOX_URL")
        self._sandbox_headers = extra_sandbox_headers or {}

    @classmethod
    def set_integration(cls, integration: str | None) -> None:
        """Add a program's name to the user agent of configurations made from now on."""
        ConnectionConfig._integration = integration

    def get_host(self, sandbox_id: str, sandbox_domain: str, port: int) -> str:
        """Not known without the sandbox: use its own `get_host`.

        Raises:
            InvalidArgumentException: always, unless `debug` says that it is this host.
        """
        if self.debug:
            return f"localhost:{port}"
        raise InvalidArgumentException(
            f"sandbox {sandbox_id} has no host name: a port of it is reached through a forwarder "
            "on this machine; call get_host(port) on the sandbox"
        )

    def get_sandbox_url(self, sandbox_id: str, sandbox_domain: str, port: int | None = None) -> str:
        """The URL given as `sandbox_url`.

        Raises:
            InvalidArgumentException: none was given; see `get_host`.
        """
        if self._sandbox_url:
            return self._sandbox_url
        host = self.get_host(sandbox_id, sandbox_domain, self.envd_port if port is None else port)
        return f"http://{host}"

    def get_sandbox_direct_url(
        self, sandbox_id: str, sandbox_domain: str, port: int | None = None
    ) -> str:
        """As `get_sandbox_url`: nothing lies between."""
        return self.get_sandbox_url(sandbox_id, sandbox_domain, port)

    def get_api_params(self, **opts: Any) -> dict[str, Any]:
        """The options of a call: those given, over these."""
        own = {
            "api_key": self.api_key,
            "validate_api_key": self.validate_api_key,
            "api_url": self.api_url,
            "domain": self.domain,
            "debug": self.debug,
            "proxy": self.proxy,
            "sandbox_url": self._sandbox_url,
            "http_version": self.http_version,
            "logger": self.logger,
            "retries": self.retries,
        }
        headers = {**self.headers, **(opts.get("headers") or {}), **(opts.get("api_headers") or {})}
        given = {name: value for name, value in opts.items() if name in own}
        return {
            **merge_params(own, given),
            "headers": headers,
            "request_timeout": self.get_request_timeout(opts.get("request_timeout")),
        }

    @property
    def sandbox_headers(self) -> dict[str, str]:
        """The headers a request to a sandbox would have."""
        return {"User-Agent": self.headers["User-Agent"], **self._sandbox_headers}


class VolumeConnectionConfig(_Config):
    """The connection options of calls for a volume's files; see `ConnectionConfig`."""

    def __init__(
        self,
        domain: str | None = None,
        debug: bool | None = None,
        token: str | None = None,
        api_url: str | None = None,
        request_timeout: float | None = None,
        headers: dict[str, str] | None = None,
        proxy: ProxyTypes | None = None,
        logger: logging.Logger | None = None,
        *,
        http_version: HttpVersion | None = None,
    ) -> None:
        super().__init__(domain, debug, request_timeout, http_version)
        self.token = self.access_token = token
        self.api_url = api_url or os.environ.get("E2B_VOLUME_API_URL") or ""
        self.headers = {"User-Agent": f"localbox/{__version__}", **(headers or {})}
        self.proxy = proxy
        self.logger = logger

    def get_api_params(self, **opts: Any) -> dict[str, Any]:
        """The options of a call: those given, over these."""
        own = {
            "domain": self.domain,
            "debug": self.debug,
            "token": self.token,
            "api_url": self.api_url,
            "proxy": self.proxy,
            "logger": self.logger,
            "http_version": self.http_version,
        }
        given = {name: value for name, value in opts.items() if name in own}
        return {
            **merge_params(own, given),
            "headers": {**self.headers, **(opts.get("headers") or {})},
            "request_timeout": self.get_request_timeout(opts.get("request_timeout")),
        }
