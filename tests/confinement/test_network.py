"""network-namespace: nothing leaves, not even to the host's loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from localbox import Sandbox
from tests.confinement.attack import ask, outcome, policy


@pytest.fixture
def listener() -> Iterator[tuple[str, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        socket.create_connection(address).close()
        yield address


def test_guest_cannot_reach_the_hosts_loopback(
    any_sandbox: Sandbox, listener: tuple[str, int]
) -> None:
    expected = "ECONNREFUSED" if any_sandbox.policy.network.mode == "loopback" else "ENETUNREACH"
    assert outcome(any_sandbox, f"socket.create_connection({listener})") == expected


@pytest.mark.parametrize("address", ["1.1.1.1", "169.254.169.254", "10.0.0.1", "192.168.0.1"])
def test_guest_has_no_way_out(any_sandbox: Sandbox, address: str) -> None:
    assert outcome(any_sandbox, f"socket.create_connection(('{address}', 80))") == "ENETUNREACH"
    send = f"socket.socket(2, socket.SOCK_DGRAM).sendto(b'x', ('{address}', 53))"
    assert outcome(any_sandbox, send) == "ENETUNREACH"


def test_guest_has_no_way_out_by_ipv6(any_sandbox: Sandbox) -> None:
    connect = "socket.create_connection(('2606:4700:4700::1111', 80))"
    # EADDRNOTAVAIL where lo is down and the kernel has no address to send from.
    assert outcome(any_sandbox, connect) in {"ENETUNREACH", "EADDRNOTAVAIL"}


def test_guest_has_loopback_and_no_other_interface(any_sandbox: Sandbox) -> None:
    assert ask(any_sandbox, "answer = [name for _, name in socket.if_nameindex()]") == ["lo"]


def test_guest_has_no_route(any_sandbox: Sandbox) -> None:
    assert ask(any_sandbox, "answer = open('/proc/net/route').read().splitlines()[1:]") == []


def test_guest_cannot_resolve_names(any_sandbox: Sandbox) -> None:
    code = """
try:
    socket.getaddrinfo('example.com', 80)
    answer = 'resolved'
except socket.gaierror:
    answer = 'not resolved'
"""
    assert ask(any_sandbox, code) == "not resolved"


def test_guest_cannot_configure_the_network(any_sandbox: Sandbox) -> None:
    code = """
import fcntl
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
answer = [
    outcome(fcntl.ioctl, sock, 0x8914, struct.pack('16sh22x', b'lo', 0)),  # SIOCSIFFLAGS
    outcome(fcntl.ioctl, sock, 0x89a0, b'bridge\\0'),  # SIOCBRADDBR
    outcome(sock.setsockopt, socket.SOL_SOCKET, socket.SO_MARK, 1),
    outcome(sock.setsockopt, socket.SOL_SOCKET, 25, b'lo\\0'),  # SO_BINDTODEVICE, allowed to all
]
"""
    assert ask(any_sandbox, code)[:3] in (
        ["EPERM", "EPERM", "EPERM"],
        ["EPERM", "ENOPKG", "EPERM"],
    )


def test_loopback_works_inside(sandbox: Sandbox) -> None:
    code = """
server = socket.create_server(('127.0.0.1', 0))
client = socket.create_connection(('localhost', server.getsockname()[1]))
client.sendall(b'hello')
answer = server.accept()[0].recv(5).decode()
"""
    assert ask(sandbox, code) == "hello"


def test_strict_has_not_even_loopback() -> None:
    with Sandbox.create(profile="strict") as sandbox:
        code = """
server = socket.create_server(('127.0.0.1', 0))
answer = outcome(socket.create_connection, server.getsockname())
"""
        assert ask(sandbox, code) == "ENETUNREACH"


def test_two_sandboxes_have_two_loopbacks(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run(
        "python3 -c \"import socket; s = socket.create_server(('127.0.0.1', 4000));"
        " print('ready', flush=True); s.accept()\"",
        background=True,
    )
    assert next(iter(handle)) == ("ready\n", None, None)
    connect = "socket.create_connection(('127.0.0.1', 4000))"
    assert outcome(sandbox, connect) == "allowed"
    with Sandbox.create() as other:
        assert outcome(other, connect) == "ECONNREFUSED"


def test_only_a_profile_that_says_so_shares_the_hosts_network(listener: tuple[str, int]) -> None:
    with Sandbox.create(profile=policy(network="host")) as sandbox:
        assert "network-namespace" not in sandbox.isolation
        assert outcome(sandbox, f"socket.create_connection({listener})") == "allowed"
        # Everything else stands.
        assert outcome(sandbox, "open('/etc/shadow')") == "ENOENT"
        assert outcome(sandbox, "socket.socket(40, 1)") == "EAFNOSUPPORT"
    # And the next sandbox does not inherit it.
    with Sandbox.create() as sandbox:
        assert outcome(sandbox, f"socket.create_connection({listener})") == "ECONNREFUSED"
