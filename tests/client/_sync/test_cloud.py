# generated from tests/client/_async/test_cloud.py by scripts/unasync.py; edit that, not this
"""What only E2B's cloud has: what is true here, and what an error names instead."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from localbox import (
    ALL_TRAFFIC,
    ConnectionConfig,
    InvalidArgumentException,
    Sandbox,
    SandboxNotFoundException,
)


def test_addresses_and_tokens_of_the_cloud_are_honest(sandbox: Sandbox) -> None:
    assert sandbox.sandbox_domain == "localhost"
    assert sandbox.envd_api_url == sandbox.envd_direct_url == ""
    assert sandbox.traffic_access_token is None
    assert isinstance(sandbox.connection_config, ConnectionConfig)


def test_the_gateway_of_mcp_is_refused_with_an_alternative(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match=r"get_mcp_url.*commands\.run"):
        sandbox.get_mcp_url()
    with pytest.raises(InvalidArgumentException, match=r"get_mcp_token.*commands\.run"):
        sandbox.get_mcp_token()
    with pytest.raises(InvalidArgumentException, match=r"mcp.*commands\.run"):
        Sandbox.create(mcp={"duckduckgo": {}})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"network": {"allow_out": ["192.0.2.1"]}}, r"allow_out.*profile=\"trusted\""),
        ({"network": {"egress_proxy": {"address": "a:1"}}}, "ALL_PROXY"),
        ({"network": {"mask_request_host": "a"}}, r"get_host\(port\)"),
        ({"iam": {"tokens": {"t": {"audience": "a", "token_type": "b"}}}}, "envs="),
        ({"idempotency_key": "Upper"}, "idempotency_key"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "a" * 256}, "idempotency_key"),
        ({"idempotency_key": 7}, "idempotency_key"),
    ],
)
def test_what_cannot_be_had_is_refused_before_anything_is_made(
    arguments: dict[str, Any], match: str
) -> None:
    with pytest.raises(InvalidArgumentException, match=match):
        Sandbox.create(**arguments)
    assert Sandbox.list().next_items() == []


def test_a_network_that_is_what_stands_is_accepted_and_told() -> None:
    with Sandbox.create(
        network={"deny_out": lambda context: [context.all_traffic]}, allow_internet_access=False
    ) as sandbox:
        info = sandbox.get_info()
        assert info.network == {"deny_out": [ALL_TRAFFIC]}
        assert info.allow_internet_access is False


def test_what_makes_no_difference_here_is_accepted() -> None:
    with Sandbox.create(
        secure=True,
        network={},
        iam={"tokens": {}},
        logger=logging.getLogger("program"),
        idempotency_key="a-1" * 85,
        api_key="e2b_key",
        headers={"X-A": "1"},
        retries=0,
        proxy="http://proxy.example",
    ) as sandbox:
        assert sandbox.is_running()


def test_a_network_can_be_updated_to_what_it_is(sandbox: Sandbox) -> None:
    sandbox.update_network({"deny_out": [ALL_TRAFFIC]})
    assert sandbox.get_info().network == {"deny_out": [ALL_TRAFFIC]}
    sandbox.update_network({"allow_internet_access": False})
    with pytest.raises(InvalidArgumentException, match="trusted"):
        sandbox.update_network({"allow_internet_access": True})
    with pytest.raises(InvalidArgumentException, match=r"network\.mode|network: \{mode"):
        sandbox.update_network({"allow_out": ["192.0.2.1"]})
    assert sandbox.get_info().network == {"deny_out": [ALL_TRAFFIC]}


def test_the_network_of_what_has_ended_is_not_updated(sandbox: Sandbox) -> None:
    sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        sandbox.update_network({})


def test_info_has_every_field_of_e2bs(sandbox: Sandbox) -> None:
    info = sandbox.get_info()
    assert info.template_id == info.name == "base"
    assert info.sandbox_domain is None
    assert info.started_at < info.end_at
    assert info.cpu_count > 0
    assert info.memory_mb > 0
    assert info.lifecycle == {"on_timeout": "kill", "auto_resume": False}
    assert info.volume_mounts == []
    assert info.network is None
    assert info.envd_unresponsive_at_pause is None
