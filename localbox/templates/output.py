"""What a step prints, line by line, and what is said about a step that has failed."""

from __future__ import annotations

import re
from collections.abc import Callable

from localbox.errors import BuildException
from localbox.templates.model import Instruction, InstructionType

_SYSTEM_INSTALLER = re.compile(
    r"\b(?:apt|apt-get|dpkg|apk|dnf|yum|microdnf|pacman|zypper|useradd|adduser|groupadd)\b"
)
_READ_ONLY = re.compile(r"Read-only file system|EROFS", re.IGNORECASE)


class Lines:
    """Makes lines of pieces of output."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._rest = ""

    def feed(self, piece: str) -> None:
        # A progress bar goes back to the start of its line; what it drew last is what counts.
        *lines, self._rest = (self._rest + piece).split("\n")
        for line in lines:
            self._on_line(_final(line))
        # A guest that never ends a line must not fill our memory with it.
        self._rest = self._rest[-65536:]

    def end(self) -> None:
        if self._rest:
            self._on_line(_final(self._rest))
            self._rest = ""


def _final(line: str) -> str:
    return line.rstrip("\r").rpartition("\r")[2]


def why(command: str, exit_code: int, last: list[str]) -> str:
    tail = "".join(f"\n  {line}" for line in last)
    output = f"; its last lines:{tail}" if last else ", and said nothing"
    return f"exit code {exit_code}{output}{hint(command, tail)}"


def hint(command: str, output: str) -> str:
    installer = _SYSTEM_INSTALLER.search(command)
    if installer is not None:
        return (
            f"\n{installer[0]} is not possible here, because the system is read-only: it is this "
            "machine's own. Install it on the host, where every sandbox then has it"
        )
    if _READ_ONLY.search(output):
        return (
            "\nThe system (/usr, /etc and the like) is this machine's own and read-only; write to "
            "/home/user, /tmp, the Python environment or a directory like /app"
        )
    return ""


def failed(
    error: Exception, number: int, count: int, where: str | None, instruction: Instruction
) -> BuildException:
    kind, args = instruction["type"], instruction["args"]
    shown = args[: 2 if kind is InstructionType.COPY else 1]
    place = f" ({where})" if where else ""
    return BuildException(
        f"step {number} of {count}{place}: {kind.value} {' '.join(shown)}: {error}"
    )
