"""Limits that were changed on a live sandbox: what runs there cannot keep the old ones."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localbox import Sandbox, ServiceBusyException
from tests import leftovers
from tests.confinement.attack import ask, host_pids, policy

MIB = 1 << 20
_FORK_BOMB = """
import os
print('ready', flush=True)
while True:
    try:
        os.fork()
    except OSError:
        pass
"""
_CHAIN = """
import os
print('ready', flush=True)
while True:
    if os.fork():
        os._exit(0)
"""
_WAKERS = """
import os, signal, time
for _ in range(4):
    os.fork()
print('ready', flush=True)
while True:
    os.kill(-1, signal.SIGCONT)
"""


@contextmanager
def running(code: str, **limits: Any) -> Iterator[Sandbox]:
    """A sandbox in which `code` is under way."""
    with Sandbox.create(profile=policy(**limits), timeout=60) as sandbox:
        sandbox.files.write("code.py", code)
        handle = sandbox.commands.run("exec python3 code.py", background=True, timeout=0)
        for stdout, _stderr, _pty in handle:
            if "ready" in (stdout or ""):
                break
        yield sandbox


def data_limits(sandbox: Sandbox) -> set[str]:
    """RLIMIT_DATA of every process, as the host sees it."""
    found = set()
    for pid in host_pids(sandbox):
        try:
            text = Path(f"/proc/{pid}/limits").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has ended
        found |= {line.split()[4] for line in text.splitlines() if line.startswith("Max data")}
    return found


@pytest.mark.parametrize("code", [_FORK_BOMB, _CHAIN])
def test_no_process_keeps_the_old_memory_limit_by_forking(code: str) -> None:
    with running(code, pids=40) as sandbox:
        try:
            sandbox.set_limits(max_memory="256MiB")
        except ServiceBusyException:
            pytest.fail("the processes could not be made to stand still")
        assert data_limits(sandbox) == {str(256 * MIB)}


def test_a_guest_cannot_raise_its_limit_again() -> None:
    with Sandbox.create(profile=policy(memory=512 * MIB), timeout=60) as sandbox:
        sandbox.set_limits(max_memory="256MiB")
        answer = ask(
            sandbox,
            f"""
import resource
def raise_it(pid=0):
    resource.prlimit(pid, resource.RLIMIT_DATA, ({512 * MIB},) * 2)
answer = []
for pid in (0, os.getppid()):
    try:
        raise_it(pid)
        answer.append('allowed')
    except PermissionError:
        answer.append('EPERM')
    except ValueError as error:
        answer.append('EPERM' if 'not allowed' in str(error) else str(error))
""",
        )
        assert answer == ["EPERM", "EPERM"]


def test_a_lower_limit_that_a_process_has_set_itself_is_left_to_it() -> None:
    with Sandbox.create(timeout=60) as sandbox:
        sandbox.commands.run("ulimit -d 100000; exec sleep 1000", background=True, timeout=0)
        leftovers.wait_until(lambda: str(100000 * 1024) in data_limits(sandbox))
        sandbox.set_limits(max_memory="256MiB")
        assert data_limits(sandbox) == {str(256 * MIB), str(100000 * 1024)}


@pytest.mark.parametrize("code", [_FORK_BOMB, _WAKERS])
def test_no_number_of_processes_gets_more_than_the_processors_allowed(code: str) -> None:
    with running(code, pids=40) as sandbox:
        sandbox.set_limits(max_cpu=0.3)
        assert _processors_used(sandbox, 0.6) < 0.6
        assert sandbox.is_running()


def _processors_used(sandbox: Sandbox, for_s: float) -> float:
    """Of the processes there are, and of those they have waited for."""
    begun_at, begun_with = time.monotonic(), _cpu_s(sandbox)
    leftovers.wait_until(lambda: time.monotonic() - begun_at >= for_s)
    return (_cpu_s(sandbox) - begun_with) / (time.monotonic() - begun_at)


def _cpu_s(sandbox: Sandbox) -> float:
    ticks = 0
    for pid in host_pids(sandbox):
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("ascii")
        except (FileNotFoundError, ProcessLookupError):
            continue
        ticks += sum(map(int, stat.rpartition(")")[2].split()[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")
