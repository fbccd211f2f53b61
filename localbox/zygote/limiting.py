"""Changes the limits of a sandbox that lives: its memory, and its share of the processors.

Memory: RLIMIT_DATA of each process, which holds at every moment, and what the memory watch or the
cgroup allows all of them together. Processors: a cgroup's quota, which the kernel keeps, or where
there is none the throttle of zygote/throttle.py.
"""

from __future__ import annotations

import os

from localbox.confinement import limits
from localbox.confinement.cgroups import Cgroups
from localbox.confinement.host_proc import read_proc
from localbox.zygote.freezing import freeze, processes, thaw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from localbox.zygote.live import Kernel, LiveSandbox

# How often to go through processes that fork meanwhile, before they are made to stand still.
_ROUNDS = 5
# What PID 1 may grow by, whatever the limit: it answers for the sandbox.
_AGENT_BYTES = 16 << 20


class CannotLimitError(Exception):
    """The limit stays as it was."""


def limit_memory(sandbox: LiveSandbox, memory_bytes: int) -> None:
    """
    Raises:
        CannotLimitError, CannotFreezeError
    """
    agent_bytes = max(memory_bytes, _data_bytes(sandbox.pid) + _AGENT_BYTES)
    try:
        limits.set_memory_limit(sandbox.pid, agent_bytes)
    except PermissionError:
        allowed = limits.memory_limit(sandbox.pid)[1] >> 20
        raise CannotLimitError(
            f"max_memory: the sandbox's processes are limited to {allowed} MiB, and to raise a "
            "limit that is in force takes CAP_SYS_RESOURCE, which root has outside of containers; "
            "make another sandbox with resources= instead"
        ) from None
    if sandbox.cgroup is not None:
        try:
            sandbox.cgroup.set_memory(memory_bytes)
        except OSError as error:
            raise CannotLimitError(
                f"max_memory: the sandbox holds more than {memory_bytes >> 20} MiB now "
                f"({error.strerror})"
            ) from None
    before, sandbox.memory_bytes = sandbox.memory_bytes, memory_bytes
    sandbox.data_limit_bytes = memory_bytes

    def apply(pid: int) -> bool:
        return pid != sandbox.pid and _apply_memory(pid, memory_bytes, before)

    _to_all(sandbox, apply)


def limit_cpus(sandbox: LiveSandbox, cpus: float | None, cgroups: Cgroups) -> bool:
    """Have the kernel keep the limit.

    Returns:
        False if it cannot: no cgroup can be made.

    Raises:
        CannotFreezeError
    """
    group = sandbox.cpu_group
    if group is None:
        group = sandbox.cpu_group = cgroups.make_cpu_group(sandbox.sandbox_id, sandbox.cgroup)
        if group is None:
            return False
        members = group.pids()

        def move(pid: int) -> bool:
            if pid in members:
                return False
            group.take_in(pid)
            members.add(pid)
            return True

        _to_all(sandbox, move)
    group.set_cpus(cpus)
    return True


def limit_newcomers(sandbox: LiveSandbox) -> None:
    """Kernels born after the memory limit was changed have the profile's until now."""
    for kernel in sandbox.kernels.values():
        if not kernel.is_limited and _has_its_walls(kernel):
            kernel.is_limited = True
            for pid in processes(sandbox):
                if pid != sandbox.pid:
                    _apply_memory(pid, sandbox.memory_bytes, sandbox.memory_bytes)


def _to_all(sandbox: LiveSandbox, apply: Callable[[int], bool]) -> None:
    """Do it to every process, until a round finds none to which it had not been done.

    A child that is forked meanwhile has what its parent had. Where they fork faster than that,
    they are stopped for it.
    """
    for _ in range(_ROUNDS):
        if not _round(sandbox, apply):
            return
    was_paused = sandbox.paused
    freeze(sandbox)
    try:
        _round(sandbox, apply)
    finally:
        if not was_paused:
            thaw(sandbox)
            sandbox.stopped_by_guest = frozenset()


def _round(sandbox: LiveSandbox, apply: Callable[[int], bool]) -> bool:
    changed = False
    for pid in processes(sandbox):
        try:
            changed |= apply(pid)
        except ProcessLookupError:
            continue
    return changed


def _apply_memory(pid: int, wanted: int, before: int) -> bool:
    """What a process has set for itself below the sandbox's limit is left to it."""
    try:
        _soft, hard = limits.memory_limit(pid)
        if 0 <= hard <= wanted and not (hard == before < wanted):
            return False
        limits.set_memory_limit(pid, wanted)
    except ProcessLookupError:
        return False
    except PermissionError as error:
        raise CannotLimitError(f"max_memory: cannot change process {pid}: {error}") from None
    return True


def _has_its_walls(kernel: Kernel) -> bool:
    """Until then it sets limits of its own, and would fail at ours. The filter is the last wall."""
    return "Seccomp:\t2" in read_proc(f"{kernel.pid}/status")


def _data_bytes(pid: int) -> int:
    for line in read_proc(f"{pid}/status").splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0


def cpus_here() -> int:
    """Processors that processes of ours can be given."""
    return len(os.sched_getaffinity(0))
