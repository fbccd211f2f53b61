"""Calls a function of an asyncio program from a build's thread, on the loop it belongs to."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def on_this_loop(function: Callable[[T], None]) -> Callable[[T], None]:
    """`function` for other threads: it runs on this loop, and they wait for it."""
    loop = asyncio.get_running_loop()

    def call(value: T) -> None:
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def run() -> None:
            try:
                function(value)
                done.set_result(None)
            except BaseException as error:  # noqa: BLE001 (for the thread that waits)
                done.set_exception(error)

        loop.call_soon_threadsafe(run)
        done.result()

    return call
