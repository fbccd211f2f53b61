"""`sandbox.terminal` as E2B 0.17 has it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from localbox import NotFoundException, SandboxNotRunningException, TimeoutException


class Screen:
    """Collects what a terminal shows, and waits for some of it."""

    def __init__(self) -> None:
        self.shown = ""
        self._changed = threading.Condition()

    def take(self, data: str) -> None:
        with self._changed:
            self.shown += data
            self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: text in self.shown, 20), self.shown


def test_a_terminal_is_typed_into_and_shows(sandbox: Any):
    screen, codes = Screen(), []
    terminal = sandbox.terminal.start(
        screen.take, cols=100, rows=30, cwd="/tmp", env_vars={"A": "ü"}, on_exit=codes.append
    )
    terminal.send_data('stty size; echo "$PWD $A"\n')
    screen.wait_for("30 100\r\n/tmp ü\r\n")
    terminal.resize(cols=80, rows=25)
    terminal.send_data("stty size; exit 3\n")
    assert terminal.wait() == terminal.data == screen.shown
    assert "25 80\r\n" in terminal.data
    assert terminal.finished.result() == terminal.data
    assert codes == [3]


def test_a_terminal_can_run_a_program_of_its_own(sandbox: Any):
    ended: list[bool] = []
    terminal = sandbox.terminal.start(
        lambda data: None,
        80,
        24,
        rootdir="/tmp",
        terminal_id="mine",
        cmd="tty; pwd",
        on_exit=lambda: ended.append(True),
    )
    assert terminal.wait(timeout=20) == "/dev/pts/0\r\n/tmp\r\n"
    assert (terminal.terminal_id, ended) == ("mine", [True])


def test_a_terminal_is_waited_for_and_killed(sandbox: Any):
    terminal = sandbox.terminal.start(lambda data: None, 80, 24)
    with pytest.raises(TimeoutException):
        terminal.wait(timeout=0.05)
    terminal.kill()
    assert terminal.finished.done()
    with pytest.raises(NotFoundException):
        terminal.send_data("x")


def test_a_callback_may_kill_its_terminal(sandbox: Any):
    terminals: list[Any] = []
    started = threading.Event()

    def kill(_data: str) -> None:
        started.wait()
        terminals[0].kill()

    terminals.append(sandbox.terminal.start(kill, 80, 24))
    started.set()
    terminals[0].wait(timeout=20)


def test_an_error_in_a_callback_is_raised_by_wait(sandbox: Any):
    def broken(_data: str) -> None:
        raise ZeroDivisionError

    terminal = sandbox.terminal.start(broken, 80, 24)
    with pytest.raises(ZeroDivisionError):
        terminal.wait(timeout=20)


def test_a_terminal_ends_with_its_sandbox(sandbox: Any):
    terminal = sandbox.terminal.start(lambda data: None, 80, 24)
    sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        terminal.wait(timeout=20)
