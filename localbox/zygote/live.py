"""What the zygote knows of a sandbox that runs, and of one that ended."""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from dataclasses import dataclass, field

from localbox.confinement.cgroups import Cgroup
from localbox.confinement.identity import UidSlot


@dataclass(slots=True)
class LiveSandbox:
    sandbox_id: str
    pid: int  # of its PID 1, in the zygote's pid namespace
    pidfd: int
    memory_bytes: int
    wall_time_s: float | None
    slot: UidSlot | None
    cgroup: Cgroup | None
    started_at: float = field(default_factory=time.time)
    started: float = field(default_factory=time.monotonic)
    deadline: float = 0.0
    end_reason: str | None = None
    waiting_for_end: list[socket.socket] = field(default_factory=list)

    def set_timeout(self, timeout_s: float) -> None:
        """End `timeout_s` seconds from now, but never later than the policy's wall_time."""
        self.deadline = time.monotonic() + timeout_s
        if self.wall_time_s is not None:
            self.deadline = min(self.deadline, self.started + self.wall_time_s)

    def end(self, reason: str) -> None:
        """SIGKILL its PID 1; the kernel then kills everything in its pid namespace."""
        if self.end_reason is None:
            self.end_reason = reason
        self.deadline = float("inf")
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Ended:
    reason: str
