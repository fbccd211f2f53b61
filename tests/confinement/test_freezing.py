"""Pausing: nothing of a sandbox runs while it is paused, whatever it does to run on."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from localbox import Sandbox, SandboxNotRunningException, SandboxState, ServiceBusyException
from localbox.confinement.cgroups import Cgroup
from tests import leftovers
from tests.confinement.attack import host_pids, policy, status

# Each says "ready" when it is under way.
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
        os._exit(0)  # a moving target: its child goes on under another id
"""
_WAKERS = """
import os, signal
for _ in range(6):
    os.fork()
if os.getpid() % 7 == 0:
    print('ready', flush=True)
while True:
    try:
        os.kill(-1, signal.SIGCONT)
    except OSError:
        pass
"""
_HEADLESS = """
import ctypes, threading
def spin():
    print('ready', flush=True)
    while True:
        pass
threading.Thread(target=spin).start()
ctypes.CDLL(None).pthread_exit(None)  # /proc shows the process as a zombie now
"""
_VFORK = """
import ctypes, os
print('ready', flush=True)
libc = ctypes.CDLL(None)
pid = libc.vfork()  # until the child ends the parent sleeps, and cannot be stopped
while True:
    pass
"""

_BUSY_CELL = """
import subprocess, threading
def spin():
    while True:
        pass
threading.Thread(target=spin, daemon=True).start()
# A child of a thread and not of the process's first one.
threading.Thread(target=lambda: subprocess.Popen(['sleep', '1000'])).start()
"""

_KILLER = """
import os, signal
print('ready', flush=True)
spared = {os.getpid(), os.getppid()}
while True:
    for pid in {*range(2, 60)} - spared:  # whatever may have come in to stop us
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
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


def activity(pids: list[int]) -> dict[str, tuple[str, ...]]:
    """Of each thread its state and its context switches: what runs changes one or the other."""
    seen = {}
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text("utf-8").splitlines()
            seen[task.name] = tuple(
                line for line in lines if line.startswith(("State", "volun", "nonv"))
            )
    return seen


def assert_nothing_runs(sandbox: Sandbox) -> None:
    pids = host_pids(sandbox)
    before = activity(pids)
    states = {values[0].split()[1] for values in before.values()}
    assert states <= {"T", "Z", "D"}
    # Time in which whatever runs would have been switched: this machine's other work gets it.
    for _ in range(3):
        assert sum(range(1_000_000))
        os.sched_yield()
    assert host_pids(sandbox) == pids
    assert activity(pids) == before


@pytest.mark.parametrize("code", [_FORK_BOMB, _CHAIN, _HEADLESS, _VFORK, _KILLER])
def test_nothing_runs_in_a_paused_sandbox(code: str) -> None:
    with running(code, pids=40) as sandbox:
        assert sandbox.pause()
        assert_nothing_runs(sandbox)
        assert not sandbox.is_running()
        sandbox.connect()
        assert sandbox.get_info().state is SandboxState.RUNNING


def test_processes_that_wake_each_other_are_stopped_or_the_pause_is_refused() -> None:
    with running(_WAKERS, pids=80) as sandbox:
        try:
            sandbox.pause()
        except ServiceBusyException:
            assert sandbox.is_running()
        else:
            assert_nothing_runs(sandbox)


def test_a_kernel_and_its_children_are_paused_too() -> None:
    with Sandbox.create(timeout=60) as sandbox:
        sandbox.run_code(_BUSY_CELL)
        leftovers.wait_until(lambda: len(_of_kernels()) >= 2)
        before = _of_kernels()
        assert sandbox.pause()
        seen = activity(sorted(before))
        assert {values[0].split()[1] for values in seen.values()} == {"T"}
        sandbox.connect()
        assert sandbox.run_code("6 * 7").text == "42"


def _of_kernels() -> set[int]:
    from localbox.engine import zygote_process

    return {
        pid
        for zygote in zygote_process._zygotes.values()
        if zygote._kernels is not None
        for pid in leftovers.descendants(zygote._kernels.pid)
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user's sandboxes have no root")
def test_roots_processes_are_paused_too_and_end_with_a_reboot() -> None:
    with Sandbox.create(timeout=60) as sandbox:
        spin = "echo ready; while :; do :; done"
        sandbox.commands.run(spin, user="root", background=True, timeout=0)
        zygote = status(host_pids(sandbox)[0])["PPid"]
        pids = sorted(leftovers.descendants(int(zygote)))
        assert len(pids) > 2
        sandbox.pause()
        before = activity(pids)
        assert {values[0].split()[1] for values in before.values()} == {"T"}
        assert activity(pids) == before
        sandbox.connect(on_resume="reboot")
        assert sandbox.commands.list() == []
        assert sandbox.commands.run("id -u", user="root").stdout == "0\n"


def test_what_the_guest_has_stopped_stays_stopped() -> None:
    with Sandbox.create(timeout=60) as sandbox:
        sandbox.commands.run(
            "sleep 1000 & echo $! > pid; kill -STOP $!; exec sleep 1000 > /dev/null",
            background=True,
        )
        leftovers.wait_until(lambda: _state_of_sleep(sandbox) == "T")
        sandbox.pause()
        sandbox.connect()
        assert _state_of_sleep(sandbox) == "T"
        sandbox.commands.run("kill -CONT $(cat pid)")
        leftovers.wait_until(lambda: _state_of_sleep(sandbox) == "S")


def _state_of_sleep(sandbox: Sandbox) -> str:
    command = "ps -o state= -p $(cat pid 2> /dev/null) 2> /dev/null || true"
    return sandbox.commands.run(command).stdout.strip()


def test_a_shell_does_not_notice_that_its_jobs_were_paused() -> None:
    # With job control a shell goes on to its next command when a job stops.
    script = "set -m; sleep 1000; echo status $? > after"
    with Sandbox.create(timeout=60) as sandbox:
        handle = sandbox.commands.run(script, background=True, timeout=0)
        leftovers.wait_until(lambda: sandbox.commands.run("pgrep -x sleep || true").stdout)
        for _ in range(5):
            sandbox.pause()
            sandbox.connect()
        sandbox.commands.run("pkill -TERM -x sleep")
        assert handle.wait().exit_code == 0
        assert sandbox.files.read("after") == "status 143\n"


def test_a_paused_sandbox_can_be_killed_and_leaves_nothing() -> None:
    with running(_FORK_BOMB, pids=40) as sandbox:
        sandbox.pause()
        pids = host_pids(sandbox)
        assert sandbox.kill()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        with pytest.raises(SandboxNotRunningException, match="killed"):
            sandbox.commands.run("true")


@pytest.mark.parametrize("code", [_FORK_BOMB, _CHAIN, _KILLER])
def test_filesystem_mode_ends_whatever_runs_and_keeps_its_files(code: str) -> None:
    with running(code, pids=40) as sandbox:
        sandbox.files.write("kept", "still here")
        assert sandbox.pause(mode="filesystem")
        assert len(host_pids(sandbox)) == 1
        sandbox.connect()
        assert sandbox.files.read("kept") == "still here"
        assert sandbox.commands.list() == []


def test_a_reboot_ends_what_was_paused() -> None:
    with running(_CHAIN, pids=40) as sandbox:
        sandbox.pause()
        sandbox.connect(on_resume="reboot")
        assert len(host_pids(sandbox)) == 1
        assert sandbox.is_running()


def test_a_version_2_cgroup_is_frozen_by_the_kernel() -> None:
    hierarchy = next(
        (
            p
            for p in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup")
            if os.access(f"{p}/cgroup.procs", os.W_OK) and Path(p, "cgroup.controllers").exists()
        ),
        None,
    )
    if hierarchy is None:
        pytest.skip("no version 2 cgroup can be made here")
    directory = Path(hierarchy, f"localbox-test-{os.getpid()}")
    directory.mkdir()
    cgroup = Cgroup(directory.name)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    cgroup.directories["unified"] = fd
    try:
        with subprocess.Popen(["sh", "-c", "while :; do :; done"]) as process:
            try:
                cgroup.take_in(process.pid)
                assert cgroup.can_freeze
                leftovers.wait_until(cgroup.freeze)
                before = activity([process.pid])
                assert sum(range(1_000_000))
                assert activity([process.pid]) == before
                cgroup.thaw()
                leftovers.wait_until(lambda: activity([process.pid]) != before)
            finally:
                process.send_signal(signal.SIGKILL)
    finally:
        os.close(fd)
        leftovers.wait_until(lambda: _removed(directory))


def _removed(directory: Path) -> bool:
    try:
        directory.rmdir()
    except OSError:
        return False
    return True
