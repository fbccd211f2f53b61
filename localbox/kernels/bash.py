"""Runs cells of bash: one bash per context keeps variables, functions and the directory.

It is interactive, for only an interactive bash returns to its next command after an interrupt or
a fatal expansion error. What such a bash says for itself (prompts, job notices) goes nowhere: only
cells are given the real standard output and error. The rest it knows are descriptors which are
closed while a cell runs; bash marks its own copies of them close-on-exec.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import subprocess
import tempfile

from localbox.kernels.child import Child
from localbox.kernels.languages import LanguageMissing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox.kernels.port import Cell, Port

# Above what people use in `exec 3<file`.
_LOWEST_FD = 190
_ARGV = ("--noprofile", "--norc", "--noediting", "-i", "-s")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ERREXIT = re.compile(r"^\s*set\s+-\w*e|^\s*set\s+-o\s+errexit", re.MULTILINE)


def warm_up() -> None:
    """Nothing is loaded late."""


def start_kernel(_port: Port, _language: str) -> BashKernel:
    path = shutil.which("bash")
    if path is None:
        raise LanguageMissing("bash is not installed here: apt-get install bash")
    return BashKernel(path)


class BashKernel:
    def __init__(self, path: str) -> None:
        self._count = 0
        commands_fd, self._commands = os.pipe()
        reports, reports_fd = os.pipe()
        # Not a pipe: bash shall read a whole cell before it runs any of it.
        self._source = tempfile.TemporaryFile(buffering=0, prefix="localbox-")  # noqa: SIM115
        lifeline = os.pipe()
        fds = [self._source.fileno(), reports_fd, 1, 2, lifeline[0]]
        inner_fds = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _LOWEST_FD) for fd in fds]
        self._source_fd, self._report_fd, out_fd, err_fd, _lifeline = inner_fds
        self._redirections = f"</dev/null >&{out_fd} 2>&{err_fd}" + "".join(
            f" {fd}>&-" for fd in inner_fds
        )
        self._bash = Child(
            [path, *_ARGV],
            reports_fd=reports,
            pass_fds=inner_fds,
            stdin=commands_fd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            lifeline=lifeline,
        )
        for fd in (commands_fd, reports_fd, lifeline[0], *inner_fds):
            os.close(fd)
        os.set_blocking(self._commands, False)
        self._command("hello", "set +o history +H; unset HISTFILE MAILCHECK")

    def execute(self, cell: Cell) -> None:
        """Run the cell; that its last command fails is an error, as in E2B."""
        self._count += 1
        cell.count(self._count)
        code = cell.code.replace("\r\n", "\n")
        if "\0" in code:
            cell.fail("ValueError", "bash takes no code with null bytes", "")
            return
        try:
            self._write_source(code, cell.env)
            status = self._run()
        except OSError as error:
            cell.restart = f"the cell could not be handed to bash: {error}"
            cell.fail("OSError", cell.restart, "")
            return
        if status is None:
            self._bash.fail(cell, "bash", _hint(code))
        elif self._bash.interrupted:
            cell.fail("KeyboardInterrupt", "the cell was interrupted", "")
        elif status:
            cell.fail("ExitStatus", str(status), _explain(status))

    def _write_source(self, code: str, env: dict[str, str]) -> None:
        # With `eval` in a sourced file, `return` ends the cell, `declare` makes globals, errors
        # have the cell's own line numbers, and `&` tells no process ids.
        variables = [f"{name}={_quoted(env[name])} " for name in env if _NAME.fullmatch(name)]
        text = f"{''.join(variables)}eval {_quoted(code)} {self._redirections}\n"
        data = memoryview(text.encode(errors="surrogateescape"))
        self._source.truncate(0)
        self._source.seek(0)
        while data:
            data = data[self._source.write(data) :]

    def _run(self) -> int | None:
        """Have bash run what has been written; its status, or None if that was bash's end."""
        # Output that claims to be a report would have to know this.
        token = os.urandom(8).hex()
        began, ended = f"began {token}".encode(), f"ended {token} ".encode()
        running = False

        def interrupt(attempt: int) -> None:
            # Not before: bash may lose what it has read of a command to an interrupt. That is also
            # why it is asked again for the end.
            if running and attempt % 4 == 0:
                self._bash.signal_group(signal.SIGINT)
            else:
                self._command(f"ended {token} $?")

        self._bash.attend(interrupt)
        try:
            self._command(f"began {token}", f". /dev/fd/{self._source_fd}")
            self._command(f"ended {token} $?")
            while (line := self._bash.next_line()) is not None:
                if line == began:
                    running = True
                    if self._bash.interrupted:
                        interrupt(0)
                elif line.startswith(ended):
                    return int(line[len(ended) :]) if self._has_calmed_down() else None
            return None
        finally:
            self._bash.leave()

    def _has_calmed_down(self) -> bool:
        """After an interrupt, wait until bash reads commands again; False if it has died.

        Its child may have died of the interrupt before bash itself gets it, which then costs bash
        what it is just reading.
        """
        if not self._bash.interrupted:
            return True
        calm = ""

        def ask(attempt: int) -> None:
            nonlocal calm
            if attempt % 4 == 3:
                # A program that was just being started has not heard of the interrupt.
                self._bash.signal_group(signal.SIGINT)
                calm = ""
            calm = calm or f"calm {os.urandom(8).hex()}"
            self._command(calm)

        self._bash.attend(ask, interrupted=True)
        ask(0)
        while (line := self._bash.next_line()) is not None:
            if line == calm.encode():
                return True
        return False

    def _command(self, report: str, command: str = "") -> None:
        """Give bash a report to make and a command to run.

        On one line, which it reads before it runs any of it, and without anything that would have
        to be closed: a line that is half lost does not swallow the next.
        """
        try:
            os.write(
                self._commands, f"builtin echo {report} >&{self._report_fd}; {command}\n".encode()
            )
        except (BrokenPipeError, BlockingIOError):
            pass  # it has died, or does not read: waiting for its reports will tell


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _explain(status: int) -> str:
    text = f"the last command of the cell exited with status {status}"
    if status <= 128:
        return text
    try:
        return f"{text} (killed by {signal.Signals(status - 128).name}?)"
    except ValueError:
        return text


def _hint(code: str) -> str:
    if _ERREXIT.search(code) is None:
        return ""
    return " (`set -e` ends the whole shell at a failing command; in parentheses it ends only them)"
