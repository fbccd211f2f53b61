"""Unix sockets of the host: neither those with a path nor those without can be reached."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator

import pytest

from localbox import Sandbox
from tests.confinement.attack import ask, lacking, outcome, policy


@pytest.fixture
def abstract_name() -> Iterator[str]:
    name = f"localbox-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(f"\0{name}")
        listener.listen()
        with socket.socket(socket.AF_UNIX) as partner:
            partner.connect(f"\0{name}")
        yield name


def connect(address: str) -> str:
    return f"socket.socket(socket.AF_UNIX).connect({address!r})"


def test_guest_cannot_reach_an_abstract_socket_of_the_host(
    any_sandbox: Sandbox, abstract_name: str
) -> None:
    assert outcome(any_sandbox, connect(f"\0{abstract_name}")) == "ECONNREFUSED"


def test_guest_cannot_reach_a_socket_with_a_path(any_sandbox: Sandbox) -> None:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as directory,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        listener.bind(f"{directory}/socket")
        listener.listen()
        os.chmod(directory, 0o755)
        os.chmod(f"{directory}/socket", 0o777)
        assert outcome(any_sandbox, connect(f"{directory}/socket")) == "ENOENT"


@pytest.mark.parametrize(
    "path", ["/run/docker.sock", "/var/run/docker.sock", "/run/dbus/system_bus_socket"]
)
def test_guest_cannot_reach_the_usual_daemons(any_sandbox: Sandbox, path: str) -> None:
    assert outcome(any_sandbox, connect(path)) == "ENOENT"


def test_guest_cannot_take_the_locks_on_host_ids(sandbox: Sandbox) -> None:
    """They are abstract names in the host's network namespace; inside the names are free."""
    assert outcome(sandbox, "socket.socket(socket.AF_UNIX).bind('\\0localbox-ids-1')") == "allowed"
    with Sandbox.create() as other:
        assert other.is_running()


@pytest.mark.parametrize("address", ["/tmp/socket", "\0mine"])
def test_guest_can_use_unix_sockets_of_its_own(any_sandbox: Sandbox, address: str) -> None:
    code = f"""
listener = socket.socket(socket.AF_UNIX); listener.bind({address!r}); listener.listen()
client = socket.socket(socket.AF_UNIX); client.connect({address!r})
client.sendall(b'hello')
answer = listener.accept()[0].recv(5).decode()
"""
    assert ask(any_sandbox, code) == "hello"


def test_guests_of_two_sandboxes_cannot_meet_on_an_abstract_socket(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run(
        "python3 -c \"import socket; s = socket.socket(socket.AF_UNIX); s.bind('\\0meet');"
        " s.listen(); print('ready', flush=True); s.accept()\"",
        background=True,
    )
    assert next(iter(handle)) == ("ready\n", None, None)
    assert outcome(sandbox, connect("\0meet")) == "allowed"
    with Sandbox.create() as other:
        assert outcome(other, connect("\0meet")) == "ECONNREFUSED"


def test_landlock_keeps_abstract_sockets_inside_where_the_network_is_shared(
    abstract_name: str,
) -> None:
    """With network.mode host the namespace no longer hides them. See landlock(7), ABI 6."""
    with Sandbox.create(profile=policy("trusted")) as sandbox:
        abi = next((w.detail for w in sandbox.isolation if w.name == "landlock" and w.stands), "")
        if not abi or int(abi.removeprefix("ABI ")) < 6:
            lacking("Landlock of ABI 6")
        assert outcome(sandbox, connect(f"\0{abstract_name}")) == "EPERM"


@pytest.mark.parametrize(
    ("family", "kind", "protocol"),
    [
        (40, 1, 0),  # VSOCK reaches the hypervisor, through any network namespace
        (17, 3, 768),  # PACKET
        (38, 5, 0),  # ALG: the kernel's cryptography
        (30, 5, 0),  # TIPC
        (44, 3, 0),  # XDP
        (29, 3, 1),  # CAN
        (31, 3, 0),  # BLUETOOTH
        (15, 3, 2),  # KEY
        (16, 3, 15),  # NETLINK_KOBJECT_UEVENT
        (16, 3, 12),  # NETLINK_NETFILTER
        (16, 3, 9),  # NETLINK_AUDIT
    ],
)
def test_socket_families_that_are_not_needed_are_not_there(
    any_sandbox: Sandbox, family: int, kind: int, protocol: int
) -> None:
    make = f"socket.socket({family}, {kind}, {protocol})"
    assert outcome(any_sandbox, make) == "EAFNOSUPPORT"


@pytest.mark.parametrize(("family", "protocol"), [(2, 132), (10, 132), (2, 33)])
def test_rare_protocols_are_not_there(any_sandbox: Sandbox, family: int, protocol: int) -> None:
    make = f"socket.socket({family}, socket.SOCK_STREAM, {protocol})"
    assert outcome(any_sandbox, make) == "EPROTONOSUPPORT"


def test_raw_sockets_need_a_capability(any_sandbox: Sandbox) -> None:
    for protocol in (1, 255):
        assert outcome(any_sandbox, f"socket.socket(2, 3, {protocol})") == "EPERM"


def test_families_that_are_needed_are_there(any_sandbox: Sandbox) -> None:
    for family, kind in (
        ("UNIX", "DGRAM"),
        ("INET", "STREAM"),
        ("INET", "DGRAM"),
        ("INET6", "STREAM"),
    ):
        make = f"socket.socket(socket.AF_{family}, socket.SOCK_{kind})"
        assert outcome(any_sandbox, make) == "allowed"
    assert outcome(any_sandbox, "socket.if_nameindex()") == "allowed"
