"""A watched directory: its changes, called back with or asked for, until it is stopped."""

from __future__ import annotations

# unasync: async
import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, cast

# unasync: sync
# import threading
# from collections.abc import Generator
# unasync: end
from localbox._async.connection import AsyncConnection
from localbox.engine.answers import read_answer
from localbox.engine.entries import to_event
from localbox.errors import ProtocolError, SandboxException, TimeoutException
from localbox.models import FilesystemEvent, OutputHandler
from localbox.protocol.frames import Message
from localbox.transport.wire import PeerGoneError

# unasync: async
# unasync: sync
# from localbox.protocol.frames import encode_message
#
# # More than a watcher keeps and the kernel queues; see guest/watching.py.
# _MOST_BYTES_AT_ONCE = 64 * 1024 * 1024
# unasync: end


class AsyncWatchHandle:
    """A directory that is being watched, as `files.watch_dir` returns it."""

    # unasync: async
    def __init__(
        self,
        events: AsyncGenerator[list[FilesystemEvent], None],
        on_event: OutputHandler[FilesystemEvent],
        on_exit: OutputHandler[Exception | None] | None = None,
    ) -> None:
        self._events = events
        self._on_event = on_event
        self._on_exit = on_exit
        self._reading = asyncio.create_task(self._read_to_end())

    async def stop(self) -> None:
        """Stop watching. `on_exit` is called with None, unless the watch had ended by itself."""
        self._reading.cancel()
        await asyncio.wait([self._reading])
        await self._events.aclose()
        # A task that is cancelled before its first step never takes one.
        await self._tell_end(None)

    async def _read_to_end(self) -> None:
        error: Exception | None = None
        try:
            async for events in self._events:
                for event in events:
                    await _call(self._on_event, event)
        except asyncio.CancelledError:
            await self._tell_end(None)
            raise
        except Exception as failure:  # noqa: BLE001 (whatever it is, `on_exit` is told)
            error = failure
        finally:
            # Not left to the collector: the exchange is what keeps the watcher going.
            with contextlib.suppress(RuntimeError):
                await self._events.aclose()
        await self._tell_end(error)

    async def _tell_end(self, error: Exception | None) -> None:
        on_exit, self._on_exit = self._on_exit, None
        if on_exit is not None:
            # There is nobody left to tell of an error in the last callback.
            with contextlib.suppress(Exception):
                await _call(on_exit, error)

    # unasync: sync
    # def __init__(
    #     self, connection: AsyncConnection, answers: Generator[list[FilesystemEvent], float | None]
    # ) -> None:
    #     self._connection = connection
    #     self._answers = answers
    #     self._lock = threading.Lock()
    #     self._stopped = False
    #
    # def stop(self, request_timeout: float | None = None) -> None:
    #     """Stop watching."""
    #     with self._lock:
    #         self._stopped = True
    #         self._answers.close()
    #
    # def get_new_events(self, request_timeout: float | None = None) -> list[FilesystemEvent]:
    #     """What has happened since the last call, or since the watch began, up to now.
    #
    #     Raises:
    #         SandboxException: it was stopped, or more happened than could be kept.
    #         SandboxNotRunningException: the sandbox has ended.
    #     """
    #     deadline = self._connection.request_deadline(request_timeout)
    #     with self._lock:
    #         if self._stopped:
    #             raise SandboxException("the watch was stopped; call watch_dir again")
    #         try:
    #             return self._answers.send(deadline)
    #         except StopIteration:
    #             raise SandboxException(
    #                 "the watch has ended with an error; call watch_dir again"
    #             ) from None
    # unasync: end


# unasync: async
async def stream_events(
    connection: AsyncConnection, request: Message, timeout_s: float | None, deadline: float | None
) -> AsyncGenerator[list[FilesystemEvent], None]:
    """An empty list once the watch stands, and then what happens.

    Args:
        timeout_s: how long to watch.
        deadline: by when it has to stand.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    async with connection.exchange(request, deadline) as exchange:
        read_answer(await exchange.receive(deadline))
        yield []
        while True:
            try:
                frame = await exchange.receive(until)
            except TimeoutError:
                raise TimeoutException(
                    f"the watch of {request['path']!r} ended after {timeout_s} s; see timeout"
                ) from None
            except PeerGoneError:
                raise await _why_gone(connection) from None
            yield _to_events(read_answer(frame))


async def _call(callback: Any, value: Any) -> None:
    answer = cast(Callable[[Any], Any], callback)(value)
    if inspect.isawaitable(answer):
        await answer


# unasync: sync
# def poll_events(
#     connection: AsyncConnection, request: Message, deadline: float | None
# ) -> Generator[list[FilesystemEvent], float | None]:
#     """An empty list once the watch stands; then, for each deadline sent, what has happened."""
#     with connection.exchange(request, deadline) as exchange:
#         read_answer(exchange.receive(deadline))
#         events: list[FilesystemEvent] = []
#         while True:
#             deadline = yield events
#             events, size = [], 0
#             try:
#                 exchange.send(encode_message({"op": "tell"}), deadline)
#                 while "events" in (answer := read_answer(frame := exchange.receive(deadline))):
#                     events += _to_events(answer)
#                     size += len(frame[1])
#                     if size > _MOST_BYTES_AT_ONCE:
#                         raise ProtocolError("the agent tells of more than can have happened")
#             except PeerGoneError:
#                 raise _why_gone(connection) from None
# unasync: end


async def _why_gone(connection: AsyncConnection) -> SandboxException:
    if (await connection.ask_zygote({"op": "info"}))["running"]:
        return SandboxException(
            "the watch has ended: a program in the sandbox ended the process that watches"
        )
    return await connection.why_gone()


def _to_events(answer: Message) -> list[FilesystemEvent]:
    events = answer.get("events")
    if not isinstance(events, list):
        raise ProtocolError("the agent's answer has no events")
    return [to_event(event) for event in events]
