"""Sandboxes from a spare, for the sections that measure them; all others go without.

A spare is made while nobody waits, so its price is not in these times: it is what "no spare" says.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from benchmarks.timing import Subject
from localbox import Sandbox

_SWITCH = "LOCALBOX_POOL"
_PATIENCE_S = 20.0


def switch_off() -> None:
    """For this whole program, but for what is inside `spares`."""
    os.environ[_SWITCH] = "0"


@contextmanager
def spares() -> Iterator[None]:
    os.environ[_SWITCH] = "1"
    try:
        yield
    finally:
        switch_off()


@contextmanager
def from_spare(
    create: Callable[[], Sandbox], use: Callable[[Sandbox], object]
) -> Iterator[Subject]:
    """The time of `create` and `use` where a spare is ready, as long as the block lasts."""

    def subject() -> float:
        with spares():
            began = time.perf_counter()
            sandbox = create()
            use(sandbox)
            took = time.perf_counter() - began
        # Before anybody else is measured: making the next one would disturb them.
        _await_spare(sandbox)
        sandbox.kill()
        return took

    # A program has none before its second sandbox, nor a kernel in it before its first cell.
    with spares():
        for _ in range(2):
            sandbox = create()
            use(sandbox)
            sandbox.kill()
    _await_spare(sandbox)
    try:
        yield subject
    finally:
        sandbox._record.zygote.pool.clear()


def _await_spare(sandbox: Sandbox) -> None:
    """Looks behind the interface: nothing public says whether there is a spare."""
    (spare,) = sandbox._record.zygote.pool._spares.values()
    deadline = time.monotonic() + _PATIENCE_S
    while not spare.is_ready():
        if time.monotonic() > deadline:
            raise TimeoutError("no spare has become ready")
        time.sleep(0.001)
