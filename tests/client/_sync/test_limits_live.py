# generated from tests/client/_async/test_limits_live.py by scripts/unasync.py; edit that, not this
"""Limits that a program sets itself: at creation, and on a sandbox that runs."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from localbox import (
    CommandExitException,
    InvalidArgumentException,
    PolicyError,
    Sandbox,
    SandboxNotFoundException,
    load_profile,
)
from tests.client._sync.doing import until

MIB = 1 << 20
_CAP_SYS_RESOURCE = 24
_HOLD = "import sys; held = b'x' * (int(sys.argv[1]) << 20); print('held'); sys.stdin.read()"
_SPIN = "python3 -c 'while True: pass' & python3 -c 'while True: pass'"


def test_resources_take_the_place_of_the_profiles() -> None:
    wanted = {"memory": "256MiB", "pids": 20, "wall_time": "50s", "cpus": 1}
    with Sandbox.create(timeout=100, resources=wanted) as sandbox:
        resources = sandbox.policy.resources
        assert (resources.memory_bytes, resources.pids) == (256 * MIB, 20)
        # The rest is the profile's.
        assert resources.output_bytes == load_profile("default").resources.output_bytes
        info = sandbox.get_info()
        assert (info.memory_mb, info.cpu_count) == (256, 1)
        assert (info.end_at - datetime.now(UTC)).total_seconds() <= 50
        answer = sandbox.commands.run("ulimit -d; ulimit -u")
        assert answer.stdout.split() == [str(256 * 1024), "20"]


@pytest.mark.parametrize(
    ("resources", "complaint"),
    [
        ({"memry": "1GiB"}, r"""resources\['memry'\]: unknown key; did you mean "memory"\?"""),
        ({"cpu": 1}, r"""resources\['cpu'\]: unknown key; did you mean "cpus"\?"""),
        ({"memory": "much"}, r"resources\['memory'\]: expected a size"),
        ({"memory": 512}, r"resources\['memory'\]: 512 bytes is outside"),
        ({"pids": True}, r"resources\['pids'\]: expected a whole number"),
        ({"cpus": "all"}, r"resources\['cpus'\] must be a number of processors"),
        ({"cpus": 0}, r"resources\['cpus'\] must be a number of processors"),
        ("512MiB", "resources must be a dict"),
    ],
)
def test_resources_that_cannot_be_are_refused_by_their_key(resources: Any, complaint: str) -> None:
    with pytest.raises((PolicyError, InvalidArgumentException), match=complaint):
        Sandbox.create(resources=resources)


def test_max_memory_binds_processes_that_run_and_those_that_come(
    sandbox: Sandbox,
) -> None:
    sandbox.run_code("x = 1")
    running = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    sandbox.set_limits(max_memory="300MB")
    assert sandbox.get_info().memory_mb == 300_000_000 // MIB
    assert _data_limit(sandbox, str(running.pid)) == 300_000_000
    assert _data_limit(sandbox, "self") == 300_000_000
    with pytest.raises(CommandExitException, match="MemoryError"):
        sandbox.commands.run_python("bytearray(400_000_000)")
    error = sandbox.run_code("len(bytearray(400_000_000))").error
    assert error is not None
    assert error.name == "MemoryError"
    assert sandbox.run_code("x").text == "1"


def test_max_memory_binds_all_processes_together(sandbox: Sandbox) -> None:
    sandbox.set_limits(max_memory="120MiB")
    pids = [
        sandbox.commands.run(f'python3 -c "{_HOLD}" 80', background=True, stdin=True).pid
        for _ in range(2)
    ]
    # Each is allowed that much, both are not: one is ended.
    until(lambda: _has_ended(sandbox, pids))


def test_a_context_made_later_has_the_limit_too(sandbox: Sandbox) -> None:
    sandbox.set_limits(max_memory="300MiB")
    sandbox.run_code("1")
    # Within a look of the zygote.
    until(lambda: _cell_has_limit(sandbox, 300 * MIB))


def test_memory_can_be_raised_again_where_the_kernel_lets_it(sandbox: Sandbox) -> None:
    sandbox.set_limits(max_memory="256MiB")
    if os.geteuid() == 0 and _has_capability(_CAP_SYS_RESOURCE):
        sandbox.set_limits(max_memory="512MiB")
        assert _data_limit(sandbox, "self") == 512 * MIB
        assert sandbox.get_info().memory_mb == 512
    else:
        with pytest.raises(InvalidArgumentException, match="takes CAP_SYS_RESOURCE"):
            sandbox.set_limits(max_memory="512MiB")
        assert sandbox.get_info().memory_mb == 256
        assert _data_limit(sandbox, "self") == 256 * MIB


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor is limit enough")
@pytest.mark.parametrize("max_cpu", ["1", 0.2])
def test_max_cpu_holds_all_processes_together(sandbox: Sandbox, max_cpu: str | float) -> None:
    sandbox.set_limits(max_cpu=max_cpu)
    sandbox.commands.run(_SPIN, background=True, timeout=0)
    assert _processors_used(sandbox) < float(max_cpu) + 0.15


def test_as_many_processors_as_there_are_is_no_limit(sandbox: Sandbox) -> None:
    sandbox.set_limits(max_cpu=0.1)
    sandbox.commands.run(_SPIN, background=True, timeout=0)
    sandbox.set_limits(max_cpu=len(os.sched_getaffinity(0)))
    assert sandbox.get_info().cpu_count == len(os.sched_getaffinity(0))
    # Far more than the limit was, even on a machine that is busy with something else.
    assert _processors_used(sandbox) > 0.3


def test_a_limited_sandbox_answers_and_can_be_paused(sandbox: Sandbox) -> None:
    sandbox.set_limits(max_cpu=0.2)
    spinning = sandbox.commands.run(_SPIN, background=True, timeout=0)
    _processors_used(sandbox, for_s=0.2)
    sandbox.pause()
    sandbox.connect()
    # What the limit had stopped was let go before the pause, and goes on after it.
    assert _processors_used(sandbox, for_s=0.3) > 0
    assert [process.pid for process in sandbox.commands.list()] == [spinning.pid]


def test_a_timeout_is_set_with_the_other_limits(sandbox: Sandbox) -> None:
    the_class: Any = Sandbox
    the_class.set_limits(sandbox.sandbox_id, max_memory="512MB", max_cpu="1", timeout=60)
    left = sandbox.get_info().end_at - datetime.now(UTC)
    assert 50 < left.total_seconds() <= 60
    with pytest.raises(SandboxNotFoundException):
        the_class.set_limits("i" + "0" * 19, timeout=60)


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"max_memory": 512}, "an int counts bytes, write"),
        ({"max_memory": "much"}, "max_memory: expected a size"),
        ({"max_memory": True}, "max_memory: expected a size"),
        ({"max_cpu": "all"}, "max_cpu must be a number of processors"),
        ({"max_cpu": 0}, "max_cpu must be a number of processors"),
        ({"max_cpu": float("nan")}, "max_cpu must be a number of processors"),
        ({"timeout": -1}, "timeout"),
    ],
)
def test_limits_that_cannot_be_are_refused(
    sandbox: Sandbox, limits: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidArgumentException, match=complaint):
        sandbox.set_limits(**limits)


def test_the_limits_of_a_killed_sandbox_cannot_be_set(sandbox: Sandbox) -> None:
    sandbox.kill()
    with pytest.raises(SandboxNotFoundException, match="killed"):
        sandbox.set_limits(max_memory="512MB")


def _has_capability(number: int) -> bool:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    effective = next(line.split()[1] for line in lines if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)


def _data_limit(sandbox: Sandbox, pid: str) -> int:
    """Of a process inside, or of any new one."""
    limits = sandbox.commands.run(f"cat /proc/{pid}/limits")
    line = next(line for line in limits.stdout.splitlines() if line.startswith("Max data size"))
    return int(line.split()[4])


def _cell_has_limit(sandbox: Sandbox, limit: int) -> bool:
    code = "import resource; resource.getrlimit(resource.RLIMIT_DATA)[1]"
    return sandbox.run_code(code).text == str(limit)


def _has_ended(sandbox: Sandbox, pids: list[int]) -> bool:
    return len({process.pid for process in sandbox.commands.list()} & {*pids}) < len(pids)


def _processors_used(sandbox: Sandbox, for_s: float = 0.6) -> float:
    """Measured on the host, over some time in which nobody waits for anything else."""
    pid = sandbox._connection.ask_zygote({"op": "info"})["pid"]
    begun_at, begun_with = _now(), _cpu_s(pid)

    def has_passed() -> bool:
        return _now() - begun_at >= for_s

    until(has_passed)
    return (_cpu_s(pid) - begun_with) / (_now() - begun_at)


def _now() -> float:
    return time.monotonic()


def _cpu_s(root_pid: int) -> float:
    ticks, pending = 0, [root_pid]
    while pending:
        process = Path(f"/proc/{pending.pop()}")
        for task in (process / "task").iterdir():
            pending += map(int, (task / "children").read_text("ascii").split())
        fields = (process / "stat").read_text("ascii").rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")
