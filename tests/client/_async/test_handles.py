"""Commands in the background: handles, the list of processes, standard input."""

from __future__ import annotations

import time

import pytest

from localbox import (
    AsyncCommandHandle,
    AsyncSandbox,
    CommandExitException,
    NotFoundException,
    SandboxException,
    TimeoutException,
)
from localbox.engine.answers import read_answer
from localbox.protocol.frames import DATA, END_OF_DATA
from tests.client._async.doing import until

pytestmark = pytest.mark.anyio


async def test_a_background_command_gives_a_handle_at_once(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True)
    assert isinstance(handle, AsyncCommandHandle)
    assert (await sandbox.commands.run(f"cat /proc/{handle.pid}/comm")).stdout in (
        "sleep\n",
        "bash\n",
    )
    assert await handle.kill() is True
    with pytest.raises(CommandExitException) as caught:
        await handle.wait()
    assert caught.value.exit_code == -1
    assert caught.value.error == "signal: killed"


async def test_wait_returns_the_result(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("echo out; echo err >&2", background=True)
    result = await handle.wait()
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)


async def test_output_can_be_followed(sandbox: AsyncSandbox) -> None:
    # unasync: async
    out: list[str] = []
    err: list[str] = []

    async def on_stdout(text: str) -> None:
        out.append(text)

    handle = await sandbox.commands.run(
        "echo out; echo err >&2; exit 5",
        background=True,
        on_stdout=on_stdout,
        on_stderr=err.append,
    )
    with pytest.raises(CommandExitException):
        await handle.wait()
    assert "".join(out) == handle.stdout == "out\n"
    assert "".join(err) == handle.stderr == "err\n"
    assert handle.exit_code == 5
    assert handle.error == "exit status 5"
    # unasync: sync
    # handle = sandbox.commands.run("echo out; echo err >&2; exit 5", background=True)
    # pieces = list(handle)
    # assert sorted(pieces, key=str) == [("out\n", None, None), (None, "err\n", None)] or sorted(
    #     pieces, key=str
    # ) == [(None, "err\n", None), ("out\n", None, None)]
    # with pytest.raises(CommandExitException):
    #     handle.wait()
    # handle = sandbox.commands.run("echo out; echo err >&2", background=True)
    # out, err = [], []
    # result = handle.wait(on_stdout=out.append, on_stderr=err.append)
    # assert "".join(out) == result.stdout == "out\n"
    # assert "".join(err) == result.stderr == "err\n"
    # unasync: end


# unasync: async
async def test_a_handle_shows_the_output_so_far(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("echo ready; exec sleep 1000", background=True)

    async def ready() -> bool:
        return handle.stdout == "ready\n"

    await until(ready)
    assert handle.exit_code is None
    assert handle.error is None
    await handle.kill()


# unasync: sync
# unasync: end
async def test_the_timeout_counts_for_background_commands(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True, timeout=0.3)
    with pytest.raises(TimeoutException):
        await handle.wait()

    async def gone() -> bool:
        return await sandbox.commands.list() == []

    await until(gone)


async def test_list_names_what_was_started(sandbox: AsyncSandbox) -> None:
    assert await sandbox.commands.list() == []
    handle = await sandbox.commands.run(
        "sleep 1000", background=True, cwd="/tmp", envs={"MARK": "1"}
    )
    (process,) = await sandbox.commands.list()
    assert process.pid == handle.pid
    assert process.cmd == "/bin/bash"
    assert process.args == ["-l", "-c", "sleep 1000"]
    assert process.cwd == "/tmp"
    assert process.envs["MARK"] == "1"
    assert await sandbox.commands.kill(handle.pid) is True

    async def gone() -> bool:
        return await sandbox.commands.list() == []

    await until(gone)


async def test_kill_of_what_does_not_run_is_false(sandbox: AsyncSandbox) -> None:
    assert await sandbox.commands.kill(4_000_000) is False
    handle = await sandbox.commands.run("true", background=True)
    await handle.wait()
    assert await handle.kill() is False


async def test_kill_takes_the_children_of_the_shell_along(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000 & sleep 1000 & wait", background=True)

    async def sleepers() -> str:
        return (await sandbox.commands.run("pgrep -c sleep || true")).stdout

    async def both() -> bool:
        return await sleepers() == "2\n"

    async def none() -> bool:
        return await sleepers() == "0\n"

    await until(both)
    await handle.kill()
    await until(none)


async def test_only_commands_started_here_can_be_killed_by_pid(sandbox: AsyncSandbox) -> None:
    assert await sandbox.commands.kill(1) is False
    assert await sandbox.is_running()


async def test_connect_listens_to_a_running_command(sandbox: AsyncSandbox) -> None:
    first = await sandbox.commands.run("read line; echo got $line", background=True, stdin=True)
    second = await sandbox.commands.connect(first.pid)
    assert second.pid == first.pid
    await second.send_stdin("it\n")
    assert (await second.wait()).stdout == "got it\n"
    assert (await first.wait()).stdout == "got it\n"


async def test_connect_to_nothing_is_not_found(sandbox: AsyncSandbox) -> None:
    with pytest.raises(NotFoundException):
        await sandbox.commands.connect(4_000_000)


async def test_a_command_goes_on_after_disconnect(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run(
        "read line; head -c 1000000 /dev/zero; echo done > end", background=True, stdin=True
    )
    await handle.disconnect()
    assert [process.pid for process in await sandbox.commands.list()] == [handle.pid]
    await sandbox.commands.send_stdin(handle.pid, "go\n")

    async def done() -> bool:
        return await sandbox.files.exists("end")

    await until(done)


async def test_stdin_is_empty_unless_asked_for(sandbox: AsyncSandbox) -> None:
    assert (await sandbox.commands.run("cat; echo end")).stdout == "end\n"


async def test_stdin_reaches_the_command_and_ends_when_closed(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    await handle.send_stdin("text ü\n")
    await handle.send_stdin(b"bytes\n")
    await sandbox.commands.send_stdin(handle.pid, "more\n")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "text ü\nbytes\nmore\n"


async def test_close_stdin_by_pid(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("wc -c", background=True, stdin=True)
    await sandbox.commands.close_stdin(handle.pid)
    assert (await handle.wait()).stdout == "0\n"


async def test_stdin_of_megabytes_arrives_whole(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sha256sum", background=True, stdin=True)
    data = bytes(range(256)) * 40_000
    await handle.send_stdin(data)
    await handle.close_stdin()
    import hashlib

    assert (await handle.wait()).stdout.split()[0] == hashlib.sha256(data).hexdigest()


async def test_stdin_that_was_not_opened_cannot_be_sent_to(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True)
    with pytest.raises(SandboxException, match="stdin"):
        await handle.send_stdin("x")
    await handle.kill()


async def test_stdin_of_no_process_is_not_found(sandbox: AsyncSandbox) -> None:
    with pytest.raises(NotFoundException):
        await sandbox.commands.send_stdin(4_000_000, "x")
    with pytest.raises(NotFoundException):
        await sandbox.commands.close_stdin(4_000_000)


async def test_a_process_that_closes_its_stdin_is_an_error_to_send_to(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run(
        "exec <&-; touch closed; exec sleep 1000", background=True, stdin=True
    )

    async def closed() -> bool:
        return await sandbox.files.exists("closed")

    await until(closed)
    with pytest.raises(SandboxException, match="closed its standard input"):
        await handle.send_stdin("x" * 1_000_000)
    assert await sandbox.is_running()
    await handle.kill()


async def test_a_process_that_ends_once_it_has_read_all_has_taken_it(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run("read line; echo $line", background=True, stdin=True)
    request = {"op": "write_stdin", "pid": handle.pid}
    deadline = time.monotonic() + 10
    async with sandbox._connection.exchange(request, deadline) as exchange:
        await exchange.send_chunk(DATA, b"read\n", deadline)
        assert (await handle.wait()).stdout == "read\n"
        # Only now does the agent hear that this was all.
        await exchange.send_chunk(END_OF_DATA, b"", deadline)
        assert read_answer(await exchange.receive(deadline)) == {"ok": True}


async def test_a_process_that_never_reads_times_the_sender_out_and_nothing_else(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True, stdin=True)
    with pytest.raises(TimeoutException):
        await handle.send_stdin("x" * 10_000_000, request_timeout=0.5)
    assert (await sandbox.commands.run("echo fine")).stdout == "fine\n"
    await handle.kill()


async def test_a_process_that_ends_while_it_is_sent_to_is_an_error(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("read -n 1 x; exit 0", background=True, stdin=True)
    with pytest.raises(SandboxException):
        await handle.send_stdin("x" * 10_000_000)
    assert (await handle.wait()).exit_code == 0


async def test_data_that_is_neither_text_nor_bytes_is_refused(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    with pytest.raises(SandboxException, match="data"):
        await handle.send_stdin(7)  # type: ignore[arg-type]
    await handle.kill()


# unasync: async
async def test_a_cancelled_wait_leaves_the_command_alone(sandbox: AsyncSandbox) -> None:
    import asyncio

    handle = await sandbox.commands.run("read x; echo $x", background=True, stdin=True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(handle.wait(), 0.1)
    await handle.send_stdin("still here\n")
    assert (await handle.wait()).stdout == "still here\n"


# unasync: sync
# unasync: end
