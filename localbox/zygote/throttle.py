"""Holds a sandbox to a share of the processors where no cgroup can: stops it when it had too much.

A share is saved up for a tenth of a second at most. When all is spent the sandbox's processes are
stopped, PID 1 aside, until enough has come in again. It is a limit on ordinary programs: the time
of a process that ends between two looks, and that nobody waits for, is not seen.
"""

from __future__ import annotations

import os
import time

from localbox.confinement.host_proc import read_proc
from localbox.zygote.freezing import processes, stop_programs, thaw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox.zygote.live import LiveSandbox

_INTERVAL_S = 0.04
_SAVED_UP_FOR_S = 0.1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Throttle:
    """One sandbox's."""

    def __init__(self, sandbox: LiveSandbox, cpus: float) -> None:
        self.cpus = cpus
        self._used_s = used_cpu_s(processes(sandbox))
        self._looked_at = time.monotonic()
        self._credit_s = 0.0
        self._is_stopped = False

    def patience_s(self, now: float) -> float:
        return max(0.0, self._looked_at + _INTERVAL_S - now)

    def look(self, sandbox: LiveSandbox, now: float) -> None:
        """Account for what was used since the last time; stop the sandbox or let it go on."""
        if now - self._looked_at < _INTERVAL_S:
            return
        pids = processes(sandbox)
        used_s = used_cpu_s(pids)
        self._credit_s += self.cpus * (now - self._looked_at)
        # A kernel that ended takes its time with it.
        self._credit_s -= max(0.0, used_s - self._used_s)
        self._credit_s = min(self._credit_s, self.cpus * _SAVED_UP_FOR_S)
        self._used_s, self._looked_at = used_s, now
        if self._credit_s < 0:
            # Again and again: something inside could have woken the others.
            stop_programs(sandbox, again=self._is_stopped)
            self._is_stopped = True
        elif self._is_stopped and self._credit_s > 0:
            self.let_go(sandbox)

    def let_go(self, sandbox: LiveSandbox) -> None:
        """Let everything run again, as before a pause."""
        if self._is_stopped:
            self._is_stopped = False
            thaw(sandbox)
            sandbox.stopped_by_guest = frozenset()


def used_cpu_s(pids: list[int]) -> float:
    """Processor time of processes, and of their children that have ended and were waited for."""
    ticks = 0
    for pid in pids:
        # The name, which is in parentheses, can hold anything.
        fields = read_proc(f"{pid}/stat").rpartition(")")[2].split()
        if len(fields) > 14:
            ticks += sum(map(int, fields[11:15]))
    return ticks / _TICKS_PER_S
