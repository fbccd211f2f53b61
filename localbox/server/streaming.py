"""Answers that are made while they are sent, and stop when nobody takes them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from starlette.types import Receive


async def until_disconnect(receive: Receive, sending: Coroutine[Any, Any, None]) -> None:
    """Run `sending` until it is done; cancel it when the client hangs up.

    uvicorn drops what is sent to a client that has gone, without a word, and a guest that prints
    for ever would be read for ever. So somebody has to listen.
    """
    sender = asyncio.create_task(sending)
    listener = asyncio.create_task(_hang_up(receive))
    try:
        await asyncio.wait((sender, listener), return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sender, listener):
            task.cancel()
        # Its clean-up, the exchange with the guest above all, is over before this returns.
        await asyncio.wait((sender, listener))
    if not sender.cancelled():
        sender.result()


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
