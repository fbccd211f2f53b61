"""What the zygote knows of a sandbox that runs, and of one that ended."""

from __future__ import annotations

import _socket
import contextlib
import signal
import time

from localbox.confinement.cgroups import Cgroup, CpuGroup
from localbox.confinement.host_proc import anonymous_bytes
from localbox.confinement.identity import UidSlot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox.zygote.metrics import Metrics
    from localbox.zygote.throttle import Throttle


class Kernel:
    """A process that has entered a sandbox from outside, to run cells there or be root's agent.

    Args:
        is_ours: it is a child of this zygote, and so to be reaped.
    """

    def __init__(self, pid: int, pidfd: int, *, is_ours: bool = False) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.is_ours = is_ours
        self.is_limited = False
        # What it shared with its own zygote from the start; everybody else shares it too.
        self.inherited_bytes = anonymous_bytes(pid)


class LiveSandbox:
    """
    Args:
        pid: of its PID 1, in the zygote's pid namespace.
        wall_time_s: the longest it may live, whatever its timeout; pauses do not count.

    Attributes:
        on_timeout: how to pause it when its time is up, "full" or "filesystem"; None ends it.
        stopped_by_guest: processes that were stopped already when it was paused.
    """

    # On the class: most sandboxes are never paused.
    on_timeout: str | None = None
    paused = False
    was_paused = False
    paused_at = 0.0
    # Stopped for the moment, while its files are copied.
    capturing = False
    stopped_by_guest: frozenset[int] = frozenset()
    # What has been changed since its birth; see zygote/limiting.py.
    data_limit_bytes: int | None = None
    cpus: float | None = None
    cpu_group: CpuGroup | None = None
    throttle: Throttle | None = None
    metrics: Metrics | None = None

    def __init__(
        self,
        sandbox_id: str,
        pid: int,
        pidfd: int,
        *,
        memory_bytes: int,
        wall_time_s: float | None,
        slot: UidSlot | None,
        cgroup: Cgroup | None,
    ) -> None:
        self.sandbox_id = sandbox_id
        self.pid = pid
        self.pidfd = pidfd
        self.memory_bytes = memory_bytes
        self.wall_time_s = wall_time_s
        self.slot = slot
        self.cgroup = cgroup
        self.started_at = time.time()
        self.started = time.monotonic()
        self.deadline = 0.0
        self.end_reason: str | None = None
        self.waiting_for_end: list[_socket.socket] = []
        self.kernels: dict[int, Kernel] = {}  # by pidfd
        self.killed_for_memory: set[int] = set()
        self.digest = ""  # of its plan
        self.volumes: list[int] = []  # descriptors; see zygote/volumes.py

    def begin(self, timeout_s: float) -> None:
        """Its life counts from now: somebody has it."""
        self.started_at = time.time()
        self.started = time.monotonic()
        self.metrics = None
        self.set_timeout(timeout_s)

    def set_timeout(self, timeout_s: float) -> None:
        """End `timeout_s` seconds from now, but never later than the policy's wall_time."""
        self.timeout_s = timeout_s
        self.deadline = time.monotonic() + timeout_s
        if self.wall_time_s is not None:
            self.deadline = min(self.deadline, self.started + self.wall_time_s)

    def extend(self, timeout_s: float) -> None:
        """Let it live for at least `timeout_s` from now."""
        if time.monotonic() + timeout_s > self.deadline:
            self.set_timeout(timeout_s)

    def wall_time_is_up(self) -> bool:
        """Whether its policy lets it live no longer."""
        if self.wall_time_s is None:
            return False
        return time.monotonic() >= self.started + self.wall_time_s

    def begin_pause(self) -> None:
        """Stop its clock; its processes have been stopped."""
        self.paused = self.was_paused = True
        self.paused_at = time.monotonic()
        self.deadline = float("inf")

    def end_pause(self, timeout_s: float) -> None:
        """Let its clock run again, `timeout_s` before its end."""
        self.paused = False
        self.stopped_by_guest = frozenset()
        self.started += time.monotonic() - self.paused_at
        self.set_timeout(timeout_s)

    def end(self, reason: str) -> None:
        """SIGKILL its PID 1; the kernel then kills everything in its pid namespace."""
        if self.end_reason is None:
            self.end_reason = reason
        self.deadline = float("inf")
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
