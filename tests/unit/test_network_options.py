"""Which `network=` equals what a profile gives, and what is said of every other."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from localbox.engine.network_options import check_iam, check_network_options
from localbox.errors import InvalidArgumentException
from localbox.models_network import ALL_TRAFFIC
from localbox.policy import Policy, load_profile

NONE = load_profile("default")
HOST = dataclasses.replace(
    NONE, network=dataclasses.replace(NONE.network, mode="host"), name="shares-network"
)
TOKEN = {"audience": "a", "token_type": "JWT-SVID"}


@pytest.mark.parametrize(
    ("policy", "network", "told"),
    [
        (NONE, {}, {}),
        (NONE, {"deny_out": [ALL_TRAFFIC]}, {"deny_out": [ALL_TRAFFIC]}),
        (NONE, {"deny_out": ["192.0.2.1", ALL_TRAFFIC]}, {"deny_out": ["192.0.2.1", ALL_TRAFFIC]}),
        (NONE, {"deny_out": lambda context: [context.all_traffic]}, {"deny_out": [ALL_TRAFFIC]}),
        (NONE, {"allow_out": [], "deny_out": [ALL_TRAFFIC]}, None),
        (NONE, {"allow_internet_access": False}, {"deny_out": [ALL_TRAFFIC]}),
        (NONE, {"rules": {"example.com": []}, "allow_out": lambda context: []}, None),
        (NONE, {"rules": {"example.com": [{"transform": {}}]}}, {}),
        (NONE, {"allow_public_traffic": False}, {"allow_public_traffic": False}),
        (NONE, {"dns_servers": ["192.0.2.53"]}, {}),
        (HOST, {}, {}),
        (HOST, {"allow_out": [ALL_TRAFFIC]}, {"allow_out": [ALL_TRAFFIC]}),
        (HOST, {"deny_out": []}, {"deny_out": []}),
        (HOST, {"allow_internet_access": True}, {}),
    ],
)
def test_what_stands_is_accepted(policy: Policy, network: Any, told: Any) -> None:
    info = check_network_options(policy, network)
    assert told is None or info == told


@pytest.mark.parametrize(
    ("policy", "network", "match"),
    [
        (NONE, {"allow_out": ["192.0.2.1"]}, "allow_out"),
        # What is allowed goes before what is denied.
        (NONE, {"allow_out": ["192.0.2.1"], "deny_out": [ALL_TRAFFIC]}, "allow_out"),
        (NONE, {"allow_out": lambda context: [*context.rules], "rules": {"a": []}}, "allow_out"),
        (NONE, {"deny_out": ["192.0.2.1"]}, "deny_out"),
        (HOST, {"deny_out": [ALL_TRAFFIC]}, "shares-network.*network.mode: none"),
        (HOST, {"deny_out": ["192.0.2.1"]}, "filtering"),
        (HOST, {"allow_out": ["192.0.2.1"]}, "filtering"),
        (HOST, {"allow_internet_access": False}, "shares-network"),
        (NONE, {"allow_public_traffic": True}, "get_host"),
        (NONE, {"https_ports": [443]}, "https_ports"),
        (NONE, {"egress_proxy": {"address": "a:1"}}, "ALL_PROXY"),
        (NONE, {"mask_request_host": "a"}, "mask_request_host"),
        (NONE, {"rules": {"a.b": [{"transform": {"headers": {"A": "1"}}}]}}, "'a.b'.*envs="),
        (NONE, {"rules": {"a": [{"transform": lambda c: {"headers": {"A": "1"}}}]}}, "envs="),
        (NONE, {"rules": {"a": [{"transform": lambda c: c.iam.tokens["aws"]}]}}, "'aws'"),
        (NONE, {"deny": [ALL_TRAFFIC]}, "no 'deny'.*deny_out"),
        (NONE, {"deny_out": ALL_TRAFFIC}, "list of str"),
        (NONE, {"deny_out": [1]}, "list of str"),
        (NONE, [ALL_TRAFFIC], "dict"),
    ],
)
def test_what_would_need_filtering_or_a_proxy_is_refused(
    policy: Policy, network: Any, match: str
) -> None:
    with pytest.raises(InvalidArgumentException, match=match):
        check_network_options(policy, network)


def test_the_rules_a_function_sees_cannot_be_changed_by_it() -> None:
    def selector(context: Any) -> list[str]:
        context.rules["other"] = []
        return []

    with pytest.raises(TypeError):
        check_network_options(NONE, {"rules": {}, "allow_out": selector})


@pytest.mark.parametrize("iam", [{"token": {}}, "token", ["tokens"]])
def test_an_identity_that_cannot_be_read_is_refused(iam: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="iam must be"):
        check_iam(iam)


@pytest.mark.parametrize("iam", [None, {}, {"tokens": {}}, {"tokens": None}])
def test_no_identity_is_accepted(iam: Any) -> None:
    check_iam(iam)


@pytest.mark.parametrize(
    ("tokens", "match"),
    [
        ({"aws": TOKEN}, "'aws'.*envs="),
        ({"aws": {"audience": "a"}}, "token_type"),
        ({"aws": {"audience": "a", "tokenType": "b"}}, "token_type"),
        ({"aws": "token"}, r"Secret\.iam_token"),
        ({"a}b": TOKEN}, "cannot be a name"),
        ({"": TOKEN}, "cannot be a name"),
    ],
)
def test_identities_are_checked_as_e2b_does_and_refused(tokens: Any, match: str) -> None:
    with pytest.raises(InvalidArgumentException, match=match):
        check_iam({"tokens": tokens})
