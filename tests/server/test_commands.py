"""Commands through E2B's own SDK, unmodified, against a local server."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from typing import Any

import e2b
import httpx
import pytest
from e2b import AsyncSandbox, Sandbox

_MIB = 1024 * 1024


def rpc(
    sandbox: Sandbox,
    method: str,
    message: dict[str, Any],
    timeout_s: float = 5,
    **headers: str,
) -> httpx.Response:
    """A call as a client that is not the SDK makes it."""
    stream = method in ("Start", "Connect", "StreamInput")
    body = json.dumps(message).encode()
    kind = "application/connect+json" if stream else "application/json"
    return httpx.post(
        f"{sandbox.envd_api_url}/process.Process/{method}",
        content=struct.pack(">BI", 0, len(body)) + body if stream else body,
        headers={
            "Content-Type": kind,
            "E2b-Sandbox-Id": sandbox.sandbox_id,
            "X-Access-Token": sandbox._envd_access_token or "",
            **headers,
        },
        timeout=timeout_s,
    )


def messages(response: httpx.Response) -> list[tuple[int, dict[str, Any]]]:
    found, content = [], response.content
    while content:
        flags, length = struct.unpack_from(">BI", content)
        found.append((flags, json.loads(content[5 : 5 + length])))
        content = content[5 + length :]
    return found


def test_result_has_both_outputs_and_the_exit_code(sandbox: Sandbox) -> None:
    result = sandbox.commands.run("echo out; echo err >&2")
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)
    with pytest.raises(e2b.CommandExitException) as raised:
        sandbox.commands.run("echo bad; exit 3")
    assert (raised.value.exit_code, raised.value.stdout) == (3, "bad\n")


def test_environment_user_and_directory(sandbox: Sandbox) -> None:
    with Sandbox.create(envs={"FROM_CREATE": "yes", "A": "a"}) as other:
        assert other.commands.run('echo "$FROM_CREATE $A"', envs={"A": "b"}).stdout == "yes b\n"
    assert sandbox.commands.run("id -un; pwd").stdout == "user\n/home/user\n"
    assert sandbox.commands.run("id -un; pwd", user="root", cwd="/tmp").stdout == "root\n/tmp\n"
    with pytest.raises(e2b.InvalidArgumentException, match="cwd '/nope' does not exist"):
        sandbox.commands.run("true", cwd="/nope")
    with pytest.raises(e2b.AuthenticationException):
        sandbox.commands.run("true", user="nobody-here")


def test_output_is_called_back_while_it_is_made(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("echo one; read line; echo two; cat", background=True, stdin=True)
    seen = []
    for stdout, _stderr, _pty in handle:
        seen.append(stdout)
        if stdout == "one\n":
            # The command goes on only because its first line is here already.
            sandbox.commands.send_stdin(handle.pid, "go\n")
            handle.close_stdin()
    assert seen == ["one\n", "two\n"]


def test_much_output_arrives_whole_in_small_messages(sandbox: Sandbox) -> None:
    result = sandbox.commands.run("head -c 3145728 /dev/zero | tr '\\0' x")
    assert result.stdout == "x" * 3 * _MIB
    config = {"cmd": "head", "args": ["-c", "100000", "/dev/zero"]}
    answer = messages(rpc(sandbox, "Start", {"process": config}))
    chunks = [
        base64.b64decode(message["event"]["data"]["stdout"])
        for _flags, message in answer
        if "data" in message.get("event", {})
    ]
    assert b"".join(chunks) == bytes(100000)
    assert max(map(len, chunks)) <= 32 * 1024


def test_the_pid_comes_first_and_the_end_last(sandbox: Sandbox) -> None:
    config = {"cmd": "/bin/sh", "args": ["-c", "echo hi; exit 3"], "envs": {}}
    (flags, first), *between, (_, end), (last_flags, last) = messages(
        rpc(sandbox, "Start", {"process": config, "stdin": False})
    )
    assert flags == 0
    assert first["event"]["start"]["pid"] > 1
    assert between == [(0, {"event": {"data": {"stdout": base64.b64encode(b"hi\n").decode()}}})]
    described = {"exitCode": 3, "exited": True, "status": "exit status 3", "error": "exit status 3"}
    assert end == {"event": {"end": described}}
    assert (last_flags, last) == (2, {})


def test_silence_is_broken_by_keepalives(sandbox: Sandbox) -> None:
    config = {"cmd": "/bin/sleep", "args": ["1.2"]}
    answer = messages(
        rpc(sandbox, "Start", {"process": config}, **{"Keepalive-Ping-Interval": "1"})
    )
    assert [next(iter(message["event"])) for flags, message in answer if not flags] == [
        "start",
        "keepalive",
        "end",
    ]


def test_command_is_killed_when_its_time_is_up(sandbox: Sandbox) -> None:
    with pytest.raises(e2b.TimeoutException):
        sandbox.commands.run("echo $$ > /tmp/late; exec sleep 60", timeout=0.8)
    pid = int(sandbox.files.read("/tmp/late"))
    # The client's own clock may be a little faster than the sandbox's.
    with pytest.raises((e2b.TimeoutException, e2b.NotFoundException)):
        sandbox.commands.connect(pid).wait()
    assert all(process.pid != pid for process in sandbox.commands.list())
    late = sandbox.commands.run("sleep 60", background=True, timeout=0.2)
    with pytest.raises(e2b.TimeoutException):
        late.wait()


def test_the_stream_of_a_late_command_ends_with_deadline_exceeded(sandbox: Sandbox) -> None:
    config = {"cmd": "/bin/sleep", "args": ["60"]}
    answer = messages(rpc(sandbox, "Start", {"process": config}, **{"Connect-Timeout-Ms": "200"}))
    flags, last = answer[-1]
    assert (flags, last["error"]["code"]) == (2, "deadline_exceeded")
    assert not any("end" in message.get("event", {}) for _flags, message in answer)


def test_command_survives_its_client(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run(
        "read line; echo got $line; cat", background=True, stdin=True, timeout=30
    )
    handle.disconnect()
    again = sandbox.commands.connect(handle.pid)
    sandbox.commands.send_stdin(handle.pid, "it\n")
    sandbox.commands.close_stdin(handle.pid)
    assert again.wait().stdout == "got it\n"
    with pytest.raises(e2b.NotFoundException):
        sandbox.commands.connect(handle.pid)


def test_list_has_what_runs_and_kill_ends_it(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 60", background=True, envs={"A": "b"}, cwd="/tmp")
    (listed,) = (process for process in sandbox.commands.list() if process.pid == handle.pid)
    assert (listed.cmd, listed.args, listed.cwd) == ("/bin/bash", ["-l", "-c", "sleep 60"], "/tmp")
    assert listed.envs["A"] == "b"
    assert handle.kill()
    with pytest.raises(e2b.CommandExitException) as raised:
        handle.wait()
    assert (raised.value.exit_code, raised.value.error) == (-1, "signal: killed")
    assert not sandbox.commands.kill(handle.pid)


def test_processes_have_tags_and_can_be_terminated(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("exec sleep 60", background=True)
    by_pid = {"process": {"pid": handle.pid}, "signal": "SIGNAL_SIGTERM"}
    assert rpc(sandbox, "SendSignal", by_pid).json() == {}
    with pytest.raises(e2b.CommandExitException) as raised:
        handle.wait()
    assert raised.value.error == "signal: terminated"
    answer = rpc(sandbox, "SendSignal", {"process": {"tag": "t"}, "signal": "SIGNAL_SIGKILL"})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_input_is_written_closed_and_refused(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.commands.send_stdin(handle.pid, "säy ")
    handle.send_stdin(b"cheese")
    handle.close_stdin()
    assert handle.wait().stdout == "säy cheese"
    with pytest.raises(e2b.NotFoundException):
        sandbox.commands.send_stdin(handle.pid, "more")
    without = sandbox.commands.run("sleep 60", background=True)
    with pytest.raises(e2b.SandboxException, match="standard input"):
        without.send_stdin("x")
    without.kill()


def test_input_that_is_not_read_waits_as_long_as_its_client(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("read line; sleep 60", background=True, stdin=True)
    much = "x" * 2_000_000
    with pytest.raises(e2b.TimeoutException):
        sandbox.commands.send_stdin(handle.pid, much, request_timeout=0.3)
    message = {"process": {"pid": handle.pid}, "input": {"stdin": much}}
    with pytest.raises(httpx.ReadTimeout):
        rpc(sandbox, "SendInput", message, timeout_s=0.3)
    assert handle.kill()


def test_input_is_streamed_in_order(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sha256sum", background=True, stdin=True)
    count = sandbox.commands.run("wc -c", background=True, stdin=True)
    pieces = [bytes([number]) * 100_000 for number in range(30)]
    sandbox.commands.stream_input(count.pid, iter(pieces))
    sandbox.commands.stream_input(handle.pid, ["a", "b"])
    sandbox.commands.stream_input(handle.pid, ["c"])
    for process in (count, handle):
        process.close_stdin()
    assert count.wait().stdout.strip() == "3000000"
    assert handle.wait().stdout.startswith("ba7816bf")  # of "abc"
    with pytest.raises(e2b.NotFoundException):
        sandbox.commands.stream_input(handle.pid, ["d"])


def test_nobody_gets_in_without_the_token(sandbox: Sandbox) -> None:
    answer = rpc(sandbox, "List", {}, **{"X-Access-Token": "wrong"})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[]", 400), (b'{"process":[]}', 400), (b'{"process":{"pid":true}}', 400)],
)
def test_nonsense_is_refused(sandbox: Sandbox, content: bytes, status: int) -> None:
    headers = {
        "Content-Type": "application/json",
        "E2b-Sandbox-Id": sandbox.sandbox_id,
        "X-Access-Token": sandbox._envd_access_token or "",
    }
    url = f"{sandbox.envd_api_url}/process.Process/SendInput"
    assert httpx.post(url, content=content, headers=headers).status_code == status
    headers["Content-Type"] = "text/plain"
    assert httpx.post(url, content=content, headers=headers).status_code == 415


def test_a_killed_sandbox_is_told_apart_from_a_lost_connection(server: Any) -> None:
    sandbox = Sandbox.create(timeout=60)
    handle = sandbox.commands.run("echo up; sleep 60", background=True)
    assert next(iter(handle))[0] == "up\n"
    sandbox.kill()
    with pytest.raises(e2b.SandboxNotRunningException):
        handle.wait()
    with pytest.raises(e2b.SandboxNotRunningException):
        sandbox.commands.run("true")
    assert not sandbox.is_running()


@pytest.mark.anyio
async def test_async_commands(async_sandbox: AsyncSandbox) -> None:
    seen: list[str] = []
    result = await async_sandbox.commands.run("echo a; echo b", on_stdout=seen.append)
    assert result.stdout == "".join(seen) == "a\nb\n"
    handle = await async_sandbox.commands.run("cat", background=True, stdin=True)
    async with async_sandbox.commands.stream_input(handle.pid) as stream:
        for number in range(50):
            await stream.send(f"{number}\n")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "".join(f"{number}\n" for number in range(50))


@pytest.mark.anyio
async def test_many_commands_at_once(async_sandbox: AsyncSandbox) -> None:
    results = await asyncio.gather(
        *(async_sandbox.commands.run(f"sleep 0.2; echo {number}") for number in range(30))
    )
    assert [result.stdout for result in results] == [f"{number}\n" for number in range(30)]


@pytest.mark.anyio
async def test_a_client_that_does_not_read_holds_the_guest_up(async_sandbox: AsyncSandbox) -> None:
    body = json.dumps(
        {
            "process": {
                "cmd": "/bin/bash",
                "args": ["-c", "yes | head -c 64M"],
            }
        }
    ).encode()
    request: dict[str, Any] = {
        "content": struct.pack(">BI", 0, len(body)) + body,
        "headers": {
            "Content-Type": "application/connect+json",
            "E2b-Sandbox-Id": async_sandbox.sandbox_id,
            "X-Access-Token": async_sandbox._envd_access_token or "",
        },
    }
    async with httpx.AsyncClient(base_url=async_sandbox.envd_api_url) as client:
        async with client.stream("POST", "/process.Process/Start", **request) as answer:
            # Kept, for collecting it closes the connection.
            content = answer.aiter_raw()
            await anext(content)
            # Sockets and pipes are full long before 64 MiB; then `yes` stands still.
            await asyncio.sleep(0.5)
            still_there = "cat /proc/[0-9]*/comm | grep -qx yes && echo yes"
            assert (await async_sandbox.commands.run(still_there)).stdout == "yes\n"
        # Nobody listens any more: what it writes is dropped, and it comes to its end.
        ended = "until ! cat /proc/[0-9]*/comm | grep -qx yes; do sleep 0.02; done"
        await async_sandbox.commands.run(ended, timeout=5)
