"""Commands the host started: their pipes, their subscribers, their end."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from collections.abc import Callable

from localbox.guest.connection import Connection, error_message
from localbox.guest.loop import HANGUP, READ, WRITE, Loop, Timer
from localbox.protocol.frames import STDERR, STDOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK_BYTES = 64 * 1024
# What a dead command's pipe may still hold is at most its capacity; a daemon it left behind could
# go on filling it, so the last look is bounded.
_LAST_LOOK_BYTES = 1024 * 1024
_STDIN_HIGH_WATER_BYTES = 256 * 1024


class Process:
    """One started command. Output goes to every subscriber; with none it is read and dropped."""

    is_terminal = False

    def __init__(self, loop: Loop, pid: int, config: dict[str, Any]) -> None:
        self.pid = pid
        self.config = config
        self._loop = loop
        self._outputs: dict[int, int] = {}  # descriptor -> STDOUT, STDERR or PTY
        self._paused = False
        self._subscribers: list[Connection] = []
        self._stdin_fd = -1
        self._stdin_out = bytearray()
        self._stdin_close_when_empty = False
        self._on_stdin_empty: list[Callable[[str | None], None]] = []
        self._input_was_lost = False
        self._deadline: Timer | None = None
        self._timed_out = False
        self.ended = False

    def attach(self, fds: list[int]) -> None:
        """Take the descriptors that the program was started with the other ends of."""
        stdin_fd, stdout_fd, stderr_fd = fds
        self._attach_stdin(stdin_fd)
        for fd, kind in ((stdout_fd, STDOUT), (stderr_fd, STDERR)):
            self._attach_output(fd, kind)

    def watch_status(self, fd: int, ended: Callable[[], object]) -> None:
        """Take the exit code that a program of ours writes to `fd` as its end.

        Nothing on it before it closes means that the program ended in another way: then the
        kernel's word is waited for. See `exited`.
        """

        def ready(_events: int) -> None:
            self._loop.unwatch(fd)
            code = os.read(fd, 1)
            os.close(fd)
            if code and not self.ended:
                ended()
                self.exited(code[0] << 8)

        self._loop.watch(fd, READ, ready)

    def set_deadline(self, timeout_s: float | None) -> None:
        if timeout_s:
            self._deadline = self._loop.call_later(timeout_s, self._expire)

    def subscribe(self, connection: Connection, *, tell_pid_now: bool = True) -> None:
        """Send this process's output to `connection`, after a message that has the pid.

        Args:
            tell_pid_now: False leaves that message until there is something else to say.
        """
        self._subscribers.append(connection)
        connection.on_close = lambda: self._unsubscribe(connection)
        connection.on_drain = self._resume
        start = {"start": {"pid": self.pid}}
        if tell_pid_now:
            connection.send_message(start)
        else:
            connection.hold_message(start)

    def kill(self) -> None:
        """SIGKILL for the whole process group, so that a shell's children do not stay behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def write_stdin(self, data: bytes) -> None:
        self._stdin_out += data
        self._flush_stdin(0)

    @property
    def stdin_congested(self) -> bool:
        return len(self._stdin_out) > _STDIN_HIGH_WATER_BYTES

    @property
    def stdin_open(self) -> bool:
        return self._stdin_fd >= 0 and not self._stdin_close_when_empty

    @property
    def stdin_lost(self) -> bool:
        return self._stdin_fd < 0

    def when_stdin_written(self, callback: Callable[[str | None], None]) -> None:
        """Call back with None once all is in the pipe, or with why it never will be."""
        if self._stdin_out:
            self._on_stdin_empty.append(callback)
        else:
            # One that read all of it and ended since has taken what it was sent.
            callback("the process closed its standard input" if self._input_was_lost else None)

    def close_stdin(self) -> None:
        self._stdin_close_when_empty = True
        if not self._stdin_out:
            self._drop_stdin(None)

    def exited(self, status: int) -> None:
        """The process was reaped with wait status `status`: tell the subscribers and let go."""
        self.ended = True
        if self._deadline is not None:
            self._deadline.cancel()
        for fd in list(self._outputs):
            self._last_look(fd)
        self._drop_stdin("the process has ended")
        if self._timed_out:
            message = error_message("deadline_exceeded", "the command's timeout expired")
        else:
            message = {"end": describe_exit(status)}
        for connection in list(self._subscribers):
            connection.on_close = None
            connection.on_drain = None
            connection.finish(message)
        self._subscribers.clear()
        # A daemon may hold the pipes; it is read on and dropped, or its next write would kill it.
        self._resume()

    def _expire(self) -> None:
        self._timed_out = True
        self.kill()

    def _unsubscribe(self, connection: Connection) -> None:
        with contextlib.suppress(ValueError):
            self._subscribers.remove(connection)
        self._resume()

    def _attach_stdin(self, fd: int) -> None:
        self._stdin_fd = fd
        if fd >= 0:
            os.set_blocking(fd, False)

    def _attach_output(self, fd: int, kind: int) -> None:
        os.set_blocking(fd, False)
        self._outputs[fd] = kind
        self._watch_output(fd)

    def _watch_output(self, fd: int) -> None:
        self._loop.watch(fd, READ, lambda _events: self._forward_output(fd))

    def _forward_output(self, fd: int) -> None:
        self._read_output(fd)

    def _read_output(self, fd: int) -> int:
        """Forward one chunk; how many bytes it had, 0 when there is nothing now or ever."""
        try:
            chunk = self._read_chunk(fd)
        except BlockingIOError:
            return 0
        except OSError:
            chunk = b""
        if not chunk:
            self._drop_output(fd)
            return 0
        kind = self._outputs[fd]
        for connection in list(self._subscribers):
            connection.send_chunk(kind, chunk)
        if not self._paused and any(c.congested for c in self._subscribers):
            self._pause()
        return len(chunk)

    def _read_chunk(self, fd: int) -> bytes:
        return os.read(fd, _CHUNK_BYTES)

    def _drop_output(self, fd: int) -> None:
        self._loop.unwatch(fd)
        del self._outputs[fd]
        os.close(fd)

    def _last_look(self, fd: int) -> None:
        budget = _LAST_LOOK_BYTES
        while budget > 0 and fd in self._outputs:
            count = self._read_output(fd)
            if not count:
                break
            budget -= count

    def _pause(self) -> None:
        self._paused = True
        for fd in self._outputs:
            self._loop.unwatch(fd)

    def _resume(self) -> None:
        if self._paused and not any(c.congested for c in self._subscribers):
            self._paused = False
            for fd in self._outputs:
                self._watch_output(fd)

    def _flush_stdin(self, events: int) -> None:
        fd = self._stdin_fd
        if fd < 0:
            self._drop_stdin("the process closed its standard input")
            return
        try:
            while self._stdin_out:
                del self._stdin_out[: os.write(fd, self._stdin_out[:_CHUNK_BYTES])]
        except BlockingIOError:
            self._loop.watch(fd, WRITE | HANGUP, self._flush_stdin)
            return
        except OSError:
            self._drop_stdin("the process closed its standard input")
            return
        self._loop.unwatch(fd)
        self._tell_stdin_writers(None)
        if self._stdin_close_when_empty:
            self._drop_stdin(None)

    def _drop_stdin(self, why: str | None) -> None:
        if self._stdin_fd >= 0:
            self._loop.unwatch(self._stdin_fd)
            os.close(self._stdin_fd)
            self._stdin_fd = -1
        self._input_was_lost |= bool(self._stdin_out)
        self._stdin_out.clear()
        self._tell_stdin_writers(why)

    def _tell_stdin_writers(self, why: str | None) -> None:
        callbacks, self._on_stdin_empty = self._on_stdin_empty, []
        for callback in callbacks:
            callback(why)


def describe_exit(status: int) -> dict[str, Any]:
    """E2B's words, which are Go's: -1 and "signal: killed" for a process ended by a signal."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        name = (signal.strsignal(-code) or f"signal {-code}").lower()
        return {"exit_code": -1, "error": f"signal: {name}", "signal": -code}
    return {"exit_code": code, "error": f"exit status {code}" if code else None, "signal": None}


def spawn(
    argv: list[str],
    *,
    env: dict[str, str],
    cwd: str,
    with_stdin: bool,
    cpu_time_s: int | None,
) -> tuple[int, int, int, int]:
    """Start a program in its own session: (pid, stdin, stdout, stderr), ours to close.

    By posix_spawn, which does not copy the agent's page tables, and without `subprocess`, whose
    import of `threading` would cost every fork of the zygote a fifth of a millisecond.

    Raises:
        OSError: it could not be started.
    """
    with Pipes(with_stdin) as pipes:
        # posix_spawn knows no working directory, and the agent has no other thread to mind it.
        os.chdir(cwd)
        try:
            pid = os.posix_spawn(
                argv[0],
                argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, fd, target) for target, fd in enumerate(pipes.theirs)
                ],
                setsid=True,
                # Python ignores these two; a program must not inherit that.
                setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
            )
        finally:
            os.chdir("/")
        limit_cpu_time(pid, cpu_time_s)
        return pid, *pipes.keep()


def limit_cpu_time(pid: int, cpu_time_s: int | None) -> None:
    """Not set on the agent itself: it would die of the sum of all its own small work."""
    if cpu_time_s is None:
        return
    try:
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_time_s, cpu_time_s + 1))
    except PermissionError:
        # Root's, and in no time another user: then its limit is not ours to set any more.
        os.killpg(pid, signal.SIGKILL)
        raise


class Pipes:
    """The three standard streams of a command: `theirs` to inherit, ours to keep.

    Closes theirs at the end of the block, and ours too unless they were kept.
    """

    def __init__(self, with_stdin: bool) -> None:
        self._ours: list[int] = []
        self.theirs: list[int] = []
        try:
            if with_stdin:
                reader, writer = os.pipe2(os.O_CLOEXEC)
            else:
                reader, writer = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1
            self.theirs.append(reader)
            self._ours.append(writer)
            for _ in range(2):
                reader, writer = os.pipe2(os.O_CLOEXEC)
                self._ours.append(reader)
                self.theirs.append(writer)
        except BaseException:
            self.close()
            raise

    def keep(self) -> tuple[int, int, int]:
        """Our ends of stdin (-1 if there is none), stdout and stderr; now the caller's to close."""
        stdin_fd, stdout_fd, stderr_fd = self._ours
        self._ours = []
        return stdin_fd, stdout_fd, stderr_fd

    def close(self) -> None:
        for fd in (*self.theirs, *self._ours):
            if fd >= 0:
                os.close(fd)
        self.theirs, self._ours = [], []

    def __enter__(self) -> Pipes:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()
