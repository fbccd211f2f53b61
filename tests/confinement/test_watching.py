"""Watching a directory that somebody hostile works in, and agents that lie about it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localbox import (
    InvalidArgumentException,
    ProtocolError,
    Sandbox,
    SandboxException,
    WatchHandle,
)
from localbox.policy import load_profile, merge_overrides
from localbox.protocol.frames import encode_message
from localbox.transport.wire import rendezvous_pair
from tests.confinement.attack import ask
from tests.leftovers import wait_until

MIB = 1 << 20
FLOOD = """
for number in range(25_000):
    open(f'flood{number % 1000}-' + 'x' * 200, 'w').close()
    os.unlink(f'flood{number % 1000}-' + 'x' * 200)
answer = 'done'
"""
# Those of the agent's own session: programs have sessions of their own.
WATCHERS = """
def watchers():
    found = []
    for name in os.listdir('/proc'):
        try:
            if name.isdigit() and name != '1' and os.getsid(int(name)) == os.getsid(1):
                found.append(int(name))
        except ProcessLookupError:
            pass
    return found
"""
RESIDENT = f"""{WATCHERS}
answer = []
for pid in (1, *watchers()):
    with open(f'/proc/{{pid}}/statm') as file:
        answer.append(int(file.read().split()[1]) * 4096)
"""


def watchers(sandbox: Sandbox) -> list[int]:
    """The processes that watch directories."""
    return [int(pid) for pid in ask(sandbox, f"{WATCHERS}\nanswer = watchers()")]


def events_to_the_end(watch: WatchHandle) -> None:
    for _ in range(100):
        watch.get_new_events()


def test_a_flood_of_changes_fills_nobodys_memory(sandbox: Sandbox) -> None:
    watch = sandbox.files.watch_dir("/home/user", recursive=True, include_entry=True)
    before = ask(sandbox, RESIDENT)
    assert ask(sandbox, FLOOD) == "done"
    after = ask(sandbox, RESIDENT)
    assert len(after) == len(before) == 2
    for pages_before, pages_after in zip(before, after, strict=True):
        assert pages_after < pages_before + 16 * MIB
    # Some are lost, and that is said instead of passing over it.
    with pytest.raises(SandboxException, match="more happened"):
        events_to_the_end(watch)
    watch.stop()
    watch = sandbox.files.watch_dir("/home/user")
    sandbox.files.make_dir("after")
    assert [event.name for event in watch.get_new_events()] == ["after"]
    watch.stop()


def test_sandbox_answers_while_a_flood_is_watched(sandbox: Sandbox) -> None:
    watch = sandbox.files.watch_dir("/home/user", recursive=True, include_entry=True)
    command = sandbox.commands.run(
        "while :; do mkdir -p a/b/c; > a/b/c/d; rm -r a; done", background=True
    )
    for _ in range(20):
        begun = time.monotonic()
        assert sandbox.is_running()
        assert time.monotonic() - begun < 2
        assert len(watch.get_new_events(request_timeout=10)) < 100_000
    command.kill()
    watch.stop()


def test_one_who_asks_is_told_something_though_it_never_ends(sandbox: Sandbox) -> None:
    """What comes while an answer is given waits for the next: the answer has an end."""
    watch = sandbox.files.watch_dir("/home/user")
    command = sandbox.commands.run("while :; do > a; done", background=True)
    wait_until(lambda: watch.get_new_events(request_timeout=10))
    command.kill()
    watch.stop()


def test_more_directories_than_are_watched_are_an_error(sandbox: Sandbox) -> None:
    ask(sandbox, "answer = [os.mkdir(f'd{n}') for n in range(8200)] and 1")
    with pytest.raises(InvalidArgumentException, match="8192"):
        sandbox.files.watch_dir("/home/user", recursive=True)
    sandbox.files.watch_dir("/home/user").stop()
    wait_until(lambda: not watchers(sandbox))


def test_directories_that_become_too_many_end_the_watch(sandbox: Sandbox) -> None:
    watch = sandbox.files.watch_dir("/home/user", recursive=True)
    ask(sandbox, "answer = [os.mkdir(f'd{n}') for n in range(8200)] and 1")
    with pytest.raises(SandboxException, match="8192"):
        wait_until(lambda: not watch.get_new_events())
    watch.stop()


def test_without_processes_left_a_watch_is_an_error() -> None:
    policy = merge_overrides(load_profile("default"), pids=4)
    with Sandbox.create(profile=policy) as sandbox:
        sleepers = [sandbox.commands.run("exec sleep 100", background=True) for _ in range(3)]
        with pytest.raises(SandboxException, match=r"resources\.pids"):
            sandbox.files.watch_dir("/home/user")
        sleepers[0].kill()
        sleepers[1].kill()
        wait_until(lambda: len(sandbox.commands.list()) == 1)
        sandbox.files.watch_dir("/home/user").stop()


def test_a_watcher_that_is_killed_inside_is_an_error(sandbox: Sandbox) -> None:
    watch = sandbox.files.watch_dir("/home/user")
    (pid,) = watchers(sandbox)
    ask(sandbox, f"answer = os.kill({pid}, 9)")
    with pytest.raises(SandboxException, match="ended the process that watches"):
        watch.get_new_events()
    watch.stop()
    assert sandbox.is_running()


def test_a_watcher_is_as_closed_to_programs_as_the_agent(sandbox: Sandbox) -> None:
    watch = sandbox.files.watch_dir("/home/user")
    (pid,) = watchers(sandbox)
    for name in ("mem", "environ", "maps", "fd/3"):
        answer = ask(sandbox, f"answer = outcome(open, '/proc/{pid}/{name}')")
        assert answer in ("EACCES", "EPERM"), name
    listing = "[outcome(os.listdir, f'/proc/{pid}/fd') for pid in (1, %d)]"
    assert len(set(ask(sandbox, f"answer = {listing % pid}"))) == 1
    watch.stop()


def test_watchers_end_with_their_handles_dropped_or_stopped(sandbox: Sandbox) -> None:
    watches = [sandbox.files.watch_dir("/home/user") for _ in range(5)]
    assert len(watchers(sandbox)) == 5
    watches.pop().stop()
    watches.clear()
    wait_until(lambda: not watchers(sandbox))


Answer = Callable[[socket.socket], None]


@pytest.fixture
def hostile(sandbox: Sandbox) -> Iterator[Callable[[Answer], None]]:
    """Has one exchange answered by the test, once the watch stands and has been asked."""
    ours, theirs = rendezvous_pair()
    original = sandbox._record.rendezvous
    threads: list[threading.Thread] = []

    def serve(answer: Answer) -> None:
        _data, fds, _flags, _address = socket.recv_fds(theirs, 65536, 4)
        with socket.socket(fileno=fds[0]) as exchange:
            exchange.sendall(encode_message({"watching": True}))
            exchange.recv(4096)
            try:
                answer(exchange)
            except OSError:
                pass  # the host would hear no more

    def start(answer: Answer) -> None:
        threads.append(threading.Thread(target=serve, args=(answer,)))
        threads[-1].start()

    sandbox._record.rendezvous = ours
    yield start
    sandbox._record.rendezvous = original
    for thread in threads:
        thread.join()
    ours.close()
    theirs.close()


EVENT: dict[str, Any] = {"name": "a", "type": "create", "entry": None}


@pytest.mark.parametrize(
    "message",
    [
        {"events": 7},
        {"events": [7]},
        {"events": [{**EVENT, "type": "explode"}]},
        {"events": [{**EVENT, "type": []}]},
        {"events": [{"name": "a"}]},
        {"events": [{**EVENT, "entry": {"name": "a"}}]},
        {"events": {"a": 1}},
    ],
    ids=str,
)
def test_host_takes_no_event_that_is_none(
    sandbox: Sandbox, hostile: Callable[[Answer], None], message: dict[str, Any]
) -> None:
    hostile(lambda exchange: exchange.sendall(encode_message(message)))
    watch = sandbox.files.watch_dir("/home/user")
    with pytest.raises(ProtocolError):
        watch.get_new_events()
    watch.stop()


def test_host_does_not_listen_to_events_without_end(
    sandbox: Sandbox, hostile: Callable[[Answer], None]
) -> None:
    flood = encode_message({"events": [{**EVENT, "name": "x" * 4096}] * 1000})

    def answer(exchange: socket.socket) -> None:
        while True:
            exchange.sendall(flood)

    hostile(answer)
    watch = sandbox.files.watch_dir("/home/user")
    with pytest.raises(ProtocolError, match="more than can have happened"):
        watch.get_new_events()
    watch.stop()
