"""What sandboxes use, sampled now and then from /proc: outside, where no guest can lie about it."""

from __future__ import annotations

import os
import time
from collections import deque

from localbox.confinement.host_proc import open_proc
from localbox.zygote.freezing import processes
from localbox.zygote.memory import memory_of
from localbox.zygote.throttle import used_cpu_s

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from localbox.zygote.live import LiveSandbox

INTERVAL_S = 5.0
# An hour's worth.
_KEPT = 720
# The kernel counts processor time in hundredths of a second: over less than this it says nothing.
_APART_S = 0.5

# When (wall clock, monotonic), processor seconds so far, bytes of memory and of disk.
Sample = tuple[float, float, float, int, int]


class Metrics:
    """One sandbox's history."""

    def __init__(self) -> None:
        self.samples: deque[Sample] = deque(maxlen=_KEPT)
        self.sampled_at = 0.0


def record(sandbox: LiveSandbox, now: float) -> None:
    """Take a sample into the history."""
    if sandbox.metrics is None:
        sandbox.metrics = Metrics()
    sandbox.metrics.sampled_at = now
    sandbox.metrics.samples.append(_sample(sandbox, now))


def history(sandbox: LiveSandbox, now: float) -> list[list[float]]:
    """The samples so far and one of this moment: when, processors in use, memory and disk bytes."""
    samples = list(sandbox.metrics.samples) if sandbox.metrics is not None else []
    if not samples or now - samples[-1][1] >= _APART_S:
        samples.append(_sample(sandbox, now))
    rows: list[list[float]] = []
    before_at, before_s = sandbox.started, 0.0
    for wall, at, cpu_s, memory_bytes, disk_bytes in samples:
        # A kernel that has ended takes its time with it.
        cpus = max(0.0, cpu_s - before_s) / max(at - before_at, 0.01)
        rows.append([wall, cpus, memory_bytes, disk_bytes])
        before_at, before_s = at, cpu_s
    return rows


def totals(sandbox: LiveSandbox) -> dict[str, Any]:
    """What it may use."""
    here = len(os.sched_getaffinity(0))
    return {
        "cpus": here if sandbox.cpus is None else sandbox.cpus,
        "memory_bytes": sandbox.memory_bytes,
        "disk_bytes": _disk(sandbox)[0],
    }


def _sample(sandbox: LiveSandbox, now: float) -> Sample:
    cpu_s = used_cpu_s(processes(sandbox))
    memory_bytes = sum(memory_of(sandbox).values())
    return time.time(), now, cpu_s, memory_bytes, _disk(sandbox)[1]


def _disk(sandbox: LiveSandbox) -> tuple[int, int]:
    """Size and use of the one file system that holds all it can write.

    No step of that path is the guest's to change: they are mounts and directories of its root.
    """
    try:
        fd = open_proc(f"{sandbox.pid}/root/dev/shm", os.O_PATH | os.O_NOFOLLOW | os.O_DIRECTORY)
    except OSError:
        return 0, 0
    try:
        disk = os.statvfs(fd)
    finally:
        os.close(fd)
    return disk.f_blocks * disk.f_frsize, (disk.f_blocks - disk.f_bfree) * disk.f_frsize
