"""A terminal with the real command on it, and somebody who types."""

from __future__ import annotations

import fcntl
import os
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.cli.command import ARGV, PATIENCE_S, environment

_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07|\r")
# A shell does this between fork and exec: Ctrl-C needs a terminal that is the session's own.
_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class Terminal:
    """The command on a pseudo-terminal of its own; ends with the `with` block.

    Attributes:
        shown: what has been written to it, without the commands for the terminal itself.
    """

    def __init__(self, *words: str, cwd: Path, term: str = "xterm", **more: str) -> None:
        self.shown = ""
        self._seen = 0
        self._fd, terminal = os.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 40, 100, 0, 0))
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TAKE_TERMINAL, *ARGV, *words],
                stdin=terminal,
                stdout=terminal,
                stderr=terminal,
                cwd=cwd,
                # No CPR: nobody here would answer where the cursor is.
                env=environment(TERM=term, PROMPT_TOOLKIT_NO_CPR="1", **more),
                start_new_session=True,
            )
        finally:
            os.close(terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the terminal, as who closes its window does."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def type(self, text: str) -> None:
        """Press keys; `\\r` is Enter, `\\x03` Ctrl-C, `\\x04` Ctrl-D."""
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> str:
        """Wait until this is shown, after all that was waited for before; returns what came."""
        deadline = time.monotonic() + PATIENCE_S
        while (found := self.shown.find(text, self._seen)) < 0:
            assert self._read(deadline), f"ended without {text!r}:\n{self.shown[self._seen :]}"
        came = self.shown[self._seen : found + len(text)]
        self._seen = found + len(text)
        return came

    def wait(self) -> int:
        """Wait for the end; returns the exit code."""
        deadline = time.monotonic() + PATIENCE_S
        while self._fd >= 0 and self._read(deadline):
            pass
        return self._process.wait(PATIENCE_S)

    def _read(self, deadline: float) -> bool:
        readable, _, _ = select.select([self._fd], [], [], deadline - time.monotonic())
        assert readable, f"nothing came; so far:\n{self.shown}"
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            return False  # as a pty says that its other end is closed
        self.shown += _ESCAPES.sub("", data.decode("utf-8", "replace"))
        return bool(data)
