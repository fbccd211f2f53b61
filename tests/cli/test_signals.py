"""However the command is ended, its sandbox ends with it."""

from __future__ import annotations

import signal
import uuid
from pathlib import Path

import pytest

from tests.cli.command import PATIENCE_S, start
from tests.leftovers import wait_until


def running(marker: str) -> list[int]:
    """Processes inside sandboxes with this word among their arguments."""
    found = []
    for directory in Path("/proc").iterdir():
        if not directory.name.isdigit():
            continue
        try:
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
        if words[0] == b"sh" and marker.encode() in words:
            found.append(int(directory.name))
    return found


def started(marker: str):
    """A command that runs until it is ended, and has begun."""
    script = "trap '' INT TERM HUP; echo started; while :; do read line || sleep 1000; done"
    process = start("run", "--", "sh", "-c", script, marker)
    assert process.stdout.readline() == b"started\n"
    assert len(running(marker)) == 1
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_sandbox_and_the_exit_code_says_so(number):
    marker = uuid.uuid4().hex
    with started(marker) as process:
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 128 + number
        assert process.stderr.read() == b""
    assert running(marker) == []


def test_nothing_survives_the_death_of_the_program():
    marker = uuid.uuid4().hex
    with started(marker) as process:
        process.kill()
        assert process.wait(PATIENCE_S) == -signal.SIGKILL
    wait_until(lambda: not running(marker), "the sandbox outlives the program")


def test_ctrl_c_ends_python_code_too():
    marker = uuid.uuid4().hex
    code = "import time; print('started', flush=True); time.sleep(1000)"
    with start("code", "-c", code, marker) as process:
        assert process.stdout.readline() == b"started\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr.read() == b""
