"""The standard streams of cells: real ones on descriptors 1 and 2, whatever cells do to them."""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import sys
from typing import Any, NoReturn

from IPython.core.error import StdinNotImplementedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Above the descriptors that programs count on.
_FIRST_KEPT_FD = 100


class OutputStream(io.TextIOWrapper):
    """Text on descriptor 1 or 2 that keeps its place among what is written to the other one."""

    def __init__(self, fd: int, name: str, turn: Callable[[OutputStream], None]) -> None:
        # FileIO and not open(): the buffer is the writer's, and the descriptor is nobody's.
        raw = io.FileIO(fd, "wb", closefd=False)
        super().__init__(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        self._label = name
        self._turn = turn

    @property
    def name(self) -> str:
        return self._label

    def write(self, text: str) -> int:
        self._turn(self)
        return super().write(text)

    def close(self) -> None:
        """Only flush: the next cell writes here too."""
        with contextlib.suppress(OSError, ValueError):
            self.flush()


class NoInput(io.TextIOBase):
    """Standard input, on which nothing will ever come."""

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0

    def read(self, _size: int | None = -1) -> NoReturn:
        refuse_input()

    def readline(self, _size: int | None = -1) -> NoReturn:
        refuse_input()


def refuse_input(*_args: Any, **_kwargs: Any) -> NoReturn:
    raise StdinNotImplementedError(
        "nobody can answer here: input() and reading standard input are not supported in a cell. "
        "Put the value into the code, or into a file."
    )


class Streams:
    """Owns the two streams, and a copy of each descriptor to restore it from."""

    def __init__(self) -> None:
        self._settle: Callable[[], None] | None = None
        self._last: OutputStream | None = None
        self._kept = {fd: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FIRST_KEPT_FD) for fd in (1, 2)}
        self._identity = {fd: _identity(fd) for fd in (1, 2)}
        self.stdin = NoInput()
        self._make()

    def _make(self) -> None:
        self.stdout = OutputStream(1, "<stdout>", self._take_turn)
        self.stderr = OutputStream(2, "<stderr>", self._take_turn)

    def close(self) -> None:
        for fd in self._kept.values():
            os.close(fd)
        self._kept.clear()

    def _take_turn(self, stream: OutputStream) -> None:
        if stream is self._last:
            return
        if self._last is not None and self._settle is not None:
            self.settle()
        self._last = stream

    def settle(self) -> None:
        """Have the host take what was written, before anything that may come another way."""
        self.flush()
        self._last = None
        if self._settle is not None:
            self._settle()

    def flush(self) -> None:
        for stream in (self.stdout, self.stderr):
            # Cells may close them or what is under them.
            with contextlib.suppress(OSError, ValueError):
                stream.flush()

    def begin(self, settle: Callable[[], None]) -> None:
        """Before each cell."""
        self._settle, self._last = settle, None
        self._install()

    def end(self) -> None:
        """After each cell."""
        self.flush()
        self._settle = self._last = None
        for fd, kept in self._kept.items():
            if _identity(fd) != self._identity[fd]:
                os.dup2(kept, fd)
            if not os.get_blocking(fd):
                os.set_blocking(fd, True)

    def _install(self) -> None:
        if not _usable(self.stdout) or not _usable(self.stderr):
            self._make()
        sys.stdin = sys.__stdin__ = self.stdin  # type: ignore[misc, assignment]
        sys.stdout = sys.__stdout__ = self.stdout  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = self.stderr  # type: ignore[misc]


def _usable(stream: OutputStream) -> bool:
    try:
        return not stream.closed
    except ValueError:  # it has lost its buffer
        return False


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino
