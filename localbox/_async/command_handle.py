"""A started command: wait for it, read it, feed it, end it."""

from __future__ import annotations

# unasync: async
import asyncio
import contextlib
import inspect

# unasync: sync
# import contextlib
# unasync: end
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, cast

from localbox._async.connection import AsyncConnection
from localbox._async.process_input import close_stdin, kill_process, send_stdin
from localbox.engine.command_output import CommandOutput, Piece
from localbox.errors import SandboxException
from localbox.models import CommandResult, OutputHandler, OutputT
from localbox.transport import asyncio as transport


class AsyncCommandHandle(Generic[OutputT]):
    """A running command, as `commands.run(background=True)` and `commands.connect` return it."""

    # unasync: async
    def __init__(
        self,
        connection: AsyncConnection,
        frames: transport.FrameStream,
        output: CommandOutput,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        on_pty: OutputHandler[bytes] | None = None,
        *,
        takes_stdin: bool = True,
    ) -> None:
        self._connection = connection
        self._frames = frames
        self._output = output
        self._takes_stdin = takes_stdin
        self._callbacks = (on_stdout, on_stderr, on_pty)
        self._failure: Exception | None = None
        # It is read from at once, whether or not anybody waits: output is live in `stdout`.
        self._reading = asyncio.create_task(self._read_to_end())

    # unasync: sync
    # def __init__(
    #     self,
    #     connection: AsyncConnection,
    #     frames: transport.FrameStream,
    #     output: CommandOutput,
    #     *,
    #     takes_stdin: bool = True,
    # ) -> None:
    #     self._connection = connection
    #     self._frames = frames
    #     self._output = output
    #     self._takes_stdin = takes_stdin
    # unasync: end

    @property
    def pid(self) -> int:
        """The command's process id, as inside the sandbox."""
        return self._output.pid

    # unasync: async
    @property
    def stdout(self) -> OutputT:
        """What it wrote so far; None if it was started with `retain_output=False`."""
        return cast(OutputT, self._output.stdout)

    @property
    def stderr(self) -> OutputT:
        """What it wrote to standard error so far; None with `retain_output=False`."""
        return cast(OutputT, self._output.stderr)

    @property
    def error(self) -> str | None:
        """How it failed, in words; None while it runs and after exit code 0."""
        return self._output.error

    @property
    def exit_code(self) -> int | None:
        """Its exit code, -1 if a signal ended it, None while it runs."""
        return self._output.exit_code

    async def wait(self) -> CommandResult[OutputT]:
        """Wait for the end.

        Raises:
            CommandExitException: the exit code is not 0.
            TimeoutException: the command's timeout expired; it was killed.
            SandboxNotRunningException: the sandbox ended before it.
        """
        await asyncio.shield(self._reading)
        if self._failure is not None:
            raise self._failure
        if not self._output.ended:
            raise SandboxException("the command ended without an end event")
        return cast(CommandResult[OutputT], self._output.result())

    async def disconnect(self) -> None:
        """Stop listening; the command goes on. `commands.connect(pid)` listens again."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._frames.aclose()

    async def _read_to_end(self) -> None:
        try:
            async for piece in self._pieces():
                for callback, part in zip(self._callbacks, piece, strict=True):
                    if part is not None and callback is not None:
                        answer = cast(Callable[[Any], Any], callback)(part)
                        if inspect.isawaitable(answer):
                            await answer
        except Exception as error:  # noqa: BLE001 (whatever it is, `wait` raises it)
            self._failure = error

    # unasync: sync
    # def __iter__(self) -> AsyncIterator[Piece]:
    #     """The output as it comes: (stdout, stderr, pty) tuples in which one is not None."""
    #     return self._pieces()
    #
    # def wait(
    #     self,
    #     on_pty: Callable[[bytes], None] | None = None,
    #     on_stdout: Callable[[str], None] | None = None,
    #     on_stderr: Callable[[str], None] | None = None,
    # ) -> CommandResult[OutputT]:
    #     """Read to the end, calling back with each piece of output.
    #
    #     Raises:
    #         CommandExitException: the exit code is not 0.
    #         TimeoutException: the command's timeout expired; it was killed.
    #         SandboxNotRunningException: the sandbox ended before it.
    #     """
    #     for stdout, stderr, pty in self._pieces():
    #         if stdout is not None and on_stdout is not None:
    #             on_stdout(stdout)
    #         elif stderr is not None and on_stderr is not None:
    #             on_stderr(stderr)
    #         elif pty is not None and on_pty is not None:
    #             on_pty(pty)
    #     if not self._output.ended:
    #         raise SandboxException("the command ended without an end event")
    #     return cast(CommandResult[OutputT], self._output.result())
    #
    # def disconnect(self) -> None:
    #     """Stop listening; the command goes on. `commands.connect(pid)` listens again."""
    #     self._frames.close()
    # unasync: end

    async def kill(self) -> bool:
        """SIGKILL for the command and its process group; False if it had ended."""
        return await kill_process(self._connection, self.pid, None)

    async def send_stdin(self, data: str | bytes, request_timeout: float | None = None) -> None:
        """Write to its standard input, which must have been opened with `stdin=True`.

        Raises:
            SandboxException: it is closed, or this is a terminal's handle: use `pty.send_stdin`.
        """
        self._check_takes_stdin()
        await send_stdin(self._connection, self.pid, data, request_timeout)

    async def close_stdin(self, request_timeout: float | None = None) -> None:
        """Close its standard input, so that it reads the end of the file.

        Raises:
            SandboxException: this is a terminal's handle.
        """
        self._check_takes_stdin()
        await close_stdin(self._connection, self.pid, request_timeout)

    def _check_takes_stdin(self) -> None:
        if not self._takes_stdin:
            raise SandboxException(
                f"the handle of terminal {self.pid} takes no input: use pty.send_stdin, "
                r'whose b"\x04" ends the input of what reads it'
            )

    async def _pieces(self) -> AsyncIterator[Piece]:
        # Whoever stops in the middle of it, with a `break`, can go on with another.
        read_to_the_end = self._output.ended
        if read_to_the_end:
            return
        try:
            async for frame in self._frames:
                for piece in self._output.take(frame):
                    yield piece
                if self._output.ended:
                    break
        except GeneratorExit:
            raise
        except Exception:
            for piece in self._output.flush():
                yield piece
            await self._stop_listening()
            raise
        except BaseException:
            await self._stop_listening()
            raise
        await self._stop_listening()

    async def _stop_listening(self) -> None:
        with contextlib.suppress(RuntimeError):  # being iterated elsewhere
            await self._frames.aclose()
