# generated from tests/client/_async/test_get_host.py by scripts/unasync.py; edit that, not this
"""`get_host`: servers inside a sandbox, reached from outside."""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from localbox import InvalidArgumentException, Sandbox, SandboxNotRunningException
from tests.client._sync.doing import until

MIB = 1 << 20
# Answers each connection in a thread of its own, in a way that `answer` says.
SERVER = """
import socket, socketserver, sys

class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        {answer}

class Server(socketserver.ThreadingTCPServer):
    address_family = socket.{family}
    allow_reuse_address = True
    request_queue_size = 128

Server(({host!r}, {port}), Handler).serve_forever()
"""
ECHO = "while data := self.request.recv(65536): self.request.sendall(data)"


def serve(
    sandbox: Sandbox,
    answer: str,
    port: int = 8000,
    family: str = "AF_INET",
    host: str = "127.0.0.1",
) -> None:
    """Start a server inside; it listens when this returns."""
    sandbox.files.write(
        "server.py", SERVER.format(answer=answer, family=family, host=host, port=port)
    )
    sandbox.commands.run("exec python server.py", background=True, timeout=0)

    def listens() -> bool:
        # The kernel's own table: a connection to find out would be answered.
        tables = "cat /proc/net/tcp /proc/net/tcp6"
        return f":{port:04X} " in sandbox.commands.run(tables).stdout

    until(listens)


def connect(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def is_reset(address: str) -> bool:
    """Whether a connection is broken off, which may be while it is being made."""
    try:
        with connect(address) as client:
            client.recv(1)
    except ConnectionResetError:
        return True
    return False


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=10) as answer:
        content = answer.read()
    assert isinstance(content, bytes)
    return content


def receive_all(client: socket.socket) -> bytes:
    received = bytearray()
    while data := client.recv(65536):
        received += data
    return bytes(received)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


def test_an_http_server_inside_is_reached(sandbox: Sandbox) -> None:
    sandbox.files.write("page.html", "<p>hello")
    sandbox.commands.run(
        "exec python -m http.server 8000 --bind 127.0.0.1", background=True, timeout=0
    )
    address = sandbox.get_host(8000)
    assert address.startswith("127.0.0.1:")

    def page() -> bool:
        try:
            return fetch(f"http://{address}/page.html") == b"<p>hello"
        except OSError:
            return False  # it does not listen yet

    until(page)


def test_bytes_go_both_ways_for_as_long_as_both_like(sandbox: Sandbox) -> None:
    """As after an upgrade to WebSocket: no side waits for the other's end."""
    serve(sandbox, ECHO)
    with connect(sandbox.get_host(8000)) as client:
        for size in (1, 10, 1000, 60000):
            data = os.urandom(size)
            client.sendall(data)
            received = b""
            while len(received) < size:
                received += client.recv(65536)
            assert received == data


def test_the_end_of_one_direction_leaves_the_other_open(sandbox: Sandbox) -> None:
    answer = (
        "total = 0\n"
        "        while data := self.request.recv(65536): total += len(data)\n"
        "        self.request.sendall(b'got %d' % total)"
    )
    serve(sandbox, answer)
    with connect(sandbox.get_host(8000)) as client:
        client.sendall(bytes(100_000))
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b"got 100000"


def test_fifty_megabytes_pass_through_in_flat_memory(sandbox: Sandbox) -> None:
    serve(sandbox, "for _ in range(50): self.request.sendall(bytes(1 << 20))")
    with connect(sandbox.get_host(8000)) as client:
        received = len(client.recv(65536))
        before = resident_bytes()
        while data := client.recv(65536):
            received += len(data)
        assert received == 50 * MIB
        assert resident_bytes() < before + 10 * MIB


def test_a_client_that_does_not_read_costs_nothing_but_its_connection(
    sandbox: Sandbox,
) -> None:
    serve(sandbox, "while True: self.request.sendall(bytes(1 << 20))")
    serve(sandbox, ECHO, port=8001)
    with connect(sandbox.get_host(8000)) as idle, connect(sandbox.get_host(8001)) as client:
        assert idle.recv(1)
        before = resident_bytes()
        for _ in range(100):
            client.sendall(b"x")
            assert client.recv(1) == b"x"
        assert resident_bytes() < before + 10 * MIB


def test_connections_at_the_same_time_are_kept_apart(sandbox: Sandbox) -> None:
    serve(sandbox, ECHO)
    address = sandbox.get_host(8000)
    clients = [connect(address) for _ in range(20)]
    for number, client in enumerate(clients):
        client.sendall(b"%02d" % number * 1000)
        client.shutdown(socket.SHUT_WR)
    for number, client in enumerate(clients):
        with client:
            assert receive_all(client) == b"%02d" % number * 1000


def test_a_server_may_be_started_later(sandbox: Sandbox) -> None:
    address = sandbox.get_host(8000)
    assert is_reset(address)
    serve(sandbox, ECHO)
    with connect(address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_a_server_that_listens_on_ipv6_only_is_reached(sandbox: Sandbox) -> None:
    serve(sandbox, ECHO, family="AF_INET6", host="::1")
    with connect(sandbox.get_host(8000)) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"


def test_each_port_of_each_sandbox_has_one_address(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        serve(sandbox, "self.request.sendall(b'one')")
        serve(other, "self.request.sendall(b'other')")
        addresses = [sandbox.get_host(8000), other.get_host(8000), sandbox.get_host(8001)]
        assert len(set(addresses)) == 3
        assert addresses[0] == sandbox.get_host(8000)
        with connect(addresses[0]) as client:
            assert receive_all(client) == b"one"
        with connect(addresses[1]) as client:
            assert receive_all(client) == b"other"


def test_everything_ends_with_the_sandbox() -> None:
    sandbox = Sandbox.create()
    serve(sandbox, ECHO)
    address = sandbox.get_host(8000)
    with connect(address) as client:
        client.sendall(b"x")
        assert client.recv(1) == b"x"
        sandbox.kill()
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    def refused() -> bool:
        try:
            connect(address).close()
        except ConnectionRefusedError:
            return True
        return False

    until(refused)
    with pytest.raises(SandboxNotRunningException):
        sandbox.get_host(8000)


@pytest.mark.parametrize("port", [0, -1, 65536, "80", 80.0, None, True])
def test_what_is_no_port_is_refused(sandbox: Sandbox, port: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="port"):
        sandbox.get_host(port)


def test_a_profile_without_a_network_says_which_has_one() -> None:
    with Sandbox.create(profile="strict") as sandbox:
        assert sandbox.is_running()
        with pytest.raises(InvalidArgumentException, match="loopback"):
            sandbox.get_host(8000)


def test_with_the_hosts_network_the_port_is_the_hosts() -> None:
    with Sandbox.create(profile="trusted") as sandbox:
        assert sandbox.get_host(8000) == "127.0.0.1:8000"
