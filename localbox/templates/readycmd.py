"""Commands that tell whether what a template starts is ready; exit code 0 means it is."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from importlib.resources import files


class ReadyCmd:
    """A command for `set_ready_cmd` and `set_start_cmd`."""

    def __init__(self, cmd: str) -> None:
        self._cmd = cmd

    def get_cmd(self) -> str:
        """The command, for a shell."""
        return self._cmd


def wait_for_port(port: int) -> ReadyCmd:
    """Ready when something listens on `port`; asks `ss`."""
    # ss filters by the exact port, and its exit code says nothing about what it found.
    return ReadyCmd(f'[ -n "$(ss -Htuln sport = :{port})" ]')


def wait_for_url(url: str, status_code: int = 200) -> ReadyCmd:
    """Ready when `url` answers with `status_code`; asks `curl`."""
    fetch = f'curl -s -o /dev/null -w "%{{http_code}}" {shlex.quote(url)}'
    return ReadyCmd(f'{fetch} | grep -q "{status_code}"')


def wait_for_process(process_name: str) -> ReadyCmd:
    """Ready when a process of this name runs; asks `pgrep`."""
    return ReadyCmd(f"pgrep {shlex.quote(process_name)} > /dev/null")


def wait_for_file(filename: str) -> ReadyCmd:
    """Ready when this file exists."""
    return ReadyCmd(f"[ -f {shlex.quote(filename)} ]")


def wait_for_timeout(timeout: int) -> ReadyCmd:
    """Ready after a while.

    Args:
        timeout: milliseconds; counted in whole seconds, of which at least one.
    """
    return ReadyCmd(f"sleep {max(1, timeout // 1000)}")


def with_missing_tools(command: str) -> tuple[str, dict[str, str]]:
    """The command, and variables for it, where this machine lacks a tool that it asks.

    Sandboxes have this machine's programs, and small systems have neither ss, curl nor pgrep.
    """
    path = f"{sys.prefix}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    missing = [
        tool
        for tool in ("ss", "curl", "pgrep")
        if re.search(rf"\b{tool}\b", command) and shutil.which(tool, path=path) is None
    ]
    if not missing:
        return command, {}
    program = files("localbox.templates").joinpath("ready_tools.py").read_text("utf-8")
    python = 'python3 -c "$LOCALBOX_READY_TOOLS"'
    functions = [f'{tool}() {{ {python} {tool} "$@"; }}' for tool in missing]
    return "\n".join([*functions, command]), {"LOCALBOX_READY_TOOLS": program}
