"""Waiting for something, and doing many things at once."""

from __future__ import annotations

# unasync: async
import asyncio
import time

# unasync: sync
# import time
# from concurrent.futures import ThreadPoolExecutor
# unasync: end
from collections.abc import Callable, Sequence
from typing import Any


async def until(condition: Callable[[], Any], within_s: float = 20.0) -> None:
    """Return as soon as the condition holds; fail if it does not come to."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, f"{condition} stayed false for {within_s} s"
        # unasync: async
        await asyncio.sleep(0.01)
        # unasync: sync
        # time.sleep(0.01)
        # unasync: end


async def all_at_once(functions: Sequence[Callable[[], Any]]) -> list[Any]:
    """Call all of them at the same time: tasks of one loop, or as many threads."""
    # unasync: async
    return list(await asyncio.gather(*(function() for function in functions)))
    # unasync: sync
    # with ThreadPoolExecutor(len(functions)) as pool:
    #     return [future.result() for future in [pool.submit(f) for f in functions]]
    # unasync: end
