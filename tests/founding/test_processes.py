"""`sandbox.process` as E2B 0.17 and the founding document have it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from localbox import InvalidArgumentException, SandboxNotRunningException, TimeoutException
from localbox.legacy_process import ProcessMessage, ProcessOutput, _Kept, _Lines


def test_output_comes_in_lines_without_their_ends(sandbox: Any):
    output = sandbox.process.start_and_wait("printf 'a\\nb\\n'; echo oops >&2; printf c")
    assert output.stdout == "a\nb\nc"
    assert output.stderr == "oops"
    assert sorted(str(message) for message in output.messages) == ["a", "b", "c", "oops"]
    assert (output.error, output.exit_code) == (True, 0)


def test_an_exit_code_other_than_0_is_no_exception(sandbox: Any):
    output = sandbox.process.start_and_wait("echo before; exit 3")
    assert (output.stdout, output.exit_code, output.error) == ("before", 3, False)


def test_variables_and_directory_are_those_asked_for(sandbox: Any):
    output = sandbox.process.start_and_wait("echo $A; pwd", env_vars={"A": "1"}, cwd="/tmp")
    assert output.stdout == "1\n/tmp"


def test_a_directory_that_is_not_there_is_an_error(sandbox: Any):
    with pytest.raises(InvalidArgumentException, match="/nowhere"):
        sandbox.process.start_and_wait("pwd", cwd="/nowhere")


def test_a_timeout_ends_the_run(sandbox: Any):
    with pytest.raises(TimeoutException):
        sandbox.process.start_and_wait("sleep 1000", timeout=0.2)
    assert sandbox.commands.list() == []


def test_waiting_process_reads_an_empty_standard_input(sandbox: Any):
    assert sandbox.process.start_and_wait("cat; echo end").stdout == "end"


def test_callbacks_of_a_waiting_call_come_before_it_returns(sandbox: Any):
    told: list[object] = []
    sandbox.process.start_and_wait(
        "echo out; exit 2", on_stdout=lambda m: told.append(m.line), on_exit=told.append
    )
    assert told == ["out", 2]


def test_a_started_process_is_fed_and_read_while_it_runs(sandbox: Any):
    echoed, exited = threading.Event(), threading.Event()
    lines: list[ProcessMessage] = []

    def on_stdout(message: ProcessMessage) -> None:
        lines.append(message)
        echoed.set()

    process = sandbox.process.start(
        "read line; echo got $line; read rest", on_stdout=on_stdout, on_exit=exited.set
    )
    assert len(process.process_id) == 12
    assert process.exit_code is None
    process.send_stdin("hello\n")
    assert echoed.wait(30)
    assert process.stdout == "got hello"
    assert not process.finished.done()
    process.send_stdin("\n")
    output = process.wait(30)
    assert exited.is_set()
    assert (output.exit_code, process.exit_code, process.error) == (0, 0, False)
    assert output is process.output is process.finished.result()
    assert [(m.line, m.error, m.timestamp > 0) for m in lines] == [("got hello", False, True)]
    assert process.output_messages == lines


def test_killing_returns_when_the_process_has_ended(sandbox: Any):
    process = sandbox.process.start("echo on >&2; sleep 1000", process_id="mine", background=True)
    process.kill()
    assert process.process_id == "mine"
    assert process.finished.done()
    assert process.exit_code == -1


def test_a_callback_may_kill_its_process(sandbox: Any):
    started = threading.Event()

    def kill(_message: ProcessMessage) -> None:
        assert started.wait(30)
        process.kill()

    process = sandbox.process.start("echo now; sleep 1000", on_stdout=kill)
    started.set()
    assert process.wait(30).exit_code == -1


def test_without_background_start_waits(sandbox: Any):
    assert sandbox.process.start("echo x", background=False).exit_code == 0


def test_waiting_no_longer_than_asked_leaves_the_process_running(sandbox: Any):
    process = sandbox.process.start("read line")
    with pytest.raises(TimeoutException, match=r"0\.01 s"):
        process.wait(0.01)
    process.send_stdin("\n")
    assert process.wait(30).exit_code == 0


def test_who_waits_learns_that_the_sandbox_has_ended(sandbox: Any):
    process = sandbox.process.start("sleep 1000")
    sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        process.wait(30)


def test_who_waits_gets_what_a_callback_raises(sandbox: Any):
    def fail(_message: ProcessMessage) -> None:
        raise ZeroDivisionError

    process = sandbox.process.start("echo x; sleep 1000", on_stdout=fail)
    with pytest.raises(ZeroDivisionError):
        process.wait(30)


def test_what_is_kept_is_bounded_and_says_so():
    told: list[str] = []
    kept = _Kept(ProcessOutput(), 1000)
    lines = _Lines(kept, lambda message: told.append(message.line), error=False)
    lines.take("\n" * 50)
    kept.finish()
    assert len(told) == 50
    *empty, note = kept.output.messages
    assert {message.line for message in empty} == {""}
    assert f"{50 - len(empty)} lines dropped" in note.line
    assert note.error


def test_a_line_without_end_comes_in_parts():
    kept = _Kept(ProcessOutput(), 100_000_000)
    lines = _Lines(kept, None, error=False)
    for _ in range(3):
        lines.take("x" * 600_000)
    lines.finish()
    assert [len(message.line) for message in kept.output.messages] == [1_200_000, 600_000]
