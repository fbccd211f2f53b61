"""Watches how much memory each sandbox holds, where no cgroup does it better.

Looks from outside, at /proc, several times a second: a guest cannot talk it out of anything. It is
a limit on ordinary programs, not an exact wall. A program that sets out to can overshoot between
two looks, and can hold memory that no process shows (socket buffers); a memory cgroup counts
those too. RLIMIT_DATA on each process and the sized tmpfs hold at every moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable

from localbox.confinement.host_proc import anonymous_bytes, open_proc, read_proc
from localbox.zygote.live import LiveSandbox

_INTERVAL_S = 0.1
# With very many sandboxes, look less often rather than spend the machine on looking.
_INTERVAL_PER_SANDBOX_S = 0.001


class MemoryWatch:
    def __init__(self) -> None:
        self._next_look = 0.0
        self._interval = _INTERVAL_S

    def patience_s(self, sandboxes: int) -> float:
        self._interval = max(_INTERVAL_S, sandboxes * _INTERVAL_PER_SANDBOX_S)
        return self._interval

    def postpone(self, delay_s: float) -> None:
        """Not now: a sandbox is being born, and what it can hold yet is next to nothing."""
        self._next_look = max(self._next_look, time.monotonic() + delay_s)

    def look(self, sandboxes: Iterable[LiveSandbox], now: float) -> None:
        if now < self._next_look:
            return
        self._next_look = now + self._interval
        for sandbox in sandboxes:
            if sandbox.cgroup is None and not sandbox.paused:
                _enforce(sandbox)


def memory_of(sandbox: LiveSandbox) -> dict[int, int]:
    """What each process but PID 1 holds, in bytes."""
    sizes = {pid: anonymous_bytes(pid) for pid in descendants(sandbox.pid)}
    for kernel in sandbox.kernels.values():
        sizes[kernel.pid] = anonymous_bytes(kernel.pid) - kernel.inherited_bytes
        sizes.update((pid, anonymous_bytes(pid)) for pid in kernel_descendants(kernel.pid))
    return sizes


def _enforce(sandbox: LiveSandbox) -> None:
    """As the kernel's own killer would: end the largest process, or all if that is PID 1."""
    sizes = memory_of(sandbox)
    if not sizes:
        return
    # PID 1's own pages are mostly the zygote's, shared; they come with every sandbox.
    if sum(sizes.values()) <= sandbox.memory_bytes:
        return
    largest = max(sizes, key=lambda pid: sizes[pid])
    sandbox.killed_for_memory.add(largest)
    with contextlib.suppress(ProcessLookupError):
        os.kill(largest, signal.SIGKILL)


def descendants(root_pid: int) -> list[int]:
    """Every process of the sandbox but PID 1; an orphan is PID 1's child in its namespace."""
    children = [int(pid) for pid in read_proc(f"{root_pid}/task/{root_pid}/children").split()]
    return [pid for child in children for pid in (child, *kernel_descendants(child))]


def kernel_descendants(root_pid: int) -> list[int]:
    """All that a process with any number of threads has started, parents before their children."""
    found: list[int] = []
    pending = [root_pid]
    while pending:
        pid = pending.pop()
        children = children_of(pid)
        pending += children
        found += children
    return found


def children_of(pid: int) -> list[int]:
    """What any of its threads has started and not reaped."""
    return [
        int(child)
        for task in tasks(pid)
        for child in read_proc(f"{pid}/task/{task}/children").split()
    ]


def tasks(pid: int) -> list[str]:
    """The ids of its threads; [] if it is gone."""
    try:
        fd = open_proc(f"{pid}/task", os.O_DIRECTORY)
    except OSError:
        return []
    try:
        return os.listdir(fd)
    except OSError:
        return []
    finally:
        os.close(fd)
