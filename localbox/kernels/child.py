"""An interpreter in a process of its own, which keeps the state of a context between cells.

It says what comes of a cell in lines on a pipe that is nobody's standard output. Interrupts are
passed on to it from the signal handler itself, so that none is ever raised as an exception here.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localbox.kernels.port import Cell

# Longer than any report can rightly be; what is over it is thrown away.
_MAX_LINE_BYTES = 64 * 1024 * 1024
# A program may take its time to end, and may not have been there yet for the first interrupt.
_INTERRUPT_AGAIN_MS = 250
# Of <linux/fcntl.h>; Python's own name for it is missing in some builds.
_F_SETSIG = 10


class Child:
    """One such process, in a process group of its own.

    Attributes:
        interrupted: an interrupt has come since `attend`.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        reports_fd: int = -1,
        pass_fds: Sequence[int],
        stdin: int = subprocess.DEVNULL,
        stdout: int | None = None,
        stderr: int | None = None,
        env: Mapping[str, str] | None = None,
        lifeline: tuple[int, int],
    ) -> None:
        """Start it.

        Args:
            reports_fd: where its lines are read, if it makes any; it has the other end among
                `pass_fds`.
            lifeline: a pipe whose reading end the child has among `pass_fds`, as one that it does
                not pass on. Its other end is nowhere but here, so that when this process ends,
                however that comes, the child and its programs are killed.
        """
        self.interrupted = False
        self._attempt = 0
        self._interrupt: Callable[[int], None] | None = None
        self._reports_fd = reports_fd
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._process = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            env=env,
            process_group=0,
        )
        self._pidfd = os.pidfd_open(self._process.pid)
        reading_fd, self._lifeline = lifeline
        # The end of the pipe is a signal to the whole group. See fcntl(2).
        fcntl.fcntl(reading_fd, fcntl.F_SETOWN, -self._process.pid)
        fcntl.fcntl(reading_fd, _F_SETSIG, signal.SIGKILL)
        flags = fcntl.fcntl(reading_fd, fcntl.F_GETFL)
        fcntl.fcntl(reading_fd, fcntl.F_SETFL, flags | fcntl.FASYNC)
        self._poll = select.poll()
        if reports_fd >= 0:
            os.set_blocking(reports_fd, False)
            self._poll.register(reports_fd, select.POLLIN)
        self._poll.register(self._pidfd, select.POLLIN)
        # A signal handler alone does not end a poll that has begun without a timeout: PEP 475.
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake_fd, select.POLLIN)
        signal.signal(signal.SIGINT, self._on_interrupt)

    def attend(self, interrupt: Callable[[int], None], *, interrupted: bool = False) -> None:
        """A cell begins. `interrupt` is called by the signal handler, and from then on four times
        a second with the number of the attempt, until `leave`.
        """
        self._attempt = 0
        self.interrupted = interrupted
        self._interrupt = interrupt

    def leave(self) -> None:
        """The cell has ended."""
        self._interrupt = None

    def signal_group(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def has_died(self) -> bool:
        return self._process.poll() is not None

    def next_line(self) -> bytes | None:
        """Its next report; None when it has died and all reports have been read."""
        while not self._lines:
            ready = dict(self._poll.poll(_INTERRUPT_AGAIN_MS if self.interrupted else None))
            if self._wake_fd in ready:
                os.eventfd_read(self._wake_fd)
            if not ready and self._interrupt is not None:
                self._attempt += 1
                self._interrupt(self._attempt)
            if not self._take_reports() and self._pidfd in ready:
                return None
        return self._lines.pop(0)

    def _take_reports(self) -> bool:
        try:
            data = os.read(self._reports_fd, 1 << 16)
        except BlockingIOError:
            return False
        self._buffer += data
        if b"\n" in data:
            *self._lines, rest = bytes(self._buffer).split(b"\n")
            self._buffer[:] = rest
        elif len(self._buffer) > _MAX_LINE_BYTES:
            self._buffer.clear()
        return bool(data)

    def close(self) -> None:
        """End it at once."""
        self.signal_group(signal.SIGKILL)
        self._process.wait()
        os.close(self._pidfd)
        os.close(self._wake_fd)
        os.close(self._lifeline)

    def fail(self, cell: Cell, name: str, hint: str = "") -> None:
        """It has died: that is the cell's error, and the context's end. Ends what is left of it."""
        code = self._process.wait()
        self.signal_group(signal.SIGKILL)
        if code >= 0:
            cell.restart = f"{name} exited with status {code}{hint}"
            cell.fail("SystemExit", cell.restart, "")
            return
        text = f"signal {-code}"
        with contextlib.suppress(ValueError):
            text = signal.Signals(-code).name
        cell.restart = f"{name} was killed by {text}"
        cell.fail("KernelDied", cell.restart, "")

    def _on_interrupt(self, _number: int, _frame: object) -> None:
        if self._interrupt is not None:
            self.interrupted = True
            self._attempt = 0
            os.eventfd_write(self._wake_fd, 1)
            self._interrupt(0)
