"""One cell as a response: a line of JSON for everything it sends, while it runs.

The protocol is a notebook's, one JSON object a line; see `interpreter.py` for the routes.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from localbox.charts import Chart
from localbox.errors import SandboxException
from localbox.execution import Execution, ExecutionError, OutputMessage, Result

# So that a proxy between, or a client that counts, does not take silence for death.
KEEPALIVE_S = 5.0
# Pieces of output that wait for the client. A full queue stops the reading of the cell's output,
# and its pipe fills: a client that does not read makes the guest wait, not the server grow.
_WAITING_LINES = 8

_RESULT_FIELDS = (
    "text",
    "html",
    "markdown",
    "svg",
    "png",
    "jpeg",
    "pdf",
    "latex",
    "json",
    "javascript",
    "data",
    "extra",
)

# What runs a cell, given what it is to call on the way.
RunCell = Callable[["CellLines"], Coroutine[Any, Any, Execution]]


class CellLines:
    """Callbacks for `run_code`, and the lines they make."""

    def __init__(self) -> None:
        self.waiting: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_LINES)

    async def on_output(self, message: OutputMessage) -> None:
        stream = "stderr" if message.error else "stdout"
        await self._put(type=stream, text=message.line, timestamp=message.timestamp)

    async def on_result(self, result: Result) -> None:
        contents = {name: value for name in _RESULT_FIELDS if (value := result[name]) is not None}
        if isinstance(result.chart, Chart):
            contents["chart"] = result.chart.to_dict()
        await self._put(type="result", **contents, is_main_result=result.is_main_result)

    async def on_error(self, error: ExecutionError) -> None:
        await self._put(type="error", name=error.name, value=error.value, traceback=error.traceback)

    async def _put(self, **line: Any) -> None:
        await self.waiting.put(to_line(line))


def to_line(value: dict[str, Any]) -> bytes:
    """A line of the stream.

    ASCII only: the Python SDK's line splitter also splits at U+2028 and U+0085, which JSON may
    hold unescaped.
    """
    try:
        text = json.dumps(value, allow_nan=False)
    except ValueError:
        # NaN is no JSON: JavaScript's parser would refuse the whole line.
        text = json.dumps(_without_nan(value), allow_nan=False)
    return text.encode("ascii") + b"\n"


def _without_nan(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value


class CellResponse(Response):
    """Runs a cell for as long as its client listens.

    Not Starlette's StreamingResponse: a client that leaves has to stop the cell, at once and
    whatever the cell is doing, and a sandbox that dies has to break the stream off.

    Args:
        run: starts the cell.
        refuse: what to answer when the cell fails before it has said anything.
    """

    media_type = "application/x-ndjson"

    def __init__(self, run: RunCell, refuse: Callable[[Exception], Response]) -> None:
        super().__init__()
        # The length is not known: the body is sent in chunks.
        del self.headers["content-length"]
        self._run = run
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        lines = CellLines()
        cell = asyncio.create_task(self._run(lines))
        gone = asyncio.create_task(_wait_for_disconnect(receive))
        stream = asyncio.create_task(self._stream(cell, lines, scope, receive, send))
        tasks = (stream, cell, gone)
        try:
            # A client that reads slowly blocks `stream`, yet may leave meanwhile.
            await asyncio.wait((stream, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            finished = stream.done()
            for task in tasks:
                task.cancel()
            # Cancelled, run_code interrupts the cell on its way out.
            await asyncio.gather(*tasks, return_exceptions=True)
        if finished:
            # For what went wrong in it.
            await stream

    async def _stream(
        self,
        cell: asyncio.Task[Execution],
        lines: CellLines,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        pieces = await _next_lines(cell, lines)
        if pieces is None and (failure := cell.exception()) is not None:
            if not isinstance(failure, Exception):
                raise failure
            await self._refuse(failure)(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        while pieces is not None:
            await send({"type": "http.response.body", "body": pieces, "more_body": True})
            pieces = await _next_lines(cell, lines)
        if (failure := cell.exception()) is not None:
            if not isinstance(failure, SandboxException):
                raise failure
            # The sandbox has ended under its cell. A response that stops in the middle makes the
            # SDK ask whether the sandbox runs, and raise what is to be raised if it does not.
            return
        count = cell.result().execution_count
        last = to_line({"type": "end_of_execution"})
        if count is not None:
            last = to_line({"type": "number_of_executions", "execution_count": count}) + last
        await send({"type": "http.response.body", "body": last, "more_body": False})


async def _next_lines(cell: asyncio.Task[Execution], lines: CellLines) -> bytes | None:
    """The lines there are, or a sign of life; None at the end of the cell."""
    waiting = lines.waiting
    if waiting.empty():
        if cell.done():
            return None
        line = asyncio.ensure_future(waiting.get())
        try:
            await asyncio.wait(
                (line, cell), timeout=KEEPALIVE_S, return_when=asyncio.FIRST_COMPLETED
            )
            if line.done():
                return line.result()
        finally:
            # A get() that is cancelled leaves its line in the queue.
            line.cancel()
        if not cell.done():
            return to_line({"type": "keepalive"})
        if waiting.empty():
            return None
    # As many at once as there are: a send for each would be most of the work.
    pieces = []
    while not waiting.empty():
        pieces.append(waiting.get_nowait())
    return b"".join(pieces)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
