"""`sandbox.process`: programs as E2B 0.17 ran them, line by line.

A started process is read by a thread of its own, as there: its callbacks come at any time. Nothing
else of localbox's synchronous side has threads, and `start_and_wait` does without.
"""

from __future__ import annotations

import functools
import inspect
import secrets
import string
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from localbox.errors import CommandExitException, TimeoutException

if TYPE_CHECKING:
    from localbox._sync.command_handle import CommandHandle
    from localbox._sync.commands import Commands
    from localbox.models import CommandResult

OnLine = Callable[["ProcessMessage"], Any]
OnExit = Callable[[int], Any] | Callable[[], Any]

_LONGEST_LINE = 1024 * 1024
_BYTES_OF_A_MESSAGE = 200
_ID_CHARACTERS = string.ascii_letters + string.digits


@dataclass
class ProcessMessage:
    """A line of output without its end; `timestamp` is in nanoseconds since 1970."""

    line: str
    timestamp: int
    error: bool = False

    def __str__(self) -> str:
        return self.line


@dataclass
class ProcessOutput:
    """What a process has written so far, and with which code it ended, if it has.

    `error` is true as soon as there is anything on its standard error.
    """

    messages: list[ProcessMessage] = field(default_factory=list)
    error: bool = False
    exit_code: int | None = None

    @property
    def stdout(self) -> str:
        """The lines of its standard output, without the end of the last."""
        return "\n".join(message.line for message in self.messages if not message.error)

    @property
    def stderr(self) -> str:
        """The lines of its standard error, without the end of the last."""
        return "\n".join(message.line for message in self.messages if message.error)


class _Kept:
    """Puts messages into an output, as many as `limit_bytes` allows; callbacks get them all."""

    def __init__(self, output: ProcessOutput, limit_bytes: int) -> None:
        self.output = output
        self._left = limit_bytes
        self._limit = limit_bytes
        self._dropped = 0

    def add(self, message: ProcessMessage) -> None:
        # An empty line takes memory too.
        self._left -= len(message.line) + _BYTES_OF_A_MESSAGE
        if self._left >= 0:
            self._keep(message)
        else:
            self._left = 0
            self._dropped += 1

    def finish(self) -> None:
        if self._dropped:
            note = (
                f"[localbox: {self._dropped} lines dropped; the profile's resources.output "
                f"allows {self._limit} bytes]"
            )
            self._keep(ProcessMessage(note, time.time_ns(), error=True))

    def _keep(self, message: ProcessMessage) -> None:
        self.output.messages.append(message)
        self.output.error |= message.error


class _Lines:
    """Pieces of one stream's text in, whole lines to what is kept and to the callback."""

    def __init__(self, kept: _Kept, on_line: OnLine | None, *, error: bool) -> None:
        self._kept = kept
        self._on_line = on_line
        self._error = error
        self._rest = ""

    def take(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._tell(line)
        # A line without end would otherwise be kept whole.
        if len(self._rest) > _LONGEST_LINE:
            self.finish()

    def finish(self) -> None:
        if self._rest:
            self._tell(self._rest)
            self._rest = ""

    def _tell(self, line: str) -> None:
        message = ProcessMessage(line, time.time_ns(), self._error)
        self._kept.add(message)
        if self._on_line is not None:
            self._on_line(message)


def _follow(
    run: Callable[..., CommandResult[Any]],
    kept: _Kept,
    on_stdout: OnLine | None,
    on_stderr: OnLine | None,
    on_exit: OnExit | None,
) -> ProcessOutput:
    """Take what `run`, which waits for the end of a command, calls back with."""
    stdout = _Lines(kept, on_stdout, error=False)
    stderr = _Lines(kept, on_stderr, error=True)
    try:
        exit_code = run(on_stdout=stdout.take, on_stderr=stderr.take).exit_code
    except CommandExitException as ended:
        exit_code = ended.exit_code
    stdout.finish()
    stderr.finish()
    kept.finish()
    kept.output.exit_code = exit_code
    if on_exit is not None:
        call: Any = on_exit
        call(exit_code) if inspect.signature(call).parameters else call()
    return kept.output


class Process:
    """A process that was started and may still run."""

    def __init__(
        self,
        process_id: str,
        handle: CommandHandle[Any],
        output: ProcessOutput,
        finished: Future[ProcessOutput],
        reader: threading.Thread,
    ) -> None:
        self._process_id = process_id
        self._handle = handle
        self._output = output
        self._finished = finished
        self._reader = reader

    @property
    def process_id(self) -> str:
        """The name it was given; not its pid."""
        return self._process_id

    @property
    def output(self) -> ProcessOutput:
        """What it has written so far."""
        return self._output

    @property
    def output_messages(self) -> list[ProcessMessage]:
        """The lines it has written so far."""
        return self._output.messages

    @property
    def stdout(self) -> str:
        """The standard output so far."""
        return self._output.stdout

    @property
    def stderr(self) -> str:
        """The standard error so far."""
        return self._output.stderr

    @property
    def error(self) -> bool:
        """Whether it has written to its standard error."""
        return self._output.error

    @property
    def exit_code(self) -> int | None:
        """None while it runs; -1 if a signal ended it."""
        return self._output.exit_code

    @property
    def finished(self) -> Future[ProcessOutput]:
        """Done when the process has ended and its callbacks have returned."""
        return self._finished

    def wait(self, timeout: float | None = None) -> ProcessOutput:
        """Wait for its end.

        Raises:
            TimeoutException: it runs for longer than `timeout` seconds; it goes on.
            SandboxNotRunningException: the sandbox ended before it.
        """
        try:
            return self._finished.result(timeout)
        except FutureTimeoutError:
            raise TimeoutException(f"the process did not end within {timeout} s") from None

    def send_stdin(self, data: str, timeout: float | None = None) -> None:
        """Write to its standard input."""
        self._handle.send_stdin(data, timeout)

    def kill(self, timeout: float | None = None) -> None:
        """SIGKILL for it and its process group; returns when it has ended."""
        self._handle.kill()
        # A callback may do this too, and the end waits for the callback.
        if threading.current_thread() is not self._reader:
            self.wait(timeout)


class Processes:
    """Starts processes in one sandbox."""

    def __init__(self, commands: Commands, limit_bytes: int) -> None:
        self._commands = commands
        self._limit_bytes = limit_bytes

    def start(
        self,
        cmd: str,
        on_stdout: OnLine | None = None,
        on_stderr: OnLine | None = None,
        on_exit: OnExit | None = None,
        env_vars: dict[str, str] | None = None,
        cwd: str = "",
        rootdir: str = "",
        process_id: str | None = None,
        timeout: float | None = 60,
        background: bool = True,
    ) -> Process:
        """Start `cmd` in a login shell and return at once.

        Args:
            on_stdout, on_stderr: called with each line, by a thread.
            on_exit: called with the exit code or, if it takes nothing, with nothing.
            rootdir: an older name for `cwd`.
            timeout: for the start itself, as in E2B; the process may run for longer.
            background: not in E2B, but in the founding document. False waits for the end.
        """
        kept = _Kept(ProcessOutput(), self._limit_bytes)
        handle = self._commands.run(
            cmd,
            background=True,
            envs=env_vars,
            cwd=cwd or rootdir or None,
            stdin=True,
            timeout=0,
            request_timeout=timeout,
            retain_output=False,
        )
        finished: Future[ProcessOutput] = Future()

        def read() -> None:
            try:
                output = _follow(handle.wait, kept, on_stdout, on_stderr, on_exit)
            except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
                handle.disconnect()
                finished.set_exception(error)
            else:
                finished.set_result(output)

        process_id = process_id or "".join(secrets.choice(_ID_CHARACTERS) for _ in range(12))
        reader = threading.Thread(target=read, name=f"localbox {process_id}", daemon=True)
        process = Process(process_id, handle, kept.output, finished, reader)
        reader.start()
        if not background:
            process.wait()
        return process

    def start_and_wait(
        self,
        cmd: str,
        on_stdout: OnLine | None = None,
        on_stderr: OnLine | None = None,
        on_exit: OnExit | None = None,
        env_vars: dict[str, str] | None = None,
        cwd: str = "",
        process_id: str | None = None,
        timeout: float | None = None,
    ) -> ProcessOutput:
        """Run `cmd` in a login shell. An exit code other than 0 is no exception.

        Its standard input is empty.

        Args:
            timeout: seconds after which it is killed, as the founding document means it. E2B 0.17
                bounded only the start, and by 60 s; so without one there is no limit here.

        Raises:
            TimeoutException: the timeout expired.
        """
        del process_id  # nobody can ask for it before it has ended
        run = functools.partial(
            self._commands.run,
            cmd,
            envs=env_vars,
            cwd=cwd or None,
            timeout=timeout,
            retain_output=False,
        )
        kept = _Kept(ProcessOutput(), self._limit_bytes)
        return _follow(run, kept, on_stdout, on_stderr, on_exit)
