# generated from tests/client/_async/doing.py by scripts/unasync.py; edit that, not this
"""Waiting for something, and doing many things at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def until(condition: Callable[[], Any], within_s: float = 20.0) -> None:
    """Return as soon as the condition holds; fail if it does not come to."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"{condition} stayed false for {within_s} s"
        time.sleep(0.01)


def all_at_once(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call all of them at the same time: tasks of one loop, or as many threads."""
    with ThreadPoolExecutor(len(functions)) as pool:
        return [future.result() for future in [pool.submit(f) for f in functions]]
