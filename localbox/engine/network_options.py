"""`network=`, `iam=` and `allow_internet_access=`: which of it equals what the profile gives.

A sandbox has no network at all, or the host's. What asks for just that is accepted; what would
need filtering or E2B's proxy is refused, so that nobody believes in a rule that does not stand.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from localbox.errors import InvalidArgumentException
from localbox.models_network import (
    ALL_TRAFFIC,
    SandboxNetworkSelectorContext,
    SandboxNetworkTransformContext,
    SandboxNetworkTransformIam,
)

if TYPE_CHECKING:
    from localbox.models import SandboxNetworkInfo
    from localbox.policy import Policy

# A name is found in a placeholder by the braces around it.
_UNUSABLE_IN_PLACEHOLDER = re.compile(r"[{}\x00-\x1f\x7f-\x9f]")
_NETWORK_KEYS = {
    "allow_out",
    "deny_out",
    "rules",
    "egress_proxy",
    "dns_servers",
    "allow_public_traffic",
    "mask_request_host",
    "https_ports",
    "allow_internet_access",
}
_NO_PROXY_HERE = {
    "egress_proxy": "there is no proxy on the way out; run with a profile whose network.mode is "
    "host and set ALL_PROXY with envs=",
    "mask_request_host": "no proxy rewrites requests to a sandbox; have the server inside accept "
    "the host name that get_host(port) gives",
    "https_ports": "no proxy speaks HTTP to a sandbox; get_host(port) forwards bytes, so a server "
    "inside that speaks TLS is reached with https:// as it is",
}


def check_placeholder_name(name: object, what: str) -> str:
    """
    Raises:
        InvalidArgumentException: the name would not be found again in `${e2b...<name>}`.
    """
    if not isinstance(name, str) or not name or _UNUSABLE_IN_PLACEHOLDER.search(name):
        raise InvalidArgumentException(
            f"{what} {name!r} cannot be a name: it must be a str that is not empty, "
            "without braces and control characters"
        )
    return name


def check_iam(iam: Mapping[str, Any] | None) -> None:
    """
    Raises:
        InvalidArgumentException: any token is asked for, or what cannot be read.
    """
    if not isinstance(iam, Mapping | None) or set(iam or ()) - {"tokens"}:
        raise InvalidArgumentException(f"iam must be a dict with tokens and nothing else: {iam!r}")
    tokens = (iam or {}).get("tokens") or {}
    for name, token in tokens.items():
        fields = token if isinstance(token, dict) else {}
        if not all(isinstance(fields.get(key), str) for key in ("audience", "token_type")):
            raise InvalidArgumentException(
                f"iam: token {name!r} needs an audience and a token_type, each a str; "
                "make it with Secret.iam_token(...)"
            )
        check_placeholder_name(name, "iam token")
    if tokens:
        raise InvalidArgumentException(
            f"iam: tokens {', '.join(map(repr, tokens))} cannot be minted here, for only E2B's "
            "cloud can vouch for a sandbox; get a token yourself and pass it with envs="
        )


def check_network_options(policy: Policy, network: Mapping[str, Any]) -> SandboxNetworkInfo:
    """What is asked for, functions called, if it is what the policy gives.

    Raises:
        InvalidArgumentException: it is not, or it cannot be read.
    """
    if not isinstance(network, Mapping):
        raise InvalidArgumentException(f"network must be a dict, not {network!r}")
    for key in network:
        if key not in _NETWORK_KEYS:
            raise InvalidArgumentException(
                f"network: there is no {key!r}; there is {', '.join(sorted(_NETWORK_KEYS))}"
            )
    for key, why in _NO_PROXY_HERE.items():
        if network.get(key):
            raise InvalidArgumentException(f"network: {key} is not available: {why}")
    rules = network.get("rules") or {}
    _check_rules(rules)
    context = SandboxNetworkSelectorContext(ALL_TRAFFIC, MappingProxyType(rules))
    allowed = _selected("allow_out", network.get("allow_out"), context)
    denied = _selected("deny_out", network.get("deny_out"), context)
    if network.get("allow_internet_access") is False:
        denied = denied or [ALL_TRAFFIC]
    if network.get("allow_public_traffic"):
        raise InvalidArgumentException(
            "network: allow_public_traffic: nothing outside this machine can reach a sandbox; "
            "get_host(port) forwards from this machine's loopback"
        )
    _check_stands(policy, allowed, denied)
    info: SandboxNetworkInfo = {}
    if network.get("allow_out") is not None:
        info["allow_out"] = allowed
    if denied or network.get("deny_out") is not None:
        info["deny_out"] = denied
    if network.get("allow_public_traffic") is not None:
        info["allow_public_traffic"] = False
    return info


def _check_stands(policy: Policy, allowed: list[str], denied: list[str]) -> None:
    everything_denied = ALL_TRAFFIC in denied
    if policy.network.mode == "host":
        if denied or (allowed and ALL_TRAFFIC not in allowed):
            raise InvalidArgumentException(
                f"network: profile {policy.name!r} shares the host's network, and filtering what "
                "goes out is not available yet; for no network at all use a profile with "
                "network.mode: none, such as the default one"
            )
    elif allowed:
        # E2B lets what is allowed through what is denied, so this is no denial of everything.
        raise InvalidArgumentException(
            f"network: allow_out {allowed} is not available yet: sandboxes have no network here "
            'unless the profile gives them the host\'s, as profile="trusted" or one with '
            "`network: {mode: host}` does"
        )
    elif denied and not everything_denied:
        raise InvalidArgumentException(
            f"network: deny_out {denied} would leave the rest reachable, and nothing is: "
            f"profile {policy.name!r} gives no network; deny {ALL_TRAFFIC!r}, or leave it out"
        )


def _check_rules(rules: Mapping[str, Any]) -> None:
    # Called all the same: what a program does wrong in its function, it hears of here too.
    context = SandboxNetworkTransformContext(SandboxNetworkTransformIam(_NoTokens()))
    for host, host_rules in rules.items():
        for rule in host_rules:
            transform = rule.get("transform")
            if callable(transform):
                transform = transform(context)
            if transform:
                raise InvalidArgumentException(
                    f"network: rules: headers of requests to {host!r} cannot be changed, for no "
                    "proxy of E2B's is on their way; have the program inside send them, with "
                    "what it needs in envs="
                )


class _NoTokens(dict[str, str]):
    def __missing__(self, name: str) -> str:
        raise InvalidArgumentException(
            f"network: rules: there is no iam token {name!r}, for tokens cannot be minted here; "
            "get a token yourself and pass it with envs="
        )


def _selected(
    what: str,
    selector: Any,
    context: SandboxNetworkSelectorContext,
) -> list[str]:
    addresses: Any = selector(context) if callable(selector) else selector
    if addresses is None:
        return []
    if isinstance(addresses, str) or not all(isinstance(address, str) for address in addresses):
        raise InvalidArgumentException(f"network: {what} must be a list of str, not {addresses!r}")
    return list(addresses)
