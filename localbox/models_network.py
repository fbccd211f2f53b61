"""The types of `network=`, `iam=` and `mcp=`, E2B's key for key.

What of them means something on this machine is decided in `engine/network_options.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NotRequired, TypedDict

from localbox.models import SandboxNetworkTransform

# What stands for every address in the rules of a network.
ALL_TRAFFIC = "0.0.0.0/0"

__all__ = [
    "ALL_TRAFFIC",
    "GitHubMcpServer",
    "GitHubMcpServerConfig",
    "McpServer",
    "SandboxEgressProxyOpts",
    "SandboxEgressProxyTLSOpts",
    "SandboxIamOpts",
    "SandboxIamToken",
    "SandboxIamTokenType",
    "SandboxNetworkOpts",
    "SandboxNetworkRule",
    "SandboxNetworkRules",
    "SandboxNetworkSelector",
    "SandboxNetworkSelectorContext",
    "SandboxNetworkTransformContext",
    "SandboxNetworkTransformIam",
    "SandboxNetworkTransformResolver",
    "SandboxNetworkUpdate",
]


@dataclass(frozen=True)
class SandboxNetworkTransformIam:
    """Placeholders of identity tokens, by the token's name."""

    tokens: Mapping[str, str]


@dataclass(frozen=True)
class SandboxNetworkTransformContext:
    """What a transform that is a function is called with."""

    iam: SandboxNetworkTransformIam


SandboxNetworkTransformResolver = Callable[
    [SandboxNetworkTransformContext], SandboxNetworkTransform
]


class SandboxNetworkRule(TypedDict):
    """A rule for the requests to one host."""

    transform: NotRequired[SandboxNetworkTransform | SandboxNetworkTransformResolver]


SandboxNetworkRules = dict[str, list[SandboxNetworkRule]]


@dataclass(frozen=True)
class SandboxNetworkSelectorContext:
    """What a selector that is a function is called with."""

    all_traffic: str
    rules: Mapping[str, list[SandboxNetworkRule]]


SandboxNetworkSelector = list[str] | Callable[[SandboxNetworkSelectorContext], list[str]]


class SandboxEgressProxyTLSOpts(TypedDict, total=False):
    """How to speak TLS to an egress proxy."""

    server_name: str
    ca_cert: str


class SandboxEgressProxyOpts(TypedDict):
    """A SOCKS5 proxy for everything that goes out."""

    address: str
    username: NotRequired[str]
    password: NotRequired[str]
    tls: NotRequired[bool | SandboxEgressProxyTLSOpts]


class SandboxNetworkOpts(TypedDict):
    """The network a sandbox shall have, for `create`."""

    allow_out: NotRequired[SandboxNetworkSelector]
    deny_out: NotRequired[SandboxNetworkSelector]
    rules: NotRequired[SandboxNetworkRules]
    egress_proxy: NotRequired[SandboxEgressProxyOpts]
    dns_servers: NotRequired[list[str]]
    allow_public_traffic: NotRequired[bool]
    mask_request_host: NotRequired[str]
    https_ports: NotRequired[list[int]]


class SandboxNetworkUpdate(TypedDict, total=False):
    """The network a sandbox shall have from now on, for `update_network`."""

    allow_out: SandboxNetworkSelector
    deny_out: SandboxNetworkSelector
    rules: SandboxNetworkRules
    egress_proxy: SandboxEgressProxyOpts
    dns_servers: list[str]
    allow_internet_access: bool


SandboxIamTokenType = Literal["JWT-SVID"] | str


class SandboxIamToken(TypedDict):
    """A token of workload identity, as `Secret.iam_token` defines it."""

    audience: str
    token_type: SandboxIamTokenType


class SandboxIamOpts(TypedDict, total=False):
    """The identity a sandbox shall have."""

    tokens: dict[str, SandboxIamToken]


class GitHubMcpServerConfig(TypedDict):
    """How to install and run an MCP server from GitHub."""

    run_cmd: str
    install_cmd: NotRequired[str]
    envs: NotRequired[dict[str, str]]


GitHubMcpServer = dict[str, GitHubMcpServerConfig | Any]
# E2B's names each server of its catalogue; the catalogue is its gateway's, which is not here.
McpServer = dict[str, Any]
