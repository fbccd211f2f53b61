"""Who is let in: by the key, the token, the address that a request is sent to."""

from __future__ import annotations

import socket

import e2b
import httpx
import pytest

import localbox
from localbox.server.run import Server

START = "/process.Process/List"


def test_another_api_key_is_refused(server: Server):
    with pytest.raises(e2b.AuthenticationException):
        e2b.Sandbox.create(api_key="e2b_" + "0" * 40)
    strange = {b"X-API-KEY": "ключ".encode()}
    assert httpx.get(server.url + "/v2/sandboxes", headers=strange).status_code == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/sandboxes"),
        ("GET", "/v2/sandboxes"),
        ("DELETE", "/sandboxes/x"),
        ("POST", "/sandboxes/x/fork"),
        ("GET", "/snapshots"),
        ("DELETE", "/templates/x"),
        ("POST", "/volumes"),
        ("GET", "/secrets"),
    ],
)
def test_no_key_opens_nothing(server: Server, method: str, path: str):
    answer = httpx.request(method, server.url + path)
    assert answer.status_code == 401
    assert answer.json()["code"] == 401


def test_a_sandbox_opens_to_its_token_only(server: Server, sandbox: e2b.Sandbox):
    token = sandbox._envd_access_token
    with e2b.Sandbox.create(timeout=60) as other:
        foreign = other._envd_access_token
    assert token != foreign

    def status(**headers: str) -> int:
        named = {"E2b-Sandbox-Id": sandbox.sandbox_id, **headers}
        return httpx.post(server.url + START, json={}, headers=named).status_code

    assert status(**{"X-Access-Token": str(token)}) == 200
    assert status(**{"X-Access-Token": str(foreign)}) == 401
    assert status() == 401
    # The key of the control plane is no token.
    assert status(**{"X-API-KEY": server.api_key}) == 401


@pytest.mark.parametrize("host", ["attacker.example", "localhost.attacker.example", "", "[", "a b"])
def test_a_request_to_another_name_is_refused(server: Server, host: str):
    # As after DNS rebinding: the address is ours, the name is the page's.
    answer = httpx.get(
        server.url + "/v2/sandboxes", headers={"X-API-KEY": server.api_key, "Host": host}
    )
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:80", "x.localhost"]
)
def test_a_request_to_this_machine_is_answered(server: Server, host: str):
    answer = httpx.get(
        server.url + "/v2/sandboxes", headers={"X-API-KEY": server.api_key, "Host": host}
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("origin", ["https://attacker.example", "null", "file://"])
def test_a_web_page_is_refused(server: Server, origin: str):
    answer = httpx.get(
        server.url + "/v2/sandboxes", headers={"X-API-KEY": server.api_key, "Origin": origin}
    )
    assert answer.status_code == 403


def test_a_body_has_a_limit(server: Server):
    long = b'{"templateID": "' + b"x" * (17 << 20)
    answer = httpx.post(
        server.url + "/v2/sandboxes", content=long, headers={"X-API-KEY": server.api_key}
    )
    assert answer.status_code == 413


def test_a_body_that_is_no_object_is_refused(server: Server):
    for body in (b"[]", b"{", b"[" * 100_000, b"\xff", b'"x"'):
        answer = httpx.post(
            server.url + "/v2/sandboxes", content=body, headers={"X-API-KEY": server.api_key}
        )
        assert answer.status_code == 400, body[:10]


def test_headers_have_a_limit(server: Server):
    try:
        answer = httpx.get(server.url + "/v2/sandboxes", headers={"X-Long": "x" * (1 << 20)})
    except httpx.TransportError:
        return  # it hung up while we were still sending
    assert answer.status_code in {400, 431}


def test_fields_of_the_wrong_type_are_refused(server: Server):
    for body in (
        {"timeout": "soon"},
        {"timeout": -1},
        {"metadata": ["a"]},
        {"envVars": "A=1"},
        {"network": 3},
        {"volumeMounts": 5},
        {"volumeMounts": [{}]},
        {"templateID": {}},
        {"templateID": "../../etc"},
        {"autoPause": True, "autoResume": 1},
    ):
        answer = httpx.post(
            server.url + "/v2/sandboxes", json=body, headers={"X-API-KEY": server.api_key}
        )
        assert answer.status_code in {400, 404}, (body, answer.text)


def test_it_listens_on_loopback_and_sends_at_once(server: Server):
    listener = server._listener
    assert listener.getsockname()[0] == "127.0.0.1"
    # See localbox/server/run.py: asyncio looks at this.
    assert listener.proto == socket.IPPROTO_TCP


def test_arguments_that_cannot_be_are_refused(server: Server):
    port = server._listener.getsockname()[1]
    with pytest.raises(localbox.InvalidArgumentException, match="cannot listen"):
        localbox.serve(port=port)
    with pytest.raises(localbox.InvalidArgumentException, match="max_sandboxes"):
        localbox.serve(max_sandboxes=0)
    with pytest.raises(localbox.InvalidArgumentException, match="api_key"):
        localbox.serve(api_key="")
    with pytest.raises(localbox.PolicyError):
        localbox.serve(profile="no-such-profile")
