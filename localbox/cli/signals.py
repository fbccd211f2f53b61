"""Turns the signals that end a program into an exception, so that its sandbox ends first."""

from __future__ import annotations

import os
import signal
import types


class SignalReceivedError(BaseException):
    """A signal asked this program to end. Not an Exception: nothing shall handle it by chance."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def raise_on_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Ignored from the start (nohup, a shell's background jobs) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _raise_once)


def _raise_once(number: int, _frame: types.FrameType | None) -> None:
    # A second Ctrl-C while the first is still being worked off: leave at once. The zygote notices
    # and takes the sandbox with it.
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, lambda number, _frame: os._exit(128 + number))
    raise SignalReceivedError(number)
