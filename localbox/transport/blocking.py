"""Exchanges by blocking calls: no event loop, no thread, safe in any number of threads."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Callable, Generator, Iterable
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
FrameStream = Generator[Frame, None, None]

# poll(2) counts milliseconds in an int.
_LONGEST_WAIT_S = 86400.0


def run(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call something that blocks."""
    return function(*args, **kwargs)


def open_exchange(
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
                _wait((rendezvous.fileno(),), select.POLLOUT, deadline)
    except BaseException:
        state.close()
        raise
    finally:
        os.close(passed[0])
    exchange = Exchange(state)
    if rest:
        try:
            exchange.send(rest, deadline)
        except BaseException:
            exchange.close()
            raise
    return exchange


class Exchange:
    def __init__(self, state: ExchangeState) -> None:
        self._state = state

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        self._state.close()

    def take_fd(self) -> int:
        return self._state.take_fd()

    def receive(self, deadline: float | None) -> Frame:
        """The next frame.

        Raises:
            PeerGoneError, ProtocolViolationError, TimeoutError
        """
        while True:
            frame = self._state.take_frame()
            if frame is not None:
                return frame
            # An answer is hardly ever there already.
            _wait((self._state.sock.fileno(),), select.POLLIN, deadline)
            with contextlib.suppress(BlockingIOError):
                self._state.receive_available()

    def receive_with(self, outputs: OutputSource, deadline: float | None) -> list[Frame]:
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
            _wait((self._state.sock.fileno(), *outputs.filenos()), select.POLLIN, deadline)

    def has_answer(self) -> bool:
        return self._state.has_answer()

    def give_back(self, frames: list[Frame]) -> None:
        self._state.give_back(frames)

    def send(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            try:
                sent = self._state.sock.send(view, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                _wait((self._state.sock.fileno(),), select.POLLOUT, deadline)
                continue
            except (BrokenPipeError, ConnectionResetError):
                # There may be an answer that says why; the next receive finds out.
                return
            view = view[sent:]

    def send_chunk(self, kind: int, chunk: bytes, deadline: float | None) -> None:
        self.send(encode(kind, chunk), deadline)


def take(baton: Baton, deadline: float | None) -> None:
    """Wait for the turn that `baton` stands for.

    Raises:
        TimeoutError
    """
    while not baton.try_take():
        _wait((baton.fileno(),), select.POLLIN, deadline)


def _wait(fds: Iterable[int], events: int, deadline: float | None) -> None:
    poll = select.poll()
    for fd in fds:
        poll.register(fd, events)
    left = remaining(deadline)
    if not poll.poll(None if left is None else min(left, _LONGEST_WAIT_S) * 1000):
        # Callers look again and come back, unless no time is left.
        remaining(deadline)
