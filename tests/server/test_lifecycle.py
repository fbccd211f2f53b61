"""E2B's SDK, unmodified: sandboxes made, found, listed, paused, copied and ended by `serve`."""

from __future__ import annotations

import datetime
import os
import signal
import socket
import subprocess
import sys
import time

import e2b
import httpx
import pytest

import localbox
from localbox.server.run import Server
from tests import leftovers

NAMES = ("E2B_API_URL", "E2B_SANDBOX_URL", "E2B_VOLUME_API_URL", "E2B_API_KEY")

pytestmark = pytest.mark.anyio


def test_a_sandbox_is_made_runs_and_ends(sandbox: e2b.Sandbox):
    assert sandbox.is_running()
    assert sandbox.commands.run("echo $((6 * 7))").stdout == "42\n"
    assert sandbox.kill()
    assert not sandbox.kill()
    assert not sandbox.is_running()


async def test_an_async_sandbox_is_made_runs_and_ends(async_sandbox: e2b.AsyncSandbox):
    assert await async_sandbox.is_running()
    assert (await async_sandbox.commands.run("echo $((6 * 7))")).stdout == "42\n"
    assert await async_sandbox.kill()
    assert not await async_sandbox.kill()
    assert not await async_sandbox.is_running()


def test_what_a_sandbox_was_made_with_is_told():
    with e2b.Sandbox.create(
        timeout=77,
        metadata={"owner": "me"},
        envs={"GREETING": "hello"},
        lifecycle={"on_timeout": "pause", "auto_resume": True},
    ) as sandbox:
        info = sandbox.get_info()
        assert info.sandbox_id == sandbox.sandbox_id
        assert info.metadata == {"owner": "me"}
        assert info.template_id == "base"
        assert info.state is e2b.SandboxState.RUNNING
        assert info.cpu_count >= 1
        assert info.memory_mb > 0
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": True}
        assert not info.allow_internet_access
        assert 70 < (info.end_at - info.started_at).total_seconds() < 80
        assert sandbox.commands.run("echo $GREETING").stdout == "hello\n"


def test_the_timeout_is_set_and_extended(sandbox: e2b.Sandbox):
    def remaining_s() -> float:
        now = datetime.datetime.now(datetime.UTC)
        return (sandbox.get_info().end_at - now).total_seconds()

    sandbox.set_timeout(500)
    assert 490 < remaining_s() < 501
    e2b.Sandbox.set_timeout(sandbox.sandbox_id, 100)
    assert 90 < remaining_s() < 101
    # A running sandbox is never given less by connecting to it.
    e2b.Sandbox.connect(sandbox.sandbox_id, timeout=10)
    assert 90 < remaining_s() < 101


def test_another_object_reaches_the_same_sandbox(sandbox: e2b.Sandbox):
    sandbox.commands.run("echo here > /tmp/mark")
    other = e2b.Sandbox.connect(sandbox.sandbox_id)
    assert other.commands.run("cat /tmp/mark").stdout == "here\n"


def test_a_sandbox_that_timed_out_is_missed():
    sandbox = e2b.Sandbox.create(timeout=1)
    deadline = time.monotonic() + 5
    while sandbox.is_running():
        assert time.monotonic() < deadline
    with pytest.raises(e2b.SandboxNotFoundException):
        sandbox.get_info()
    with pytest.raises(e2b.SandboxNotFoundException):
        e2b.Sandbox.connect(sandbox.sandbox_id)
    with pytest.raises(e2b.TimeoutException, match="not found"):
        sandbox.commands.run("true")
    assert not sandbox.kill()


def test_a_sandbox_that_never_was_is_missed():
    with pytest.raises(e2b.SandboxNotFoundException):
        e2b.Sandbox.get_info("i0000000000000000000")
    assert not e2b.Sandbox.kill("i0000000000000000000")


def test_lists_are_filtered_ordered_and_paged():
    made = [
        e2b.Sandbox.create(timeout=60, metadata={"a b&c": "d=é", "n": str(n)}) for n in range(3)
    ]
    ids = [sandbox.sandbox_id for sandbox in made]
    query = e2b.SandboxQuery(metadata={"a b&c": "d=é"})
    try:
        pages = e2b.Sandbox.list(query, limit=2, order="asc")
        first = pages.next_items()
        assert pages.has_next
        second = pages.next_items()
        assert not pages.has_next
        assert [info.sandbox_id for info in first + second] == ids
        newest = e2b.Sandbox.list(query).next_items()
        assert [info.sandbox_id for info in newest] == ids[::-1]
        one = e2b.Sandbox.list(e2b.SandboxQuery(metadata={"n": "1"})).next_items()
        assert [info.sandbox_id for info in one] == ids[1:2]
        made[0].pause()
        paused = e2b.SandboxQuery(metadata={"a b&c": "d=é"}, state=[e2b.SandboxState.PAUSED])
        assert [i.sandbox_id for i in e2b.Sandbox.list(paused).next_items()] == ids[:1]
        both = [e2b.SandboxState.PAUSED, e2b.SandboxState.RUNNING]
        query.state = both
        assert len(e2b.Sandbox.list(query).next_items()) == 3
        query.template = "no-such-template"
        assert e2b.Sandbox.list(query).next_items() == []
    finally:
        for sandbox in made:
            sandbox.kill()


async def test_an_async_list_has_the_sandbox(async_sandbox: e2b.AsyncSandbox):
    found = await e2b.AsyncSandbox.list().next_items()
    assert [info.sandbox_id for info in found] == [async_sandbox.sandbox_id]


def test_sandboxes_of_the_program_itself_are_not_served():
    with localbox.Sandbox.create(timeout=60) as own:
        assert e2b.Sandbox.list().next_items() == []
        with pytest.raises(e2b.SandboxNotFoundException):
            e2b.Sandbox.connect(own.sandbox_id)


def test_pause_keeps_what_runs_until_it_is_resumed(sandbox: e2b.Sandbox):
    sandbox.commands.run("echo kept > /tmp/mark")
    assert sandbox.pause()
    assert not sandbox.pause()
    assert sandbox.get_info().state is e2b.SandboxState.PAUSED
    assert not sandbox.is_running()
    sandbox.connect(timeout=60)
    assert sandbox.get_info().state is e2b.SandboxState.RUNNING
    assert sandbox.commands.run("cat /tmp/mark").stdout == "kept\n"


def test_metrics_are_told(sandbox: e2b.Sandbox):
    sample = sandbox.get_metrics()[-1]
    assert sample.cpu_count >= 1
    assert sample.mem_total > 0
    assert sample.timestamp.tzinfo is not None


def test_a_fork_has_the_files(sandbox: e2b.Sandbox):
    sandbox.commands.run("echo shared > mark")
    forks = sandbox.fork(timeout=60, count=2)
    try:
        for fork in forks:
            assert isinstance(fork, e2b.Sandbox)
            assert fork.commands.run("cat mark").stdout == "shared\n"
    finally:
        for fork in forks:
            if isinstance(fork, e2b.Sandbox):
                fork.kill()


def test_a_snapshot_is_made_listed_used_and_deleted(sandbox: e2b.Sandbox):
    sandbox.commands.run("echo before > mark")
    snapshot = sandbox.create_snapshot("served-snapshot")
    try:
        listed = sandbox.list_snapshots().next_items()
        assert [info.snapshot_id for info in listed] == [snapshot.snapshot_id]
        with e2b.Sandbox.create(snapshot.snapshot_id, timeout=60) as later:
            assert later.commands.run("cat mark").stdout == "before\n"
    finally:
        assert e2b.Sandbox.delete_snapshot(snapshot.snapshot_id)
    assert not e2b.Sandbox.delete_snapshot(snapshot.snapshot_id)


def test_a_network_that_cannot_be_is_refused(sandbox: e2b.Sandbox):
    sandbox.update_network({"deny_out": [e2b.ALL_TRAFFIC]})
    assert sandbox.get_info().network == {"deny_out": [e2b.ALL_TRAFFIC]}
    with pytest.raises(e2b.SandboxException, match="400"):
        sandbox.update_network({"allow_out": ["example.com"]})
    with pytest.raises(e2b.SandboxException, match="no network"):
        e2b.Sandbox.create(timeout=60, allow_internet_access=True)


def test_what_cannot_be_made_is_said():
    with pytest.raises(e2b.SandboxException, match="no-such-template"):
        e2b.Sandbox.create("no-such-template")
    with pytest.raises(e2b.SandboxException, match="mcp"):
        e2b.Sandbox.create(mcp={"github": {}})


def test_parts_that_are_not_there_say_so(server: Server):
    headers = {"X-API-KEY": server.api_key}
    for path in ("/v3/templates", "/templates", "/teams"):
        answer = httpx.get(server.url + path, headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (501, 501)


def test_a_sandbox_that_nobody_hears_of_ends(server: Server):
    body = b'{"templateID": "base", "timeout": 60}'
    request = (
        f"POST /v2/sandboxes HTTP/1.1\r\nHost: localhost\r\nX-API-KEY: {server.api_key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    before = server._state.sandboxes.copy()
    with socket.create_connection(("127.0.0.1", httpx.URL(server.url).port)) as connection:
        connection.sendall(request + body)
    # It hangs up before there is an answer. Connections are taken in order, so that its request has
    # been read when another one's is answered.
    e2b.Sandbox.create(timeout=60).kill()
    leftovers.wait_until(lambda: server._state._on_their_way == 0)
    leftovers.wait_until(lambda: server._state.sandboxes == before)


def test_there_are_no_more_sandboxes_than_allowed():
    with localbox.serve(max_sandboxes=1) as small:
        opts = {"api_url": small.url, "sandbox_url": small.url, "api_key": small.api_key}
        only = e2b.Sandbox.create(timeout=60, **opts)
        with pytest.raises(e2b.RateLimitException, match="at most 1"):
            e2b.Sandbox.create(timeout=60, **opts)
        only.kill()
        e2b.Sandbox.create(timeout=60, **opts).kill()


def test_closing_the_server_ends_its_sandboxes():
    with localbox.serve() as short:
        opts = {"api_url": short.url, "sandbox_url": short.url, "api_key": short.api_key}
        sandbox = e2b.Sandbox.create(timeout=60, **opts)
        handle = sandbox.commands.run("sleep 100", background=True)
    with pytest.raises(Exception):  # noqa: B017 (whatever a lost connection is to the SDK)
        handle.wait()
    # That nothing is left of it is for the fixture to see. The program goes on.
    with localbox.Sandbox.create(timeout=60) as own:
        assert own.commands.run("echo on").stdout == "on\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_the_end_of_the_command_ends_its_sandboxes(number: signal.Signals):
    command = [sys.executable, "-m", "localbox.cli", "serve", "--port", "0", "--api-key", "key"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(len(NAMES))]
            variables = dict(line.removeprefix("export ").strip().split("=", 1) for line in lines)
            assert tuple(variables) == NAMES
            url = variables["E2B_API_URL"]
            known = subprocess.run(
                [*command[:3], "env"], stdout=subprocess.PIPE, text=True, check=True
            )
            assert known.stdout == "".join(lines)
            made = e2b.Sandbox.create(timeout=60, api_url=url, sandbox_url=url, api_key="key")
            made.commands.run("sleep 100", background=True)
            inside = [os.pidfd_open(pid) for pid in leftovers.descendants(process.pid)]
            assert inside
            process.send_signal(number)
            process.wait(10)
        finally:
            process.kill()
    # Not by their directories in /proc, which stay until somebody reaps what we have orphaned.
    for pidfd in inside:
        leftovers.wait_for_end(pidfd)
        os.close(pidfd)
