"""Ports that lead into sandboxes: nothing behind them can turn the host's hands elsewhere."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from localbox import ProtocolError, Sandbox
from localbox.engine import joining
from localbox.protocol.frames import encode_message
from localbox.transport.wire import rendezvous_pair
from tests.confinement.attack import outcome

PORT = 8000


def connect(address: str) -> socket.socket:
    host, _, port = address.partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def is_reset(address: str, data: bytes = b"") -> bool:
    """Whether a connection is broken off, which may be while it is being made."""
    try:
        with connect(address) as client:
            client.sendall(data)
            client.recv(1)
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


class Elsewhere:
    """A server on the host, which no sandbox should have reached."""

    def __init__(self, port: int = 0) -> None:
        self.listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self.listener.getsockname()[1]

    def connection(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port))


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    server = Elsewhere()
    with server.listener:
        yield server


Answer = Callable[[socket.socket], None]


@pytest.fixture
def hostile(sandbox: Sandbox) -> Iterator[Callable[[Answer], None]]:
    """Puts an agent of the test's own making in the sandbox's place."""
    ours, theirs = rendezvous_pair()
    original = sandbox._record.rendezvous
    threads: list[threading.Thread] = []

    def serve(answer: Answer) -> None:
        while True:
            data, fds, _flags, _address = socket.recv_fds(theirs, 65536, 4)
            if not data:
                return
            with socket.socket(fileno=fds[0]) as exchange:
                answer(exchange)

    def start(answer: Answer) -> None:
        threads.append(threading.Thread(target=serve, args=(answer,)))
        threads[-1].start()

    sandbox._record.rendezvous = ours
    yield start
    sandbox._record.rendezvous = original
    # Both ends hang up: the forwarder's copy of ours as well.
    theirs.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    ours.close()
    theirs.close()


def passing(sock: socket.socket) -> Answer:
    def answer(exchange: socket.socket) -> None:
        socket.send_fds(exchange, [encode_message({"ok": True})], [sock.fileno()])

    return answer


def wrong_descriptors(elsewhere: Elsewhere, stack: ExitStack) -> dict[str, int]:
    """Whatever is not a connection to the port that was asked for."""
    unconnected, bound = socket.socket(), socket.socket()
    bound.bind(("127.0.0.1", 0))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.connect(("127.0.0.1", PORT))
    unix, other = socket.socketpair()
    raw, raw_other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connected = elsewhere.connection()
    for sock in (unconnected, bound, udp, unix, other, raw, raw_other, connected):
        stack.enter_context(sock)
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    stack.callback(os.close, writer)
    device = os.open("/dev/zero", os.O_RDWR)
    stack.callback(os.close, device)
    sockets = {
        "unconnected": unconnected,
        "bound": bound,
        "listening": elsewhere.listener,
        "udp": udp,
        "unix": unix,
        "seqpacket": raw,
        "connected elsewhere": connected,
    }
    fds = {name: sock.fileno() for name, sock in sockets.items()}
    return {**fds, "pipe": writer, "device": device}


def test_host_takes_no_descriptor_but_of_a_connection_to_the_port(elsewhere: Elsewhere) -> None:
    refused = []
    with ExitStack() as stack:
        for name, fd in wrong_descriptors(elsewhere, stack).items():
            copy = os.dup(fd)
            with pytest.raises(ProtocolError):
                joining.check_socket(copy, PORT)
            with pytest.raises(OSError, match="Bad file descriptor"):
                os.close(copy)
            refused.append(name)
    assert len(refused) == 9
    with pytest.raises(ProtocolError):
        joining.check_socket(-1, PORT)


def test_host_takes_a_connection_to_the_port(elsewhere: Elsewhere) -> None:
    with elsewhere.connection() as sock:
        joining.check_socket(os.dup(sock.fileno()), elsewhere.port).close()


def test_a_connection_passed_for_another_is_not_used(
    sandbox: Sandbox, hostile: Callable[[Answer], None], elsewhere: Elsewhere
) -> None:
    with elsewhere.connection() as sock:
        hostile(passing(sock))
        assert is_reset(sandbox.get_host(PORT), b"secret")
    server, _address = elsewhere.listener.accept()
    with server:
        server.settimeout(10)
        assert server.recv(100) == b""


def test_an_agent_that_never_answers_holds_up_nobody(
    sandbox: Sandbox, hostile: Callable[[Answer], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joining, "DIAL_S", 0.2)
    done = threading.Event()
    hostile(lambda _exchange: done.wait(20) and None)  # type: ignore[func-returns-value]
    try:
        with Sandbox.create(timeout=60) as other, connect(sandbox.get_host(PORT)) as stuck:
            assert is_reset(other.get_host(PORT))
            with pytest.raises(ConnectionResetError):
                stuck.recv(1)
    finally:
        done.set()


def test_an_agent_that_answers_nonsense_loses_its_connection_only(
    sandbox: Sandbox, hostile: Callable[[Answer], None]
) -> None:
    kinds = ("unauthenticated", "wall", "not_found", "deadline_exceeded", "")
    answers = [
        b"\xff" * 100,
        b"",
        encode_message({"ok": True}),
        encode_message({"error": 1}),
        *(encode_message({"error": {"kind": kind, "message": "no"}}) for kind in kinds),
    ]
    left = iter(answers)
    hostile(lambda exchange: exchange.sendall(next(left)))
    address = sandbox.get_host(PORT)
    for _ in answers:
        assert is_reset(address)


def test_a_socket_that_lingers_does_not_hold_up_the_host(
    sandbox: Sandbox, hostile: Callable[[Answer], None], elsewhere: Elsewhere
) -> None:
    """The last to close a socket waits for its data to be refused, if its options say so."""
    with elsewhere.connection() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
        hostile(passing(sock))
        server, _address = elsewhere.listener.accept()
        with server, connect(sandbox.get_host(elsewhere.port)) as client:
            client.settimeout(0.2)
            with pytest.raises(TimeoutError):  # all buffers are full, for nobody reads
                client.sendall(bytes(1 << 26))
            sock.close()  # the host's copy is the last
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()
            with Sandbox.create(timeout=60) as other:
                assert is_reset(other.get_host(PORT))


def test_a_socket_that_keeps_telling_of_errors_costs_no_time(
    sandbox: Sandbox, hostile: Callable[[Answer], None], elsewhere: Elsewhere
) -> None:
    """With time stamps asked for, its queue of errors is never empty, and epoll always says so."""
    with elsewhere.connection() as sock:
        so_timestamping, software_tx = 37, 0x2 | 0x10
        sock.setsockopt(socket.SOL_SOCKET, so_timestamping, struct.pack("i", software_tx))
        hostile(passing(sock))
        server, _address = elsewhere.listener.accept()
        with server, connect(sandbox.get_host(elsewhere.port)) as client:
            client.sendall(b"x")
            server.settimeout(10)
            assert server.recv(1) == b"x"
            begun = time.process_time()
            time.sleep(0.3)
            assert time.process_time() - begun < 0.15


def test_guests_do_not_reach_the_ports_of_the_host(sandbox: Sandbox) -> None:
    port = sandbox.get_host(PORT).partition(":")[2]
    assert outcome(sandbox, f"socket.create_connection(('127.0.0.1', {port}))") == "ECONNREFUSED"


def test_ports_are_open_to_this_machine_only(sandbox: Sandbox) -> None:
    ports = [
        int(address.partition(":")[2].partition("/")[0])
        for address in (
            sandbox.get_host(PORT),
            sandbox.download_url("a").removeprefix("http://"),
        )
    ]
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text("ascii").splitlines()[1:]
    ]
    for port in ports:
        assert [entry for entry in listening if entry.endswith(f":{port:04X}")] == [
            f"0100007F:{port:04X}"
        ]


FORK = """
import os, socket, sys
from localbox import Sandbox

with Sandbox.create(timeout=60) as sandbox:
    sandbox.commands.run(
        "exec python -c 'import socket; s = socket.create_server((\\"127.0.0.1\\", 8000));"
        " print(flush=True); [s.accept()[0].sendall(b\\"x\\") for _ in range(9)]'",
        background=True,
    ).__iter__().__next__()
    address = sandbox.get_host(8000)
    url = sandbox.download_url("a")
    connect = lambda address: socket.create_connection(("127.0.0.1", int(address.split(":")[1])))
    open_before = connect(address)
    assert open_before.recv(1) == b"x"
    reader, writer = os.pipe()
    done_reader, done_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            fds = [os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")
                   if os.path.exists(f"/proc/self/fd/{fd}")]
            assert not any("epoll" in name for name in fds), fds
            own = sandbox.get_host(8000)
            assert own != address
            with connect(own) as client:
                assert client.recv(1) == b"x"
            os.write(writer, b"1")
            os.close(done_writer)
            os.read(done_reader, 1)
        finally:
            os._exit(0)
    os.close(writer)
    assert os.read(reader, 1) == b"1"
    with connect(address) as client:
        assert client.recv(1) == b"x"
    sandbox.kill()
    # The child lives, and holds neither the port nor the connection.
    try:
        assert open_before.recv(1) == b""
    except ConnectionResetError:
        pass
    for _ in range(1000):
        try:
            connect(address).close()
        except ConnectionRefusedError:
            break
    else:
        raise AssertionError("the port is still open")
    os.close(done_writer)
    os.waitpid(pid, 0)
print("fine")
"""


def test_a_fork_of_the_program_has_ports_of_its_own() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("fine\n", "")
