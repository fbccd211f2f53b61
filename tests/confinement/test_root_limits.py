"""The sandbox's limits hold for its root, who is another user to the kernel that counts.

The guest is taken to be hostile as root too; each of the attacks here has all that root has.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from localbox import CommandExitException, Sandbox, SandboxException
from tests.confinement.as_root import ask_root, calls, needs_root, outcomes
from tests.confinement.attack import lines, number_of, policy

pytestmark = needs_root

MIB = 1 << 20


def test_roots_home_is_on_the_one_disk_with_its_limit() -> None:
    code = """
def fill(path):
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    for _ in range(5 << 4):
        os.write(fd, bytes(1 << 16))
same = os.stat('/root').st_dev == os.stat('/tmp').st_dev
answer = [same, outcome(fill, '/tmp/first'), outcome(fill, '/root/second')]
"""
    with Sandbox.create(profile=policy(disk=8 * MIB)) as sandbox:
        assert ask_root(sandbox, code) == [True, "allowed", "ENOSPC"]


@pytest.mark.parametrize("limit", ["NOFILE", "NPROC", "DATA", "FSIZE", "CORE", "MEMLOCK", "NICE"])
def test_root_cannot_raise_hard_limits(sandbox: Sandbox, limit: str) -> None:
    code = f"""
import resource
which = resource.RLIMIT_{limit}
soft, hard = resource.getrlimit(which)
attempts = [(soft, hard + 1), (soft, resource.RLIM_INFINITY)]
def outcome_of(new):
    try:
        resource.setrlimit(which, new)
    except (OSError, ValueError) as error:
        return type(error).__name__
    return 'allowed'
answer = [outcome_of(new) for new in attempts] + [outcome_of((hard, hard)), hard]
"""
    *refused, allowed, hard = ask_root(sandbox, code)
    assert hard != -1
    assert set(refused) <= {"ValueError", "PermissionError"}
    assert allowed == "allowed"


def test_root_cannot_take_priority_over_the_host(sandbox: Sandbox) -> None:
    assert outcomes(
        sandbox,
        "os.setpriority(os.PRIO_PROCESS, 0, -5)",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    ) in (["EACCES", "EPERM"], ["EPERM", "EPERM"])


_FORK = """
import signal
def forked():
    pids = []
    try:
        while len(pids) < 100:
            pid = os.fork()
            if pid == 0:
                signal.pause()
            pids.append(pid)
    except OSError as error:
        assert error.errno == errno.EAGAIN
    return len(pids)
"""


def test_root_is_not_exempt_from_the_limit_of_processes() -> None:
    with Sandbox.create(profile=policy(pids=20)) as sandbox:
        code = _FORK + "answer = forked()"
        counted = ask_root(sandbox, code)
        assert 10 <= counted < 20
        # All of them still wait, and count.
        left = 20 - counted
        with contextlib.suppress(SandboxException):
            for _ in range(left):
                sandbox.commands.run("sleep 1000", background=True, user="root")
        with pytest.raises(SandboxException, match="pids"):
            sandbox.commands.run("true", user="root")
        # The user has a count of its own.
        assert lines(sandbox, "echo fine") == ["fine"]


def test_root_cannot_count_its_processes_to_users_without_number(sandbox: Sandbox) -> None:
    """RLIMIT_NPROC is by real uid, of which root could take 65,536."""
    sandbox.commands.run("true", user="root")
    for name, taken in (
        ("setuid", (5,)),
        ("setreuid", (5, 0)),
        ("setresuid", (5, 0, 0)),
        ("setresuid", (1 << 32 | 65534, 0, 0)),
    ):
        assert calls(sandbox, {name: taken}) == {name: "EPERM"}
    # The effective one is nobody's count, and cannot be made the real one.
    code = f"""
answer = [call({number_of("setresuid")}, -1, 5, -1), call({number_of("setreuid")}, 5, -1)]
answer.append(os.getresuid())
"""
    assert ask_root(sandbox, code) == ["allowed", "EPERM", [0, 5, 0]]


def test_root_counts_to_the_memory_of_its_sandbox() -> None:
    code = f"""
import signal
pids = []
for _ in range(6):
    pid = os.fork()
    if pid == 0:
        hold = b'x' * {48 * MIB}
        signal.pause()
    pids.append(pid)
pid, status = os.waitpid(-1, 0)
answer = os.waitstatus_to_exitcode(status)
for pid in pids:
    try: os.kill(pid, 9)
    except ProcessLookupError: pass
"""
    with Sandbox.create(profile=policy(memory=128 * MIB), timeout=60) as sandbox:
        assert ask_root(sandbox, code, timeout=30) == -9
        assert lines(sandbox, "echo fine") == ["fine"]


def test_a_limit_of_cpu_time_holds_for_root(tmp_path: Path) -> None:
    profile = tmp_path / "short.yaml"
    profile.write_text("resources: {cpu_time: 1s}\n")
    with Sandbox.create(profile=profile) as sandbox:
        with pytest.raises(CommandExitException) as caught:
            sandbox.commands.run("while :; do :; done", user="root", timeout=30)
        assert caught.value.error == "signal: cpu time limit exceeded"
