"""`sandbox.terminal`: shells on terminals as E2B 0.17 had them.

A terminal is read by a thread of its own, as there: `on_data` is called at any time.
"""

from __future__ import annotations

import codecs
import inspect
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any

from localbox.errors import CommandExitException, TimeoutException
from localbox.models import PtySize

if TYPE_CHECKING:
    from localbox._sync.command_handle import CommandHandle
    from localbox._sync.pty import Pty

OnData = Callable[[str], Any]
OnExit = Callable[[int], Any] | Callable[[], Any]


class Terminal:
    """A shell on a terminal, which was started and may still run."""

    def __init__(
        self,
        pty: Pty,
        handle: CommandHandle[Any],
        terminal_id: str,
        limit_bytes: int,
        on_data: OnData,
        on_exit: OnExit | None,
    ) -> None:
        self._pty = pty
        self._handle = handle
        self._terminal_id = terminal_id
        self._limit_bytes = limit_bytes
        self._on_data = on_data
        self._on_exit = on_exit
        self._data: list[str] = []
        self._kept_bytes = 0
        self._finished: Future[str] = Future()
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._reader = threading.Thread(
            target=self._read, name=f"localbox {terminal_id}", daemon=True
        )
        self._reader.start()

    @property
    def terminal_id(self) -> str:
        """The name it was given; not a pid."""
        return self._terminal_id

    @property
    def data(self) -> str:
        """What it has shown so far, as much of it as the profile's resources.output allows."""
        return "".join(self._data)

    @property
    def finished(self) -> Future[str]:
        """Done when its shell has ended and the callbacks have returned; holds its data."""
        return self._finished

    def send_data(self, data: str, timeout: float | None = 60) -> None:
        r"""Type: "\r" is the Enter key, "\x03" Ctrl-C."""
        self._pty.send_stdin(self._handle.pid, data.encode(), timeout)

    def resize(self, cols: int, rows: int, timeout: float | None = 60) -> None:
        """Change its size, in characters."""
        self._pty.resize(self._handle.pid, PtySize(rows=rows, cols=cols), timeout)

    def kill(self, timeout: float | None = 60) -> None:
        """SIGKILL for its shell and all that runs on it; returns when it has ended."""
        self._pty.kill(self._handle.pid, timeout)
        # A callback may do this too, and the end waits for the callback.
        if threading.current_thread() is not self._reader:
            self.wait(timeout)

    def wait(self, timeout: float | None = None) -> str:
        """Wait for the shell's end; what the terminal showed.

        Raises:
            TimeoutException: it runs for longer than `timeout` seconds; it goes on.
            SandboxNotRunningException: the sandbox ended before it.
        """
        try:
            return self._finished.result(timeout)
        except FutureTimeoutError:
            raise TimeoutException(f"the terminal did not end within {timeout} s") from None

    def _read(self) -> None:
        try:
            self._follow()
        except BaseException as error:  # noqa: BLE001 (whoever waits gets it)
            self._handle.disconnect()
            self._finished.set_exception(error)
        else:
            self._finished.set_result(self.data)

    def _follow(self) -> None:
        try:
            exit_code = self._handle.wait(on_pty=self._show).exit_code
        except CommandExitException as ended:
            exit_code = ended.exit_code
        self._tell(self._decode(b"", True))
        if self._on_exit is not None:
            call: Any = self._on_exit
            call(exit_code) if inspect.signature(call).parameters else call()

    def _show(self, data: bytes) -> None:
        self._tell(self._decode(data))

    def _tell(self, text: str) -> None:
        if not text:
            return
        self._kept_bytes += len(text)
        if self._kept_bytes <= self._limit_bytes:
            self._data.append(text)
        self._on_data(text)


class Terminals:
    """Starts terminals in one sandbox."""

    def __init__(self, pty: Pty, limit_bytes: int) -> None:
        self._pty = pty
        self._limit_bytes = limit_bytes

    def start(
        self,
        on_data: OnData,
        cols: int,
        rows: int,
        cwd: str = "",
        rootdir: str = "",
        terminal_id: str | None = None,
        on_exit: OnExit | None = None,
        cmd: str | None = None,
        env_vars: dict[str, str] | None = None,
        timeout: float | None = 60,
    ) -> Terminal:
        """Start a login shell on a terminal.

        Args:
            on_data: called with what the terminal shows, by a thread.
            cols, rows: its size in characters.
            rootdir: an older name for `cwd`.
            on_exit: called with the exit code or, if it takes nothing, with nothing.
            cmd: run this instead of a shell that asks; the terminal ends with it.
            env_vars: environment variables over the sandbox's.
            timeout: for the start itself, as in E2B; the terminal may run for longer.
        """
        del timeout  # nothing waits here
        how = ["-c", cmd] if cmd else ["-i"]
        handle = self._pty._start(
            ["/bin/bash", "-l", *how],
            PtySize(rows=rows, cols=cols),
            None,
            cwd or rootdir or None,
            env_vars,
            0,
            None,
        )
        return Terminal(
            self._pty,
            handle,
            terminal_id or secrets.token_hex(6),
            self._limit_bytes,
            on_data,
            on_exit,
        )
