"""The zygote's samples of a sandbox, as E2B's metrics."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from localbox.models_control import SandboxMetrics
from localbox.protocol.frames import Message


def read_metrics(
    answer: Message, start: datetime | None, end: datetime | None
) -> list[SandboxMetrics]:
    """
    Args:
        answer: rows of time, processors in use, bytes of memory and of disk; and the totals.
        start, end: leave out what lies outside.
    """
    cpus = float(answer["cpus"])
    metrics = [
        SandboxMetrics(
            cpu_count=math.ceil(cpus),
            cpu_used_pct=round(100 * used_cpus / cpus, 2),
            disk_total=answer["disk_bytes"],
            disk_used=int(disk_bytes),
            mem_total=answer["memory_bytes"],
            mem_used=int(memory_bytes),
            # Pages of files are this machine's cache, and no sandbox's.
            mem_cache=0,
            timestamp=datetime.fromtimestamp(at, UTC),
        )
        for at, used_cpus, memory_bytes, disk_bytes in answer["samples"]
    ]
    return [
        sample
        for sample in metrics
        if (start is None or sample.timestamp >= start.astimezone(UTC))
        and (end is None or sample.timestamp <= end.astimezone(UTC))
    ]
