"""Resource limits of every process in the sandbox. See setrlimit(2)."""

from __future__ import annotations

import resource

from localbox.confinement.program import Program


def set_limits(program: Program, limits: list[tuple[int, int, int]]) -> None:
    """Set (number, soft, hard) triples; never above the hard limit that is already there."""
    for number, soft, hard in limits:
        _, ceiling = resource.getrlimit(number)
        if ceiling != resource.RLIM_INFINITY:
            hard = ceiling if hard == resource.RLIM_INFINITY else min(hard, ceiling)
            soft = hard if soft == resource.RLIM_INFINITY else min(soft, hard)
        program.prlimit(number, soft, hard)
