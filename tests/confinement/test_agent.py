"""The agent beside hostile code: what it says is checked, and what it holds cannot be had."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localbox import CommandExitException, ProtocolError, Sandbox, TimeoutException
from localbox._sync.commands import Commands
from localbox._sync.connection import Connection
from localbox._sync.filesystem import Filesystem
from localbox.engine import copying, entries, registry
from localbox.engine.command_output import CommandOutput
from localbox.protocol.frames import (
    DATA,
    HEADER,
    MAX_CHUNK_BYTES,
    MAX_MESSAGE_BYTES,
    MESSAGE,
    STDOUT,
    encode,
    encode_message,
)
from localbox.transport.wire import rendezvous_pair
from tests.confinement.attack import ask, lines, outcome

Answer = Callable[[socket.socket], None]


@pytest.fixture
def hostile(sandbox: Sandbox) -> Iterator[Callable[[Answer], Connection]]:
    """A connection to an agent of the test's own making; it answers each exchange as told."""
    threads: list[threading.Thread] = []
    ours, theirs = rendezvous_pair()
    original = sandbox._record.rendezvous

    def serve(answer: Answer) -> None:
        while True:
            data, fds, _flags, _address = socket.recv_fds(theirs, 65536, 4)
            if not data:
                return
            with socket.socket(fileno=fds[0]) as exchange:
                answer(exchange)

    def start(answer: Answer) -> Connection:
        threads.append(threading.Thread(target=serve, args=(answer,)))
        threads[-1].start()
        return sandbox._connection

    sandbox._record.rendezvous = ours
    yield start
    sandbox._record.rendezvous = original
    ours.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join()
    ours.close()
    theirs.close()


def pass_fd(fd: int) -> Answer:
    def answer(exchange: socket.socket) -> None:
        socket.send_fds(exchange, [encode_message({"ok": True, "path": "/home/user/a"})], [fd])

    return answer


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "device", "none"])
def test_host_takes_no_descriptor_but_of_a_regular_file(
    hostile: Callable[[Answer], Connection], tmp_path: Path, kind: str
) -> None:
    """A read from a FIFO would hold the host for ever, a write to a device do who knows what."""
    made: list[object] = []
    if kind == "fifo":
        os.mkfifo(tmp_path / "fifo")
        fd = os.open(tmp_path / "fifo", os.O_RDWR)
    elif kind == "directory":
        fd = os.open(tmp_path, os.O_RDONLY)
    elif kind == "socket":
        pair = socket.socketpair()
        made += pair
        fd = os.dup(pair[0].fileno())
    elif kind == "device":
        fd = os.open("/dev/zero", os.O_RDWR)
    else:
        fd = -1
    answer = (
        pass_fd(fd) if fd >= 0 else lambda e: e.sendall(encode_message({"ok": True, "path": "a"}))
    )
    try:
        files = Filesystem(hostile(answer))
        for call in (
            lambda: files.read("a"),
            lambda: files.read("a", format="stream"),
            lambda: files.write("a", "x"),
        ):
            with pytest.raises(ProtocolError, match="descriptor"):
                call()
    finally:
        if fd >= 0:
            os.close(fd)
        for each in made:
            each.close()  # type: ignore[attr-defined]


def test_host_takes_the_descriptor_of_a_regular_file(
    hostile: Callable[[Answer], Connection], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("content")
    with (tmp_path / "file").open() as file:
        assert Filesystem(hostile(pass_fd(file.fileno()))).read("a") == "content"


def test_host_closes_descriptors_it_was_sent_beyond_the_one(
    hostile: Callable[[Answer], Connection], tmp_path: Path
) -> None:
    """The fixture that counts descriptors is the assertion."""
    (tmp_path / "file").write_text("content")
    with (tmp_path / "file").open() as file:

        def answer(exchange: socket.socket) -> None:
            fds = [file.fileno()] * 20
            socket.send_fds(exchange, [encode_message({"ok": True})], fds)

        connection = hostile(answer)
        for _ in range(5):
            connection.ask({"op": "ping"})


@pytest.mark.parametrize(
    "data",
    [
        HEADER.pack(99, 3) + b"xyz",
        HEADER.pack(MESSAGE, MAX_MESSAGE_BYTES + 1),
        HEADER.pack(STDOUT, MAX_CHUNK_BYTES + 1),
        HEADER.pack(MESSAGE, 0xFFFFFFFF),
        encode(MESSAGE, b"not json"),
        encode(MESSAGE, b"[1, 2]"),
        encode(MESSAGE, b"[" * 100_000),
        encode(MESSAGE, b"\xff\xfe"),
        encode(DATA, b"not a message"),
        encode_message({"error": 7}),
    ],
    ids=lambda data: data[:12].hex(),
)
def test_host_takes_nonsense_for_an_error(
    hostile: Callable[[Answer], Connection], data: bytes
) -> None:
    connection = hostile(lambda exchange: exchange.sendall(data))
    with pytest.raises(ProtocolError):
        connection.ask({"op": "ping"})
    with pytest.raises(ProtocolError):
        Commands(connection).run("true")


def test_an_agent_that_says_nothing_times_out(hostile: Callable[[Answer], Connection]) -> None:
    done = threading.Event()
    connection = hostile(lambda _exchange: done.wait(20) and None)  # type: ignore[func-returns-value]
    try:
        with pytest.raises(TimeoutException):
            connection.ask({"op": "ping"}, 0.2)
    finally:
        done.set()


def test_an_agent_that_trickles_cannot_outlast_the_deadline(
    hostile: Callable[[Answer], Connection],
) -> None:
    done = threading.Event()

    def answer(exchange: socket.socket) -> None:
        exchange.sendall(HEADER.pack(MESSAGE, 1000))
        try:
            while not done.wait(0.02):
                exchange.sendall(b" ")
        except OSError:
            pass

    connection = hostile(answer)
    try:
        with pytest.raises(TimeoutException):
            connection.ask({"op": "ping"}, 0.3)
    finally:
        done.set()


def test_an_endless_listing_is_cut_off(hostile: Callable[[Answer], Connection]) -> None:
    entry = {
        **dict.fromkeys(("name", "path", "permissions", "owner", "group"), "x"),
        **dict.fromkeys(("size", "mode", "modified_ns"), 0),
        "type": "file",
        "symlink_target": None,
    }
    message = encode_message({"entries": [entry] * 1000})

    def answer(exchange: socket.socket) -> None:
        try:
            while True:
                exchange.sendall(message)
        except OSError:
            pass

    connection = hostile(answer)
    policy = connection.record.policy
    filesystem = dataclasses.replace(policy.filesystem, files=64)
    connection.record.policy = dataclasses.replace(policy, filesystem=filesystem)
    with pytest.raises(ProtocolError, match="lists more"):
        Filesystem(connection).list("/")


@pytest.mark.parametrize(
    "entry",
    [
        None,
        [],
        {},
        {"name": "x"},
        {"type": "exotic"},
        {"modified_ns": 10**40},
        {"size": "many"},
        {"mode": None},
    ],
)
def test_entries_that_are_none_are_errors(entry: object) -> None:
    good = {
        **dict.fromkeys(("name", "path", "permissions", "owner", "group"), "x"),
        **dict.fromkeys(("size", "mode", "modified_ns"), 0),
        "type": "file",
        "symlink_target": None,
    }
    assert entries.to_entry(good).name == "x"
    bad = {**good, **entry} if isinstance(entry, dict) and len(entry) == 1 else entry
    if bad == {**good, "name": "x"}:
        bad = {"name": "x"}
    with pytest.raises(ProtocolError):
        entries.to_entry(bad)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"start": {}},
        {"start": {"pid": "1"}},
        {"end": {}},
        {"end": {"exit_code": "0"}},
        {"end": 1},
    ],
)
def test_a_command_can_only_start_and_end(message: dict[str, object]) -> None:
    output = CommandOutput(True, 1000)
    with pytest.raises(ProtocolError):
        output.take((MESSAGE, encode_message(message)[HEADER.size :]))


def test_a_file_that_shrinks_while_it_is_read_is_no_trouble(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(1000))
    fd = os.open(path, os.O_RDONLY)
    try:
        assert len(copying.read_whole(fd)) == 1000
        os.truncate(path, 10)
        assert len(copying.read_whole(fd)) == 10
    finally:
        os.close(fd)


def test_guest_cannot_reach_the_agents_sockets(any_sandbox: Sandbox) -> None:
    """The agent has no name and no listening socket: all it has is in its descriptors."""
    for number in range(3, 10):
        path = f"/proc/1/fd/{number}"
        assert outcome(any_sandbox, f"os.open({path!r}, os.O_RDWR)") in {"EACCES", "ENOENT"}
        assert outcome(any_sandbox, f"os.readlink({path!r})") in {"EACCES", "ENOENT"}
    names = ask(any_sandbox, "answer = open('/proc/net/unix').read().splitlines()[1:]")
    # What is listed has no name (the eighth column) to connect to.
    assert [line for line in names if len(line.split()) > 7] == []


def test_guest_cannot_speak_as_the_agent_through_its_own_output(sandbox: Sandbox) -> None:
    """Frames are made outside of what the guest writes: bytes that look like one stay bytes."""
    fake = encode_message({"end": {"exit_code": 42, "error": None}}) + HEADER.pack(MESSAGE, 5)
    result = sandbox.commands.run_python(f"import os; os.write(1, {fake!r})")
    assert result.exit_code == 0
    assert "exit_code" in result.stdout


@pytest.mark.parametrize(
    "lie",
    [
        "os.write(3, b'\\x07')",
        "os.write(3, b'\\x07' * 1000)",
        "os.write(3, b'\\x07'); time.sleep(0.1)",
        "os.close(3)",
        "os.close(3); os.kill(os.getpid(), 9)",
        "os.dup2(1, 3)",
        "os.fork() or time.sleep(1000)",
        "os.fork() and os.kill(os.getpid(), 9); time.sleep(1000)",
    ],
)
def test_a_guest_that_lies_about_its_end_fools_nobody_but_its_own_caller(
    sandbox: Sandbox, lie: str
) -> None:
    try:
        result = sandbox.commands.run_python(f"import os, time; {lie}", timeout=20)
    except CommandExitException as error:
        result = error
    assert result.exit_code in {0, 7, -1}
    assert lines(sandbox, "echo fine") == ["fine"]
    assert sandbox.commands.run_python("print('fine')").stdout == "fine\n"


def test_a_guest_that_closes_and_floods_everything_leaves_the_agent_alive(
    sandbox: Sandbox,
) -> None:
    code = """
import threading
for _ in range(3):
    threading.Thread(target=lambda: [os.write(1, b'x' * 65536) for _ in range(200)]).start()
os.closerange(3, 1000)
for pid in range(2, 50):
    try: os.kill(pid, 0)
    except OSError: pass
os.write(2, b'y' * 1_000_000)
"""
    sandbox.commands.run_python("import os\n" + code, retain_output=False)
    assert lines(sandbox, "echo fine") == ["fine"]


def test_a_record_that_is_forgotten_reaches_nobody(sandbox: Sandbox) -> None:
    sandbox.kill()
    assert sandbox._record.rendezvous.fileno() == -1
    assert registry.find(sandbox.sandbox_id) is None
