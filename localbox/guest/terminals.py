"""Shells on pseudo-terminals of the sandbox's own devpts.

The agent keeps the master. What the shell's programs do to their side, a termios of their own or
a terminal nobody reads, is between them and the kernel: the master never blocks.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from collections.abc import Callable

from localbox.guest.loop import HANGUP
from localbox.guest.processes import Process, limit_cpu_time
from localbox.protocol.frames import PTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    # Descriptor, rows, columns; an ioctl, and Python's module for those is not in every process.
    SetWindowSize = Callable[[int, int, int], None]

_BATCH_BYTES = 60 * 1024
# Each pass finds what was forked during the one before it, and a killed process forks no more.
_KILL_PASSES = 50


class NoTerminalLeftError(Exception):
    """The sandbox, or the machine, has as many as it can have."""


class Terminal(Process):
    """A shell on a terminal; it ends with the shell, as a terminal's window does."""

    is_terminal = True

    _master_fd = -1

    def attach(self, fds: list[int]) -> None:
        self._master_fd, writer_fd = fds
        self._attach_output(self._master_fd, PTY)
        self._attach_stdin(writer_fd)

    def resize(self, rows: int, cols: int, set_window_size: SetWindowSize) -> None:
        """Change the size; the kernel sends SIGWINCH to the foreground's process group."""
        if self._master_fd in self._outputs:
            set_window_size(self._master_fd, rows, cols)

    def kill(self) -> None:
        """SIGKILL for the whole session: job control gives each job a process group of its own."""
        super().kill()
        seen: set[int] = set()
        # What cannot be looked at or killed must not end the agent.
        with contextlib.suppress(OSError):
            for _ in range(_KILL_PASSES):
                new = set(_members_of_session(self.pid)) - seen
                if not new:
                    break
                for pid in new:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, signal.SIGKILL)
                seen |= new

    def exited(self, status: int) -> None:
        super().exited(status)
        # Jobs left behind lose their terminal, as they would with its window.
        for fd in list(self._outputs):
            self._drop_output(fd)

    def _read_chunk(self, fd: int) -> bytes:
        # The kernel hands out 4 KiB at a time.
        pieces = [super()._read_chunk(fd)]
        size = len(pieces[0])
        while size < _BATCH_BYTES:
            try:
                piece = super()._read_chunk(fd)
            except OSError:
                break  # nothing more now; or the end, which is told again next time
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    def _flush_stdin(self, events: int) -> None:
        # Nobody has the other side open any more. A write is still "try again", for ever.
        if events & HANGUP:
            self._drop_stdin("the terminal was hung up")
        else:
            super()._flush_stdin(events)


def spawn_terminal(
    argv: list[str],
    *,
    env: dict[str, str],
    cwd: str,
    rows: int,
    cols: int,
    set_window_size: SetWindowSize,
    cpu_time_s: int | None,
) -> tuple[int, int, int]:
    """Start a program on a terminal that controls its session.

    Returns:
        Its pid, the master, and a duplicate of that to write to: the loop has one callback for
        each descriptor. Both are ours to close.

    Raises:
        NoTerminalLeftError: guest programs have them all.
        OSError: it could not be started.
    """
    try:
        master_fd, slave_fd = os.openpty()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise NoTerminalLeftError from None
        raise
    ours = [master_fd]
    try:
        ours.append(os.dup(master_fd))
        set_window_size(slave_fd, rows, cols)
        # A leader of a session without a terminal gets the one it opens first: see tty_open in
        # the kernel. So there is no TIOCSCTTY to make between fork and exec.
        file_actions: Any = [
            (os.POSIX_SPAWN_OPEN, 0, os.ttyname(slave_fd), os.O_RDWR, 0),
            (os.POSIX_SPAWN_DUP2, 0, 1),
            (os.POSIX_SPAWN_DUP2, 0, 2),
        ]
        # As for commands: see spawn.
        os.chdir(cwd)
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                env,
                file_actions=file_actions,
                setsid=True,
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        finally:
            os.chdir("/")
        limit_cpu_time(pid, cpu_time_s)
        return pid, ours[0], ours[1]
    except BaseException:
        for fd in ours:
            os.close(fd)
        raise
    finally:
        os.close(slave_fd)


def _members_of_session(session: int) -> list[int]:
    members = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(ProcessLookupError):
                if os.getsid(int(name)) == session:
                    members.append(int(name))
    return members
