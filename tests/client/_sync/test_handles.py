# generated from tests/client/_async/test_handles.py by scripts/unasync.py; edit that, not this
"""Commands in the background: handles, the list of processes, standard input."""

from __future__ import annotations

import time

import pytest

from localbox import (
    CommandExitException,
    CommandHandle,
    NotFoundException,
    Sandbox,
    SandboxException,
    TimeoutException,
)
from localbox.engine.answers import read_answer
from localbox.protocol.frames import DATA, END_OF_DATA
from tests.client._sync.doing import until


def test_a_background_command_gives_a_handle_at_once(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True)
    assert isinstance(handle, CommandHandle)
    assert sandbox.commands.run(f"cat /proc/{handle.pid}/comm").stdout in (
        "sleep\n",
        "bash\n",
    )
    assert handle.kill() is True
    with pytest.raises(CommandExitException) as caught:
        handle.wait()
    assert caught.value.exit_code == -1
    assert caught.value.error == "signal: killed"


def test_wait_returns_the_result(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("echo out; echo err >&2", background=True)
    result = handle.wait()
    assert (result.stdout, result.stderr, result.exit_code) == ("out\n", "err\n", 0)


def test_output_can_be_followed(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("echo out; echo err >&2; exit 5", background=True)
    pieces = list(handle)
    assert sorted(pieces, key=str) == [("out\n", None, None), (None, "err\n", None)] or sorted(
        pieces, key=str
    ) == [(None, "err\n", None), ("out\n", None, None)]
    with pytest.raises(CommandExitException):
        handle.wait()
    handle = sandbox.commands.run("echo out; echo err >&2", background=True)
    out, err = [], []
    result = handle.wait(on_stdout=out.append, on_stderr=err.append)
    assert "".join(out) == result.stdout == "out\n"
    assert "".join(err) == result.stderr == "err\n"


def test_the_timeout_counts_for_background_commands(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, timeout=0.3)
    with pytest.raises(TimeoutException):
        handle.wait()

    def gone() -> bool:
        return sandbox.commands.list() == []

    until(gone)


def test_list_names_what_was_started(sandbox: Sandbox) -> None:
    assert sandbox.commands.list() == []
    handle = sandbox.commands.run("sleep 1000", background=True, cwd="/tmp", envs={"MARK": "1"})
    (process,) = sandbox.commands.list()
    assert process.pid == handle.pid
    assert process.cmd == "/bin/bash"
    assert process.args == ["-l", "-c", "sleep 1000"]
    assert process.cwd == "/tmp"
    assert process.envs["MARK"] == "1"
    assert sandbox.commands.kill(handle.pid) is True

    def gone() -> bool:
        return sandbox.commands.list() == []

    until(gone)


def test_kill_of_what_does_not_run_is_false(sandbox: Sandbox) -> None:
    assert sandbox.commands.kill(4_000_000) is False
    handle = sandbox.commands.run("true", background=True)
    handle.wait()
    assert handle.kill() is False


def test_kill_takes_the_children_of_the_shell_along(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000 & sleep 1000 & wait", background=True)

    def sleepers() -> str:
        return sandbox.commands.run("pgrep -c sleep || true").stdout

    def both() -> bool:
        return sleepers() == "2\n"

    def none() -> bool:
        return sleepers() == "0\n"

    until(both)
    handle.kill()
    until(none)


def test_only_commands_started_here_can_be_killed_by_pid(sandbox: Sandbox) -> None:
    assert sandbox.commands.kill(1) is False
    assert sandbox.is_running()


def test_connect_listens_to_a_running_command(sandbox: Sandbox) -> None:
    first = sandbox.commands.run("read line; echo got $line", background=True, stdin=True)
    second = sandbox.commands.connect(first.pid)
    assert second.pid == first.pid
    second.send_stdin("it\n")
    assert second.wait().stdout == "got it\n"
    assert first.wait().stdout == "got it\n"


def test_connect_to_nothing_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundException):
        sandbox.commands.connect(4_000_000)


def test_a_command_goes_on_after_disconnect(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run(
        "read line; head -c 1000000 /dev/zero; echo done > end", background=True, stdin=True
    )
    handle.disconnect()
    assert [process.pid for process in sandbox.commands.list()] == [handle.pid]
    sandbox.commands.send_stdin(handle.pid, "go\n")

    def done() -> bool:
        return sandbox.files.exists("end")

    until(done)


def test_stdin_is_empty_unless_asked_for(sandbox: Sandbox) -> None:
    assert sandbox.commands.run("cat; echo end").stdout == "end\n"


def test_stdin_reaches_the_command_and_ends_when_closed(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    handle.send_stdin("text ü\n")
    handle.send_stdin(b"bytes\n")
    sandbox.commands.send_stdin(handle.pid, "more\n")
    handle.close_stdin()
    assert handle.wait().stdout == "text ü\nbytes\nmore\n"


def test_close_stdin_by_pid(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("wc -c", background=True, stdin=True)
    sandbox.commands.close_stdin(handle.pid)
    assert handle.wait().stdout == "0\n"


def test_stdin_of_megabytes_arrives_whole(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sha256sum", background=True, stdin=True)
    data = bytes(range(256)) * 40_000
    handle.send_stdin(data)
    handle.close_stdin()
    import hashlib

    assert handle.wait().stdout.split()[0] == hashlib.sha256(data).hexdigest()


def test_stdin_that_was_not_opened_cannot_be_sent_to(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True)
    with pytest.raises(SandboxException, match="stdin"):
        handle.send_stdin("x")
    handle.kill()


def test_stdin_of_no_process_is_not_found(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundException):
        sandbox.commands.send_stdin(4_000_000, "x")
    with pytest.raises(NotFoundException):
        sandbox.commands.close_stdin(4_000_000)


def test_a_process_that_closes_its_stdin_is_an_error_to_send_to(
    sandbox: Sandbox,
) -> None:
    handle = sandbox.commands.run(
        "exec <&-; touch closed; exec sleep 1000", background=True, stdin=True
    )

    def closed() -> bool:
        return sandbox.files.exists("closed")

    until(closed)
    with pytest.raises(SandboxException, match="closed its standard input"):
        handle.send_stdin("x" * 1_000_000)
    assert sandbox.is_running()
    handle.kill()


def test_a_process_that_ends_once_it_has_read_all_has_taken_it(
    sandbox: Sandbox,
) -> None:
    handle = sandbox.commands.run("read line; echo $line", background=True, stdin=True)
    request = {"op": "write_stdin", "pid": handle.pid}
    deadline = time.monotonic() + 10
    with sandbox._connection.exchange(request, deadline) as exchange:
        exchange.send_chunk(DATA, b"read\n", deadline)
        assert handle.wait().stdout == "read\n"
        # Only now does the agent hear that this was all.
        exchange.send_chunk(END_OF_DATA, b"", deadline)
        assert read_answer(exchange.receive(deadline)) == {"ok": True}


def test_a_process_that_never_reads_times_the_sender_out_and_nothing_else(
    sandbox: Sandbox,
) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, stdin=True)
    with pytest.raises(TimeoutException):
        handle.send_stdin("x" * 10_000_000, request_timeout=0.5)
    assert sandbox.commands.run("echo fine").stdout == "fine\n"
    handle.kill()


def test_a_process_that_ends_while_it_is_sent_to_is_an_error(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("read -n 1 x; exit 0", background=True, stdin=True)
    with pytest.raises(SandboxException):
        handle.send_stdin("x" * 10_000_000)
    assert handle.wait().exit_code == 0


def test_data_that_is_neither_text_nor_bytes_is_refused(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    with pytest.raises(SandboxException, match="data"):
        handle.send_stdin(7)  # type: ignore[arg-type]
    handle.kill()
