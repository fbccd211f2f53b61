# generated from tests/client/_async/terminals.py by scripts/unasync.py; edit that, not this
"""Somebody at a terminal: types, and reads what it shows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Self

from localbox import CommandHandle, PtySize, Sandbox

SIZE = PtySize(rows=24, cols=80)


class Shell:
    """A terminal's handle, and what it showed since it was last looked at."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.handle: CommandHandle[Any]
        self.shown = b""
        self._pieces: Iterator[tuple[str | None, str | None, bytes | None]]

    @classmethod
    def open(cls, sandbox: Sandbox, size: PtySize = SIZE, **options: Any) -> Self:
        shell = cls(sandbox)
        shell.handle = sandbox.pty.create(size, **options)
        shell._pieces = iter(shell.handle)
        return shell

    @classmethod
    def join(cls, sandbox: Sandbox, pid: int) -> Self:
        shell = cls(sandbox)
        shell.handle = sandbox.pty.connect(pid)
        shell._pieces = iter(shell.handle)
        return shell

    def type(self, text: bytes) -> None:
        self._sandbox.pty.send_stdin(self.handle.pid, text)

    def shows(self, pattern: bytes) -> re.Match[bytes]:
        """Wait until it shows something; what came before is then behind us."""
        while (found := re.search(pattern, self.shown)) is None:
            stdout, stderr, data = next(self._pieces)
            assert stdout is None
            assert stderr is None
            assert isinstance(data, bytes)
            self.shown += data
        self.shown = self.shown[found.end() :]
        return found

    def says(self, command: bytes, pattern: bytes) -> re.Match[bytes]:
        """Type a command; its output, at the beginning of a line, is waited for."""
        self.type(command + b"\n")
        return self.shows(rb"[\r\n]" + pattern)

    def prompts(self) -> None:
        """Wait until the shell asks again: some of what is typed before that bash loses."""
        self.shows(rb"\$ ")
