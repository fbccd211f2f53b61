"""Takes samples of several subjects in turn, so that what disturbs one disturbs all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

Subject = Callable[[], float]
"""Does the thing once and returns what it measured: seconds, unless the section says otherwise."""


def timed(action: Callable[[], object]) -> Subject:
    """A subject that is the wall time of a call."""

    def measure() -> float:
        began = time.perf_counter()
        action()
        return time.perf_counter() - began

    return measure


def interleave(subjects: Mapping[str, Subject], rounds: int) -> dict[str, list[float]]:
    """`rounds` samples of each, after one round that does not count.

    Each round starts with another subject: whoever follows a heavy one finds cold caches.
    """
    names = list(subjects)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-1, rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            value = subjects[name]()
            if number >= 0:
                samples[name].append(value)
    return samples


def p50(samples: list[float]) -> float:
    return statistics.median(samples)


def p95(samples: list[float]) -> float:
    """The sample that 95 % do not exceed (nearest rank)."""
    return sorted(samples)[max(0, -(-len(samples) * 95 // 100) - 1)]
