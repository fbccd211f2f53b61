"""ConnectionConfig, VolumeConnectionConfig and get_signature, beside E2B's."""

from __future__ import annotations

from typing import Any

import e2b
import pytest
from hypothesis import given
from hypothesis import strategies as st

import localbox
from localbox import ConnectionConfig, InvalidArgumentException, VolumeConnectionConfig

TIMEOUTS = [None, 0, 0.5, 30]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ["API_KEY", "API_URL", "DEBUG", "DOMAIN", "HTTP_VERSION", "SANDBOX_URL"]:
        monkeypatch.delenv(f"E2B_{name}", raising=False)


@pytest.mark.parametrize("given_timeout", TIMEOUTS)
@pytest.mark.parametrize("configured", TIMEOUTS)
@pytest.mark.parametrize("name", ["ConnectionConfig", "VolumeConnectionConfig"])
def test_a_request_timeout_is_read_as_in_e2b(name: str, configured: Any, given_timeout: Any):
    ours, theirs = (
        getattr(package, name)(request_timeout=configured) for package in (localbox, e2b)
    )
    assert ours.request_timeout == theirs.request_timeout
    assert ours.get_request_timeout(given_timeout) == theirs.get_request_timeout(given_timeout)


@pytest.mark.parametrize(
    "options", [{"retries": -1}, {"retries": True}, {"retries": "3"}, {"http_version": "3"}]
)
def test_an_option_e2b_refuses_is_refused(options: dict[str, Any]):
    with pytest.raises(InvalidArgumentException, match=next(iter(options))):
        ConnectionConfig(**options)
    with pytest.raises(e2b.InvalidArgumentException):
        e2b.ConnectionConfig(**options)


def test_options_are_given_back_and_those_of_a_call_come_first():
    options: dict[str, Any] = {
        "api_key": "k",
        "domain": "example.com",
        "debug": False,
        "api_url": "http://api.example",
        "proxy": "http://proxy.example",
        "http_version": "1.1",
        "retries": 1,
        "request_timeout": 5,
        "headers": {"A": "1", "B": "1"},
    }
    call: dict[str, Any] = {"api_key": "other", "retries": None, "headers": {"B": "2"}}
    ours, theirs = (
        package.ConnectionConfig(**options).get_api_params(**call) for package in (localbox, e2b)
    )
    for params in (ours, theirs):
        assert params["headers"].pop("User-Agent")
    assert ours == theirs


def test_volume_options_are_given_back_and_those_of_a_call_come_first():
    options: dict[str, Any] = {"token": "t", "domain": "example.com", "headers": {"A": "1"}}
    call: dict[str, Any] = {"token": "u", "api_url": "http://api.example"}
    ours, theirs = (
        package.VolumeConnectionConfig(**options).get_api_params(**call)
        for package in (localbox, e2b)
    )
    for params in (ours, theirs):
        assert params["headers"].pop("User-Agent")
    assert ours == theirs


def test_the_environment_is_read_as_in_e2b(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("E2B_API_KEY", "key")
    monkeypatch.setenv("E2B_DOMAIN", "example.com")
    monkeypatch.setenv("E2B_DEBUG", "TRUE")
    monkeypatch.setenv("E2B_HTTP_VERSION", "1.1")
    ours, theirs = ConnectionConfig(), e2b.ConnectionConfig()
    for name in ["api_key", "domain", "debug", "http_version", "retries"]:
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.get_host("id", "", 80) == theirs.get_host("id", "", 80) == "localhost:80"
    assert ours.get_sandbox_url("id", "", 80) == theirs.get_sandbox_url("id", "", 80)


def test_a_host_that_is_not_known_is_an_error_that_names_the_way():
    with pytest.raises(InvalidArgumentException, match=r"get_host\(port\) on the sandbox"):
        ConnectionConfig().get_host("id", "domain", 80)
    with pytest.raises(InvalidArgumentException, match=r"get_host\(port\) on the sandbox"):
        ConnectionConfig().get_sandbox_direct_url("id", "domain")
    url = "http://elsewhere.example"
    assert ConnectionConfig(sandbox_url=url).get_sandbox_url("id", "domain") == url


def test_an_integration_is_named_in_the_user_agent():
    ConnectionConfig.set_integration("program/1")
    try:
        assert ConnectionConfig().sandbox_headers["User-Agent"].endswith(" program/1")
        assert ConnectionConfig(headers={"User-Agent": "own"}).headers["User-Agent"] == "own"
    finally:
        ConnectionConfig.set_integration(None)
    assert "program" not in VolumeConnectionConfig().headers["User-Agent"]


@given(st.text(max_size=20), st.sampled_from(["read", "write"]), st.none() | st.text(max_size=5))
def test_a_signature_is_e2bs(path: str, operation: Any, user: str | None):
    arguments = (path, operation, user, "token")
    assert localbox.get_signature(*arguments) == e2b.get_signature(*arguments)


def test_a_signature_expires_as_e2bs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.9)
    ours, theirs = (
        package.get_signature("/a", "read", None, "token", 60) for package in (localbox, e2b)
    )
    assert ours == theirs
    assert ours["expiration"] == 1_700_000_060


@pytest.mark.parametrize("token", [None, ""])
def test_nothing_is_signed_without_a_token(token: str | None):
    with pytest.raises(ValueError, match="token"):
        localbox.get_signature("/a", "read", None, token)
    with pytest.raises(ValueError, match="token"):
        e2b.get_signature("/a", "read", None, token)
