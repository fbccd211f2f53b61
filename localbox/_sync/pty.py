# generated from localbox/_async/pty.py by scripts/unasync.py; edit that, not this
"""`sandbox.pty`: login shells on terminals of the sandbox's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from localbox._sync.command_handle import CommandHandle
from localbox._sync.commands import Commands
from localbox._sync.connection import Connection
from localbox._sync.input_stream import STREAM_TIMEOUT_S, stream_input
from localbox._sync.process_input import kill_process, send_stdin
from localbox.errors import InvalidArgumentException
from localbox.models import OutputHandler, PtySize, Username

_SHELL = ["/bin/bash", "-i", "-l"]
# What struct winsize holds.
_LARGEST_SIZE = 0xFFFF


class Pty:
    """Terminals in one sandbox. They end with their shell, their timeout or the sandbox."""

    def __init__(self, connection: Connection, commands: Commands) -> None:
        self._connection = connection
        self._commands = commands

    def kill(self, pid: int, request_timeout: float | None = None) -> bool:
        """SIGKILL for a terminal's shell and everything in its session.

        Returns:
            False if there is no such process.
        """
        return kill_process(self._connection, pid, request_timeout)

    def send_stdin(self, pid: int, data: bytes, request_timeout: float | None = None) -> None:
        r"""Type into a terminal: b"\x03" is Ctrl-C, b"\x04" the end of input.

        Raises:
            NotFoundException: no such terminal.
            SandboxException: the process is on no terminal, or it was hung up.
            TimeoutException: nobody reads what is typed.
        """
        send_stdin(self._connection, pid, data, request_timeout, pty=True)

    def stream_input(
        self,
        pid: int,
        data: Iterable[str | bytes],
        *,
        timeout: float | None = STREAM_TIMEOUT_S,
    ) -> None:
        """Type what `data` yields into a terminal.

        Args:
            timeout: seconds until all of it must be taken; 0 or None for no limit.

        Raises:
            InvalidArgumentException: `data` is itself a str or bytes.
            NotFoundException: no such terminal.
            TimeoutException: the time is up.
        """
        stream_input(self._connection, pid, data, timeout, pty=True)

    def create(
        self,
        size: PtySize,
        user: Username | None = None,
        cwd: str | None = None,
        envs: dict[str, str] | None = None,
        timeout: float | None = 60,
        request_timeout: float | None = None,
    ) -> CommandHandle:
        """Start `/bin/bash -i -l` on a terminal.

        Args:
            size: in characters; `resize` changes it.
            user: as for `commands.run`.
            cwd: where it starts; relative paths are the home directory's.
            envs: environment variables over the sandbox's. TERM is xterm-256color, LANG and
                LC_ALL are C.UTF-8 unless they are among these.
            timeout: seconds after which it is killed; 0 or None for never.
            request_timeout: accepted as E2B does.

        Returns:
            A handle; what the terminal shows comes as bytes.

        Raises:
            InvalidArgumentException: `cwd` does not exist, or an argument cannot be.
            AuthenticationException: no such user.
            SandboxNotRunningException: the sandbox has ended.
        """
        return self._start(_SHELL, size, user, cwd, envs, timeout, None)

    def connect(
        self,
        pid: int,
        timeout: float | None = 60,
        request_timeout: float | None = None,
    ) -> CommandHandle:
        """A new handle on a terminal; what it showed before is not repeated.

        Args:
            timeout: seconds to listen for; 0 or None for no limit.

        Raises:
            NotFoundException: no such terminal.
        """
        on_pty = None
        return self._commands._connect(
            pid, timeout, True, None, None, on_pty=on_pty, takes_stdin=False
        )

    def _start(
        self,
        argv: list[str],
        size: PtySize,
        user: str | None,
        cwd: str | None,
        envs: dict[str, str] | None,
        timeout: float | None,
        on_pty: OutputHandler[bytes] | None,
    ) -> CommandHandle[Any]:
        """Start any program on a terminal."""
        return self._commands._start(
            {"argv": argv, "pty": _checked(size), "background": True},
            {"TERM": "xterm-256color", "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8", **(envs or {})},
            user,
            cwd,
            None,
            timeout,
            True,
            None,
            None,
            on_pty=on_pty,
            takes_stdin=False,
        )

    def resize(self, pid: int, size: PtySize, request_timeout: float | None = None) -> None:
        """Change a terminal's size; its programs get SIGWINCH.

        Raises:
            NotFoundException: no such terminal.
            SandboxException: the process is on no terminal.
        """
        request = {"op": "resize", "pid": pid, **_checked(size)}
        self._connection.ask(request, request_timeout)


def _checked(size: PtySize) -> dict[str, Any]:
    for what, value in (("rows", size.rows), ("cols", size.cols)):
        if type(value) is not int or not 0 <= value <= _LARGEST_SIZE:
            raise InvalidArgumentException(
                f"size.{what} must be an int from 0 to {_LARGEST_SIZE}, not {value!r}"
            )
    return {"rows": size.rows, "cols": size.cols}
