"""Resource limits of every process in the sandbox. See setrlimit(2)."""

from __future__ import annotations

import resource

from localbox.confinement.program import Program


def set_limits(program: Program, limits: list[tuple[int, int, int]]) -> None:
    """Set (number, soft, hard) triples; never above the hard limit that is already there."""
    for number, soft, hard in limits:
        _, ceiling = resource.getrlimit(number)
        highest = _lower(hard, ceiling)
        program.prlimit(number, _lower(soft, highest), highest)


def _lower(limit: int, ceiling: int) -> int:
    if ceiling == resource.RLIM_INFINITY:
        return limit
    return ceiling if limit == resource.RLIM_INFINITY else min(limit, ceiling)


def memory_limit(pid: int) -> tuple[int, int]:
    """RLIMIT_DATA of a process, soft and hard."""
    return resource.prlimit(pid, resource.RLIMIT_DATA)


def set_memory_limit(pid: int, limit_bytes: int) -> None:
    """
    Raises:
        PermissionError: it is above the hard limit, and we lack CAP_SYS_RESOURCE.
        ProcessLookupError: the process is gone.
    """
    resource.prlimit(pid, resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
