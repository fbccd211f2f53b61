"""Somebody at a terminal: types, and reads what it shows."""

from __future__ import annotations

# unasync: async
import asyncio

# unasync: sync
# from collections.abc import Iterator
# unasync: end
import re
from typing import Any, Self

from localbox import AsyncCommandHandle, AsyncSandbox, PtySize

SIZE = PtySize(rows=24, cols=80)


class Shell:
    """A terminal's handle, and what it showed since it was last looked at."""

    def __init__(self, sandbox: AsyncSandbox) -> None:
        self._sandbox = sandbox
        self.handle: AsyncCommandHandle[Any]
        self.shown = b""
        # unasync: async
        self._something_shown = asyncio.Event()
        # unasync: sync
        # self._pieces: Iterator[tuple[str | None, str | None, bytes | None]]
        # unasync: end

    @classmethod
    async def open(cls, sandbox: AsyncSandbox, size: PtySize = SIZE, **options: Any) -> Self:
        shell = cls(sandbox)
        # unasync: async
        shell.handle = await sandbox.pty.create(size, shell.take, **options)
        # unasync: sync
        # shell.handle = sandbox.pty.create(size, **options)
        # shell._pieces = iter(shell.handle)
        # unasync: end
        return shell

    @classmethod
    async def join(cls, sandbox: AsyncSandbox, pid: int) -> Self:
        shell = cls(sandbox)
        # unasync: async
        shell.handle = await sandbox.pty.connect(pid, shell.take)
        # unasync: sync
        # shell.handle = sandbox.pty.connect(pid)
        # shell._pieces = iter(shell.handle)
        # unasync: end
        return shell

    # unasync: async
    def take(self, data: bytes) -> None:
        self.shown += data
        self._something_shown.set()

    # unasync: sync
    # unasync: end
    async def type(self, text: bytes) -> None:
        await self._sandbox.pty.send_stdin(self.handle.pid, text)

    async def shows(self, pattern: bytes) -> re.Match[bytes]:
        """Wait until it shows something; what came before is then behind us."""
        while (found := re.search(pattern, self.shown)) is None:
            # unasync: async
            self._something_shown.clear()
            try:
                await asyncio.wait_for(self._something_shown.wait(), 10)
            except TimeoutError:
                raise AssertionError(f"{pattern!r} is not in {self.shown!r}") from None
            # unasync: sync
            # stdout, stderr, data = next(self._pieces)
            # assert stdout is None
            # assert stderr is None
            # assert isinstance(data, bytes)
            # self.shown += data
            # unasync: end
        self.shown = self.shown[found.end() :]
        return found

    async def says(self, command: bytes, pattern: bytes) -> re.Match[bytes]:
        """Type a command; its output, at the beginning of a line, is waited for."""
        await self.type(command + b"\n")
        return await self.shows(rb"[\r\n]" + pattern)

    async def prompts(self) -> None:
        """Wait until the shell asks again: some of what is typed before that bash loses."""
        await self.shows(rb"\$ ")
