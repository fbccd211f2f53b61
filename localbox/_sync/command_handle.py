# generated from localbox/_async/command_handle.py by scripts/unasync.py; edit that, not this
"""A started command: wait for it, read it, feed it, end it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Generic, cast

from localbox._sync.connection import Connection
from localbox._sync.process_input import close_stdin, kill_process, send_stdin
from localbox.engine.command_output import CommandOutput, Piece
from localbox.errors import SandboxException
from localbox.models import CommandResult, OutputT
from localbox.transport import blocking as transport


class CommandHandle(Generic[OutputT]):
    """A running command, as `commands.run(background=True)` and `commands.connect` return it."""

    def __init__(
        self,
        connection: Connection,
        frames: transport.FrameStream,
        output: CommandOutput,
        *,
        takes_stdin: bool = True,
    ) -> None:
        self._connection = connection
        self._frames = frames
        self._output = output
        self._takes_stdin = takes_stdin

    @property
    def pid(self) -> int:
        """The command's process id, as inside the sandbox."""
        return self._output.pid

    def __iter__(self) -> Iterator[Piece]:
        """The output as it comes: (stdout, stderr, pty) tuples in which one is not None."""
        return self._pieces()

    def wait(
        self,
        on_pty: Callable[[bytes], None] | None = None,
        on_stdout: Callable[[str], None] | None = None,
        on_stderr: Callable[[str], None] | None = None,
    ) -> CommandResult[OutputT]:
        """Read to the end, calling back with each piece of output.

        Raises:
            CommandExitException: the exit code is not 0.
            TimeoutException: the command's timeout expired; it was killed.
            SandboxNotRunningException: the sandbox ended before it.
        """
        for stdout, stderr, pty in self._pieces():
            if stdout is not None and on_stdout is not None:
                on_stdout(stdout)
            elif stderr is not None and on_stderr is not None:
                on_stderr(stderr)
            elif pty is not None and on_pty is not None:
                on_pty(pty)
        if not self._output.ended:
            raise SandboxException("the command ended without an end event")
        return cast(CommandResult[OutputT], self._output.result())

    def disconnect(self) -> None:
        """Stop listening; the command goes on. `commands.connect(pid)` listens again."""
        self._frames.close()

    def kill(self) -> bool:
        """SIGKILL for the command and its process group; False if it had ended."""
        return kill_process(self._connection, self.pid, None)

    def send_stdin(self, data: str | bytes, request_timeout: float | None = None) -> None:
        """Write to its standard input, which must have been opened with `stdin=True`.

        Raises:
            SandboxException: it is closed, or this is a terminal's handle: use `pty.send_stdin`.
        """
        self._check_takes_stdin()
        send_stdin(self._connection, self.pid, data, request_timeout)

    def close_stdin(self, request_timeout: float | None = None) -> None:
        """Close its standard input, so that it reads the end of the file.

        Raises:
            SandboxException: this is a terminal's handle.
        """
        self._check_takes_stdin()
        close_stdin(self._connection, self.pid, request_timeout)

    def _check_takes_stdin(self) -> None:
        if not self._takes_stdin:
            raise SandboxException(
                f"the handle of terminal {self.pid} takes no input: use pty.send_stdin, "
                r'whose b"\x04" ends the input of what reads it'
            )

    def _pieces(self) -> Iterator[Piece]:
        # Whoever stops in the middle of it, with a `break`, can go on with another.
        read_to_the_end = self._output.ended
        if read_to_the_end:
            return
        try:
            for frame in self._frames:
                for piece in self._output.take(frame):
                    yield piece
                if self._output.ended:
                    break
        except GeneratorExit:
            raise
        except Exception:
            for piece in self._output.flush():
                yield piece
            self._stop_listening()
            raise
        except BaseException:
            self._stop_listening()
            raise
        self._stop_listening()

    def _stop_listening(self) -> None:
        with contextlib.suppress(RuntimeError):  # being iterated elsewhere
            self._frames.close()
