"""The address that E2B's `get_host` gives leads to a server in the sandbox."""

from __future__ import annotations

import e2b
import httpx
import pytest

from localbox.server.run import Server
from tests import leftovers


def get(server: Server, host: str, path: str = "/", **options: object) -> httpx.Response:
    """As a browser does, which takes any name below localhost for this machine."""
    return httpx.get(server.url + path, headers={"Host": host}, **options)  # type: ignore[arg-type]


def test_a_web_page_in_a_sandbox_opens(server: Server, sandbox: e2b.Sandbox):
    sandbox.files.write("page.html", "from inside")
    sandbox.commands.run("python3 -m http.server 8000", background=True)
    host = sandbox.get_host(8000)
    assert host == f"8000-{sandbox.sandbox_id}.localhost:{server.url.rpartition(':')[2]}"

    def page() -> str:
        try:
            return get(server, host, "/page.html?a=b", follow_redirects=True).text
        except httpx.TransportError:
            return ""  # it does not listen yet

    leftovers.wait_until(lambda: page() == "from inside")
    answer = get(server, host, "/a%20b/?c=d%26")
    assert answer.status_code == 307
    assert answer.headers["location"].endswith("/a%20b/?c=d%26")


def test_ports_of_a_sandbox_that_ended_are_missed(server: Server):
    with e2b.Sandbox.create(timeout=60) as ended:
        host = ended.get_host(8000)
    answer = get(server, host)
    assert answer.status_code == 502
    assert "was not found" in answer.json()["message"]


@pytest.mark.parametrize("port", ["0", "65536", "9" * 5000])
def test_a_port_that_cannot_be_is_refused(server: Server, sandbox: e2b.Sandbox, port: str):
    answer = get(server, f"{port}-{sandbox.sandbox_id}.localhost")
    assert answer.status_code in {400, 403}


@pytest.mark.parametrize("path", ["//attacker.example/", "/@attacker.example/", "/%0d%0aX: y"])
def test_no_path_makes_it_lead_elsewhere(server: Server, sandbox: e2b.Sandbox, path: str):
    answer = get(server, sandbox.get_host(8000), path)
    assert answer.status_code == 307
    assert httpx.URL(answer.headers["location"]).host == "127.0.0.1"
    assert "x" not in answer.headers
