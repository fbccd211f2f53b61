"""Exchanges on the caller's asyncio loop; nothing else runs on it, and no thread but for files."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, Callable
from typing import ParamSpec, TypeVar

from localbox.protocol.frames import Frame, Message, encode
from localbox.transport.wire import (
    Baton,
    ExchangeState,
    OutputSource,
    pass_descriptors,
    prepare,
    remaining,
)

P = ParamSpec("P")
T = TypeVar("T")

# The frames of one exchange as they come; closing it ends the exchange.
FrameStream = AsyncGenerator[Frame, None]


async def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call something that blocks, in a thread."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def open_exchange(
    rendezvous: socket.socket,
    request: Message,
    fds: tuple[int, ...] = (),
    deadline: float | None = None,
) -> Exchange:
    """Send `request`; the answer comes on the exchange this returns.

    Raises:
        PeerGoneError: nobody is there any more.
        TimeoutError: the peer takes no requests.
    """
    state, datagram, rest, passed = prepare(request, fds)
    try:
        while True:
            try:
                pass_descriptors(rendezvous, datagram, passed)
                break
            except BlockingIOError:
                # Many tasks may wait here at once, and a loop has one writer per descriptor.
                duplicate = os.dup(rendezvous.fileno())
                try:
                    await _wait_writable(duplicate, deadline)
                finally:
                    os.close(duplicate)
    except BaseException:
        state.close()
        raise
    finally:
        os.close(passed[0])
    exchange = Exchange(state)
    if rest:
        try:
            await exchange.send(rest, deadline)
        except BaseException:
            exchange.close()
            raise
    return exchange


class Exchange:
    def __init__(self, state: ExchangeState) -> None:
        self._state = state

    async def __aenter__(self) -> Exchange:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._state.close()

    def take_fd(self) -> int:
        return self._state.take_fd()

    async def receive(self, deadline: float | None) -> Frame:
        """The next frame.

        Raises:
            PeerGoneError, ProtocolViolationError, TimeoutError
        """
        while True:
            frame = self._state.take_frame()
            if frame is not None:
                return frame
            try:
                self._state.receive_available()
            except BlockingIOError:
                await _wait_readable((self._state.sock.fileno(),), deadline)

    async def receive_with(self, outputs: OutputSource, deadline: float | None) -> list[Frame]:
        """The next frames, and among them what came through `outputs`; see ExchangeState.

        Raises:
            PeerGoneError, ProtocolViolationError, TimeoutError
        """
        while True:
            # A peer that never stops talking must not keep us from looking at the clock.
            remaining(deadline)
            frames = self._state.take_all(outputs)
            if frames:
                return frames
            fds = (self._state.sock.fileno(), *outputs.filenos())
            await _wait_readable(fds, deadline)

    def give_back(self, frames: list[Frame]) -> None:
        self._state.give_back(frames)

    async def send(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                sent = self._state.sock.send(view, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                await _wait_writable(self._state.sock.fileno(), deadline)
                continue
            except (BrokenPipeError, ConnectionResetError):
                # There may be an answer that says why; the next receive finds out.
                return
            view = view[sent:]

    async def send_chunk(self, kind: int, chunk: bytes, deadline: float | None) -> None:
        await self.send(encode(kind, chunk), deadline)


async def take(baton: Baton, deadline: float | None) -> None:
    """Wait for the turn that `baton` stands for.

    Raises:
        TimeoutError
    """
    while not baton.try_take():
        # Many tasks may wait here at once, and a loop has one reader per descriptor.
        duplicate = os.dup(baton.fileno())
        try:
            await _wait_readable((duplicate,), deadline)
        finally:
            os.close(duplicate)


async def _wait_readable(fds: tuple[int, ...], deadline: float | None) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    for fd in fds:
        loop.add_reader(fd, _settle, ready)
    try:
        await asyncio.wait_for(ready, remaining(deadline))
    finally:
        for fd in fds:
            loop.remove_reader(fd)


async def _wait_writable(fd: int, deadline: float | None) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(fd, _settle, ready)
    try:
        await asyncio.wait_for(ready, remaining(deadline))
    finally:
        loop.remove_writer(fd)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
