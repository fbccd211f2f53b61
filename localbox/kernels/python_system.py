"""Programs that cells start with `!cmd`, `%pip` and `%%bash`: they write straight to the host."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Undisturbed = Callable[[], contextlib.AbstractContextManager[None]]

_BASH = "/bin/bash"
_GRACE_S = 0.5


def run_command(
    command: str, undisturbed: Undisturbed, *, capture: bool = False
) -> tuple[int, str]:
    """Run a line of shell; its exit code, and what it wrote if that is not to be seen.

    Args:
        undisturbed: holds interrupts back. One that comes as a program is started would leave it
            running with nobody who knows of it.

    Raises:
        KeyboardInterrupt: and the command has been ended.
    """
    shell = _BASH if os.path.exists(_BASH) else "/bin/sh"
    return _run([shell, "-c", command], subprocess.DEVNULL, undisturbed, capture)


def run_script(program: Sequence[str], script: str, undisturbed: Undisturbed) -> int:
    """Run a program that reads `script` on its standard input; its exit code."""
    # A file and not a pipe, which would need somebody to fill it meanwhile.
    with tempfile.TemporaryFile() as stdin:
        stdin.write(script.encode("utf-8", "surrogateescape"))
        stdin.seek(0)
        return _run(program, stdin.fileno(), undisturbed, capture=False)[0]


def _run(
    program: Sequence[str], stdin: int, undisturbed: Undisturbed, capture: bool
) -> tuple[int, str]:
    process = None
    try:
        with undisturbed():
            # Descriptors 1 and 2 and not what a cell has put into sys.stdout.
            process = subprocess.Popen(
                program,
                stdin=stdin,
                stdout=subprocess.PIPE if capture else None,
                stderr=subprocess.STDOUT if capture else None,
                process_group=0,
            )
        output, _ = process.communicate()
    except BaseException:
        if process is not None:
            _end(process)
        raise
    text = (output or b"").decode(sys.getfilesystemencoding(), "replace")
    return process.returncode, text


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and all it has started, first politely."""
    for number in (signal.SIGINT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(_GRACE_S)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
