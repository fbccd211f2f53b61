# generated from localbox/_async/commands.py by scripts/unasync.py; edit that, not this
"""`sandbox.commands`: run programs through a login shell, as E2B does."""

from __future__ import annotations

import builtins
import time
from collections.abc import Iterable
from typing import Any, Literal, overload

from localbox._sync.command_handle import CommandHandle
from localbox._sync.connection import GRACE_S, Connection
from localbox._sync.process_input import close_stdin, kill_process, send_stdin
from localbox.engine.command_output import CommandOutput
from localbox.engine.creation import check_strings, check_timeout
from localbox.errors import InvalidArgumentException
from localbox.models import CommandResult, OutputHandler, ProcessInfo, Username
from localbox.protocol.frames import Message
from localbox.transport import blocking as transport


class Commands:
    """Commands in one sandbox. They outlive the call, and end with the sandbox."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, request_timeout: float | None = None) -> list[ProcessInfo]:
        """The commands that were started here and still run."""
        answers = [
            connection.ask({"op": "list_processes"}, request_timeout)
            for connection in self._connection.agents()
        ]
        return [
            ProcessInfo(
                pid=int(entry["pid"]),
                tag=entry["tag"],
                cmd=str(entry["argv"][0]),
                args=[str(argument) for argument in entry["argv"][1:]],
                envs=dict(entry["env"]),
                cwd=entry["cwd"],
            )
            for answer in answers
            for entry in answer["processes"]
        ]

    def kill(self, pid: int, request_timeout: float | None = None) -> bool:
        """SIGKILL for a command and its process group; False if there is no such command."""
        return kill_process(self._connection, pid, request_timeout)

    def send_stdin(self, pid: int, data: str | bytes, request_timeout: float | None = None) -> None:
        """Write to a command's standard input, which must have been opened with `stdin=True`.

        Returns when all of it is in the command's pipe.

        Raises:
            NotFoundException: no such command.
            SandboxException: its standard input is closed.
            TimeoutException: it does not read.
        """
        send_stdin(self._connection, pid, data, request_timeout)

    def stream_input(
        self, pid: int, data: Iterable[str | bytes], *, timeout: float | None = 60.0
    ) -> None:
        """Write what `data` yields to a command's standard input, as it is read.

        Args:
            timeout: seconds until all of it must be in its pipe; 0 or None for no limit.

        Raises:
            InvalidArgumentException: `data` is itself a str or bytes.
            NotFoundException: no such command.
            TimeoutException: the time is up.
            SandboxException: its standard input is closed.
        """
        from localbox._sync.input_stream import stream_input

        stream_input(self._connection, pid, data, timeout, pty=False)

    def close_stdin(self, pid: int, request_timeout: float | None = None) -> None:
        """Close a command's standard input, so that it reads the end of the file."""
        close_stdin(self._connection, pid, request_timeout)

    @overload
    def run(
        self,
        cmd: str,
        background: Literal[False] | None = None,
        envs: dict[str, str] | None = None,
        user: Username | None = None,
        cwd: str | None = None,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        stdin: bool | None = None,
        timeout: float | None = 60,
        request_timeout: float | None = None,
        *,
        retain_output: Literal[True] = True,
    ) -> CommandResult[str]: ...

    @overload
    def run(
        self,
        cmd: str,
        background: Literal[False] | None = None,
        envs: dict[str, str] | None = None,
        user: Username | None = None,
        cwd: str | None = None,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        stdin: bool | None = None,
        timeout: float | None = 60,
        request_timeout: float | None = None,
        *,
        retain_output: bool,
    ) -> CommandResult[str | None]: ...

    @overload
    def run(
        self,
        cmd: str,
        background: Literal[True],
        envs: dict[str, str] | None = None,
        user: Username | None = None,
        cwd: str | None = None,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        stdin: bool | None = None,
        timeout: float | None = 60,
        request_timeout: float | None = None,
        *,
        retain_output: Literal[True] = True,
    ) -> CommandHandle[str]: ...

    @overload
    def run(
        self,
        cmd: str,
        background: Literal[True],
        envs: dict[str, str] | None = None,
        user: Username | None = None,
        cwd: str | None = None,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        stdin: bool | None = None,
        timeout: float | None = 60,
        request_timeout: float | None = None,
        *,
        retain_output: bool,
    ) -> CommandHandle[str | None]: ...

    def run(
        self,
        cmd: str,
        background: bool | None = None,
        envs: dict[str, str] | None = None,
        user: Username | None = None,
        cwd: str | None = None,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        stdin: bool | None = None,
        timeout: float | None = 60,
        request_timeout: float | None = None,
        *,
        retain_output: bool = True,
    ) -> Any:
        """Run `cmd` with `/bin/bash -l -c` in the sandbox.

        Args:
            background: return a handle at once instead of waiting. The timeout counts all the same.
            envs: environment variables for this command, over the sandbox's.
            user: "user", which is the default, or "root": uid 0 of the sandbox, with power over
                its files and processes and none over its walls. The program has to run as root.
            cwd: where to run; relative paths are the home directory's.
            on_stdout, on_stderr: called with each piece of output.
            stdin: open a standard input for `send_stdin`; otherwise it is /dev/null.
            timeout: seconds after which the command is killed; 0 or None for never.
            request_timeout: accepted as E2B does; the timeout is what bounds a command.
            retain_output: False keeps nothing for the result, whose outputs are then None.

        Returns:
            A CommandResult, or with `background=True` a handle.

        Raises:
            CommandExitException: the exit code is not 0.
            TimeoutException: the timeout expired.
            InvalidArgumentException: `cwd` does not exist, or an argument cannot be.
            AuthenticationException: no such user.
            SandboxNotRunningException: the sandbox has ended.
        """
        if not isinstance(cmd, str) or "\0" in cmd:
            raise InvalidArgumentException("cmd must be a str without NUL bytes")
        program: Message = {"argv": ["/bin/bash", "-l", "-c", cmd]}
        handle = self._start(
            {**program, "background": bool(background)},
            envs,
            user,
            cwd,
            stdin,
            timeout,
            retain_output,
            on_stdout,
            on_stderr,
        )
        if background:
            return handle
        on_pieces: Any = {"on_stdout": on_stdout, "on_stderr": on_stderr}
        return handle.wait(**on_pieces)

    def run_python(
        self,
        code: str,
        filename: str = "<string>",
        args: builtins.list[str] | None = None,
        envs: dict[str, str] | None = None,
        cwd: str | None = None,
        on_stdout: OutputHandler[str] | None = None,
        on_stderr: OutputHandler[str] | None = None,
        timeout: float | None = 60,
        *,
        retain_output: bool = True,
    ) -> CommandResult[str]:
        """Run Python source in a new process forked from an interpreter that is already there.

        Not in E2B. Like `python -c`, without the start of an interpreter: a fresh `__main__`, and
        nothing stays behind. The other arguments and errors are those of `run`.

        Args:
            code: the source.
            filename: what tracebacks call it.
            args: `sys.argv[1:]`.
        """
        if not isinstance(code, str):
            raise InvalidArgumentException("code must be a str")
        argv = ["-c" if filename == "<string>" else filename, *(args or [])]
        program: Message = {
            "code": code,
            "filename": filename,
            "argv": argv,
            "background": False,
        }
        handle = self._start(
            program, envs, None, cwd, None, timeout, retain_output, on_stdout, on_stderr
        )
        on_pieces: Any = {"on_stdout": on_stdout, "on_stderr": on_stderr}
        return handle.wait(**on_pieces)

    def connect(
        self,
        pid: int,
        timeout: float | None = 60,
        request_timeout: float | None = None,
        *,
        retain_output: bool = True,
    ) -> CommandHandle[str | None]:
        """A new handle on a running command; what it wrote before is not repeated.

        Args:
            timeout: seconds to listen for; 0 or None for no limit.

        Raises:
            NotFoundException: no such command.
        """
        return self._connect(pid, timeout, retain_output, None, None)

    def _connect(
        self,
        pid: int,
        timeout: float | None,
        retain_output: bool,
        on_stdout: OutputHandler[str] | None,
        on_stderr: OutputHandler[str] | None,
        *,
        on_pty: OutputHandler[bytes] | None = None,
        takes_stdin: bool = True,
    ) -> CommandHandle[Any]:
        timeout_s = check_timeout(timeout, "timeout", zero_is_none=True)
        frames = self._frames(self._connection, {"op": "connect", "pid": pid}, timeout_s)
        return self._handle(frames, retain_output, on_stdout, on_stderr, on_pty, takes_stdin)

    def _start(
        self,
        program: Message,
        envs: dict[str, str] | None,
        user: str | None,
        cwd: str | None,
        stdin: bool | None,
        timeout: float | None,
        retain_output: bool,
        on_stdout: OutputHandler[str] | None,
        on_stderr: OutputHandler[str] | None,
        *,
        on_pty: OutputHandler[bytes] | None = None,
        takes_stdin: bool = True,
    ) -> CommandHandle[Any]:
        timeout_s = check_timeout(timeout, "timeout", zero_is_none=True)
        request = {
            "op": "start",
            **program,
            "env": check_strings(envs, "envs"),
            "user": user,
            "cwd": cwd or self._connection.record.cwd,
            "stdin": bool(stdin),
            "timeout_s": timeout_s,
        }
        connection = self._connection if user is None else self._connection.as_user(user)
        # The agent ends the command; we only wait a little longer than that for its word.
        wait_s = None if timeout_s is None else timeout_s + GRACE_S
        frames = self._frames(connection, request, wait_s)
        return self._handle(frames, retain_output, on_stdout, on_stderr, on_pty, takes_stdin)

    def _handle(
        self,
        frames: transport.FrameStream,
        retain_output: bool,
        on_stdout: OutputHandler[str] | None,
        on_stderr: OutputHandler[str] | None,
        on_pty: OutputHandler[bytes] | None,
        takes_stdin: bool,
    ) -> CommandHandle[Any]:
        limit = self._connection.record.policy.resources.output_bytes
        output = CommandOutput(retain_output, limit)
        # The first frame says the pid, or why there is none.
        output.take(next(frames))
        return CommandHandle(self._connection, frames, output, takes_stdin=takes_stdin)

    def _frames(
        self, connection: Connection, request: Message, timeout_s: float | None
    ) -> transport.FrameStream:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        with connection.exchange(request, deadline) as exchange:
            while True:
                yield exchange.receive(deadline)
