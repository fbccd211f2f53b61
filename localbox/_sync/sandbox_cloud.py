# generated from localbox/_async/sandbox_cloud.py by scripts/unasync.py; edit that, not this
"""What a sandbox has in E2B's cloud only: each says what is true here, or what to use instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localbox._sync.sandbox_base import SandboxBase
from localbox.engine import creation
from localbox.engine.dual_method import dual_method
from localbox.errors import InvalidArgumentException

if TYPE_CHECKING:
    from localbox._sync.sandbox_birth import Profile
    from localbox.connection_config import ConnectionConfig
    from localbox.models import SandboxNetworkInfo
    from localbox.models_network import SandboxNetworkUpdate

_NO_GATEWAY = (
    "{}: the MCP gateway runs in E2B's cloud; start an MCP server with commands.run, and reach it "
    "at get_host(port) or on its standard input with stdin=True"
)


class CloudMethods(SandboxBase):
    """Addresses, tokens and rules of E2B's servers."""

    mcp_port = 50005
    default_mcp_template = "mcp-gateway"

    @property
    def connection_config(self) -> ConnectionConfig:
        """The connection options it was made with."""
        from localbox.connection_config import ConnectionConfig

        bound: dict[str, Any] = {**self._bound_params}
        bound["request_timeout"] = self._connection.request_timeout
        return ConnectionConfig(**bound)

    @property
    def sandbox_domain(self) -> str:
        """Where it is: "localhost"."""
        return "localhost"

    @property
    def envd_api_url(self) -> str:
        """Empty: its agent listens on no address, but on a socket only this program holds."""
        return ""

    @property
    def envd_direct_url(self) -> str:
        """Empty, as `envd_api_url`."""
        return ""

    @property
    def traffic_access_token(self) -> str | None:
        """None: only this machine can reach its ports, see `get_host`."""
        return None

    def get_mcp_url(self) -> str:
        """Not available.

        Raises:
            InvalidArgumentException: always; it says what to use instead.
        """
        raise InvalidArgumentException(_NO_GATEWAY.format("get_mcp_url"))

    def get_mcp_token(self) -> str | None:
        """Not available.

        Raises:
            InvalidArgumentException: always; it says what to use instead.
        """
        raise InvalidArgumentException(_NO_GATEWAY.format("get_mcp_token"))

    @staticmethod
    def _check_cloud(
        mcp: Any,
        network: Any,
        iam: Any,
        idempotency_key: str | None,
        profile: Profile | None,
        template: str | None,
    ) -> SandboxNetworkInfo | None:
        """Refuse what only E2B's cloud can do; returns the network asked for, if any."""
        from localbox.engine.network_options import check_iam, check_network_options

        creation.check_idempotency_key(idempotency_key)
        if mcp is not None:
            raise InvalidArgumentException(_NO_GATEWAY.format("mcp"))
        check_iam(iam)
        if network is None:
            return None
        policy = creation.resolve_policy(profile, template or creation.DEFAULT_TEMPLATE)
        return check_network_options(policy, network)

    @dual_method("_update_network_by_id")
    def update_network(self, network: SandboxNetworkUpdate, **opts: Any) -> None:
        """Accept a network that is the one it has, and refuse any other.

        Also `Sandbox.update_network(sandbox_id, network)`.

        Raises:
            InvalidArgumentException: its network would have to change.
            SandboxNotFoundException: it has ended.
        """
        from localbox.engine.network_options import check_network_options

        creation.check_options(opts)
        info = check_network_options(self._record.policy, network)
        if network.get("allow_internet_access"):
            creation.check_network(self._record.policy, True)
        answer = self._connection.ask_zygote({"op": "info"})
        if not answer["running"]:
            raise self._not_found(self._record.sandbox_id, answer["reason"])
        self._record.network = info

    @classmethod
    def _update_network_by_id(
        cls, sandbox_id: str, network: SandboxNetworkUpdate, **opts: Any
    ) -> None:
        cls._by_id(sandbox_id).update_network(network, **opts)
