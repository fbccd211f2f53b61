"""Input to a running process as it comes to hand, over one exchange that keeps its order.

What the process does not read waits: a little in its pipe or terminal, a little in the agent, the
rest here, with whoever sends. Nothing closes the process's input but `close_stdin`.
"""

from __future__ import annotations

# unasync: async
import asyncio
import time
from collections import deque

from localbox._async.connection import AsyncConnection
from localbox.engine.answers import read_answer
from localbox.engine.copying import as_bytes
from localbox.engine.creation import check_timeout
from localbox.errors import SandboxException, TimeoutException
from localbox.protocol.frames import DATA, END_OF_DATA, Message
from localbox.transport import asyncio as transport

# unasync: sync
# import time
# from collections.abc import Iterable, Iterator
#
# from localbox._async.connection import AsyncConnection
# from localbox.engine.answers import read_answer
# from localbox.engine.copying import as_bytes
# from localbox.engine.creation import check_timeout
# from localbox.errors import InvalidArgumentException, TimeoutException
# from localbox.protocol.frames import DATA, END_OF_DATA
# from localbox.transport.wire import remaining
# unasync: end

STREAM_TIMEOUT_S = 60.0
_CHUNK_BYTES = 64 * 1024

# unasync: async
# From here on `send` waits. E2B's keeps any amount.
_QUEUED_BYTES = 1024 * 1024


class AsyncCommandInputHandle:
    """Sends input to a command or a terminal, in order; `close` it or use it in `async with`."""

    def __init__(
        self, connection: AsyncConnection, pid: int, timeout: float | None, *, pty: bool
    ) -> None:
        self._connection = connection
        self._request: Message = {"op": "write_stdin", "pid": pid, "pty": pty}
        self._timeout_s = check_timeout(timeout, "timeout", zero_is_none=True)
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._turn = asyncio.Lock()
        self._something_to_do = asyncio.Event()
        self._room = asyncio.Event()
        self._closing = False
        self._failure: Exception | None = None
        self._task = asyncio.create_task(self._run())

    async def send(self, data: str | bytes) -> None:
        """Put `data` behind what was sent before; waits while there is much that is not taken.

        Raises:
            NotFoundException: there is no such process.
            TimeoutException: the stream's time is up.
            SandboxException: this handle is closed, or the process's input is.
        """
        content = as_bytes(data, "data")
        async with self._turn:
            while self._queued_bytes > _QUEUED_BYTES and not self._task.done():
                self._room.clear()
                await self._room.wait()
            if self._failure is not None:
                raise self._failure
            if self._closing or self._task.done():
                raise SandboxException(
                    "this input handle is closed; stream_input(pid) opens another one"
                )
            self._queue.append(content)
            self._queued_bytes += len(content)
            self._something_to_do.set()

    async def close(self) -> None:
        """Send what is left, and return when the process's pipe or terminal has all of it.

        Raises:
            NotFoundException: there is no such process.
            TimeoutException: the stream's time is up.
            SandboxException: the process's input is closed.
        """
        self._closing = True
        self._something_to_do.set()
        await asyncio.shield(self._task)
        if self._failure is not None:
            raise self._failure

    async def __aenter__(self) -> AsyncCommandInputHandle:
        return self

    async def __aexit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
        await self.close()

    async def _run(self) -> None:
        deadline = None if self._timeout_s is None else time.monotonic() + self._timeout_s
        try:
            async with self._connection.exchange(self._request, deadline) as exchange:
                try:
                    await self._feed(exchange, deadline)
                except TimeoutError:
                    raise _time_is_up(self._request["pid"], self._timeout_s) from None
        except Exception as error:  # noqa: BLE001 (`send` and `close` raise it)
            self._failure = error
        finally:
            self._queue.clear()
            self._queued_bytes = 0
            # The task itself is done only after this; waiters run later still.
            self._room.set()

    async def _feed(self, exchange: transport.Exchange, deadline: float | None) -> None:
        # An answer before the end of the input is bad news, and comes at any time.
        answer = asyncio.create_task(exchange.receive(deadline))
        answer.add_done_callback(lambda _: self._something_to_do.set())
        try:
            while not answer.done():
                if self._queue:
                    content = self._queue.popleft()
                    for start in range(0, len(content), _CHUNK_BYTES):
                        piece = content[start : start + _CHUNK_BYTES]
                        if not answer.done():
                            await exchange.send_chunk(DATA, piece, deadline)
                    self._queued_bytes -= len(content)
                    self._room.set()
                elif self._closing:
                    await exchange.send_chunk(END_OF_DATA, b"", deadline)
                    break
                else:
                    self._something_to_do.clear()
                    await self._something_to_do.wait()
            read_answer(await answer)
        finally:
            answer.cancel()
            await asyncio.wait([answer])
            if not answer.cancelled():
                answer.exception()  # or the loop complains that nobody has seen it


# unasync: sync
# def stream_input(
#     connection: AsyncConnection,
#     pid: int,
#     data: Iterable[str | bytes],
#     timeout: float | None,
#     *,
#     pty: bool,
# ) -> None:
#     """Send each of `data`, and return when the process's pipe or terminal has all of it.
#
#     Raises:
#         InvalidArgumentException: `data` is itself a str or bytes, or holds something else.
#         NotFoundException: there is no such process.
#         TimeoutException: the time is up. It is looked at between two chunks.
#         SandboxException: the process's input is closed.
#     """
#     if isinstance(data, str | bytes | bytearray | memoryview):
#         raise InvalidArgumentException(
#             "data must be an iterable of str or bytes; for a single one write [data]"
#         )
#     timeout_s = check_timeout(timeout, "timeout", zero_is_none=True)
#     deadline = None if timeout_s is None else time.monotonic() + timeout_s
#     request = {"op": "write_stdin", "pid": pid, "pty": pty}
#     failures: list[Exception] = []
#     with connection.exchange(request, deadline) as exchange:
#         try:
#             for piece in _pieces(data, failures):
#                 remaining(deadline)
#                 # An answer before the end of the input is bad news.
#                 if exchange.has_answer():
#                     break
#                 exchange.send_chunk(DATA, piece, deadline)
#             if not failures:
#                 exchange.send_chunk(END_OF_DATA, b"", deadline)
#                 read_answer(exchange.receive(deadline))
#         except TimeoutError:
#             raise _time_is_up(pid, timeout_s) from None
#     # Only here, or a TimeoutError of the caller's would be taken for ours.
#     for failure in failures:
#         raise failure
#
#
# def _pieces(data: Iterable[str | bytes], failures: list[Exception]) -> Iterator[bytes]:
#     try:
#         for item in data:
#             content = as_bytes(item, "each item of data")
#             for start in range(0, len(content), _CHUNK_BYTES):
#                 yield content[start : start + _CHUNK_BYTES]
#     except Exception as error:  # raised when the exchange is closed
#         failures.append(error)
#
#
# unasync: end
def _time_is_up(pid: object, timeout_s: float | None) -> TimeoutException:
    return TimeoutException(
        f"process {pid} did not take all of its input within {timeout_s:g} s; see timeout"
    )
