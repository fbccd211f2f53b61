"""get_metrics: what a sandbox uses, measured outside of it."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from localbox import AsyncSandbox, SandboxMetrics, SandboxNotFoundException
from tests.client._async.doing import until

pytestmark = pytest.mark.anyio

MIB = 1 << 20


async def test_the_last_sample_is_of_this_moment(sandbox: AsyncSandbox) -> None:
    before = datetime.now(UTC)
    metrics = await sandbox.get_metrics()
    (sample,) = metrics
    assert isinstance(sample, SandboxMetrics)
    assert before - timedelta(seconds=1) < sample.timestamp < datetime.now(UTC)
    assert sample.cpu_count == len(os.sched_getaffinity(0))
    assert sample.cpu_used_pct >= 0
    assert sample.mem_total == sandbox.policy.resources.memory_bytes
    assert sample.disk_total == pytest.approx(sandbox.policy.filesystem.disk_bytes, rel=0.01)


async def test_memory_is_that_of_all_processes(sandbox: AsyncSandbox) -> None:
    assert (await sandbox.get_metrics())[-1].mem_used < 100 * MIB
    code = f"import sys; held = b'x' * {100 * MIB}; open('held', 'w'); sys.stdin.read()"
    await sandbox.commands.run(f'python3 -c "{code}"', background=True, stdin=True)
    await until(lambda: sandbox.files.exists("held"))
    assert (await sandbox.get_metrics())[-1].mem_used > 100 * MIB
    await sandbox.run_code(f"held = b'x' * {100 * MIB}")
    assert (await sandbox.get_metrics())[-1].mem_used > 200 * MIB


async def test_disk_is_what_the_sandbox_has_written(sandbox: AsyncSandbox) -> None:
    assert (await sandbox.get_metrics())[-1].disk_used < MIB
    await sandbox.files.write("/tmp/large", b"x" * (20 * MIB))
    assert 20 * MIB <= (await sandbox.get_metrics())[-1].disk_used < 21 * MIB
    # Nothing that the guest puts in the way leads elsewhere.
    await sandbox.commands.run("rm -rf /tmp/large; ln -s / /dev/shm/link; ln -s / ~/link")
    assert (await sandbox.get_metrics())[-1].disk_used < MIB


async def test_processor_time_is_that_of_all_processes_also_of_those_that_ended(
    sandbox: AsyncSandbox,
) -> None:
    idle = (await sandbox.get_metrics())[-1].cpu_used_pct
    await sandbox.commands.run("timeout 0.5 python3 -c 'while True: pass' || true")
    assert (await sandbox.get_metrics())[-1].cpu_used_pct > idle + 5


async def test_the_limits_are_the_totals(sandbox: AsyncSandbox) -> None:
    await sandbox.set_limits(max_memory="300MiB", max_cpu=1)
    (sample,) = await sandbox.get_metrics()
    assert (sample.mem_total, sample.cpu_count) == (300 * MIB, 1)


async def test_start_and_end_leave_out_what_lies_outside(sandbox: AsyncSandbox) -> None:
    now = datetime.now(UTC)
    hour = timedelta(hours=1)
    assert len(await sandbox.get_metrics(start=now - hour, end=now + hour)) == 1
    assert await sandbox.get_metrics(start=now + hour) == []
    assert await sandbox.get_metrics(end=now - hour) == []
    # Without a zone it is local time.
    assert await sandbox.get_metrics(start=datetime.now() + hour) == []  # noqa: DTZ005


async def test_metrics_work_on_the_class_and_of_a_paused_sandbox(sandbox: AsyncSandbox) -> None:
    the_class: Any = AsyncSandbox
    await sandbox.pause()
    assert len(await the_class.get_metrics(sandbox.sandbox_id)) == 1
    await sandbox.kill()
    for sandbox_id in (sandbox.sandbox_id, "i" + "0" * 19):
        with pytest.raises(SandboxNotFoundException):
            await the_class.get_metrics(sandbox_id)
