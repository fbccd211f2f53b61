"""tests/leftovers.py: what the check after every test would notice."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import pytest

from tests import leftovers


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    wait_until = leftovers.wait_until
    monkeypatch.setattr(
        leftovers, "wait_until", lambda condition: wait_until(condition, within_s=0.05)
    )


def test_nothing_new_is_nothing() -> None:
    before = leftovers.holdings()
    os.close(os.dup(0))
    leftovers.check_nothing_new(before)


def test_a_descriptor_is_noticed() -> None:
    before = leftovers.holdings()
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        with pytest.raises(AssertionError, match=f"descriptors.*{fd}, '/dev/null'"):
            leftovers.check_nothing_new(before)
    finally:
        os.close(fd)


def test_a_process_is_noticed_with_its_command() -> None:
    before = leftovers.holdings()
    process = subprocess.Popen([sys.executable, "-c", "input('x')"], stdin=subprocess.PIPE)
    try:
        with pytest.raises(AssertionError, match=f"processes.*{process.pid}"):
            leftovers.check_nothing_new(before)
    finally:
        process.communicate(b"\n")


def test_a_zombie_is_noticed() -> None:
    before = leftovers.holdings()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    try:
        with pytest.raises(AssertionError, match=f"processes.*{pid}.*zombie"):
            leftovers.check_nothing_new(before)
    finally:
        os.waitpid(pid, 0)


def test_a_directory_is_noticed() -> None:
    before = leftovers.holdings()
    with (
        tempfile.TemporaryDirectory(prefix="localbox-"),
        pytest.raises(AssertionError, match=r"directories.*localbox-"),
    ):
        leftovers.check_nothing_new(before)
