"""One connection from the host to a server in a sandbox: dialled inside, then copied both ways.

Nothing here ever waits. The socket that comes out of the sandbox is one that its agent may go on
holding: flags and options of it can change at any moment, so every call says for itself that it
must not block, and what the kernel reports of it is not believed twice.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import stat
import struct
import time
from collections.abc import Callable
from typing import Protocol

from localbox.engine.answers import read_answer
from localbox.errors import ProtocolError
from localbox.transport.wire import (
    ExchangeState,
    PeerGoneError,
    pass_descriptors,
    prepare,
)

CHUNK_BYTES = 128 * 1024
DIAL_S = 15.0
_NO_WAIT = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL


class Watcher(Protocol):
    """See forwarding.Forwarder."""

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None: ...
    def unwatch(self, fd: int) -> None: ...


def check_socket(fd: int, port: int) -> socket.socket:
    """The socket the agent passed, if it is what was asked for: TCP, connected to `port` inside.

    Raises:
        ProtocolError: it is anything else. The descriptor is closed.
    """
    if fd < 0:
        raise ProtocolError("the agent connected and passed no descriptor")
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            raise ProtocolError("the agent passed a descriptor that is no socket")
        sock = socket.socket(fileno=fd)
    except OSError as error:
        os.close(fd)
        raise ProtocolError(f"the agent passed a socket of no use: {error}") from None
    except BaseException:
        os.close(fd)
        raise
    try:
        if (
            sock.family not in (socket.AF_INET, socket.AF_INET6)
            or sock.type != socket.SOCK_STREAM
            or sock.proto != socket.IPPROTO_TCP
            or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            raise ProtocolError("the agent passed a socket that is no TCP connection")
        host, peer_port = sock.getpeername()[:2]
        if host not in ("127.0.0.1", "::1") or peer_port != port:
            raise ProtocolError(f"the agent connected to {host}:{peer_port}, not to port {port}")
    except OSError as error:
        sock.close()
        raise ProtocolError(f"the agent passed a socket that is not connected: {error}") from None
    except BaseException:
        sock.close()
        raise
    return sock


class Joint:
    """A client's connection and, once it is there, the sandbox's."""

    def __init__(
        self,
        watcher: Watcher,
        client: socket.socket,
        rendezvous: socket.socket,
        port: int,
        closed: Callable[[Joint], None],
    ) -> None:
        self._watcher = watcher
        self._client = client
        self._port = port
        self._closed = closed
        self._guest: socket.socket | None = None
        self._flows: tuple[_Flow, ...] = ()
        self._events: dict[int, int] = {}
        self._state: ExchangeState | None = None
        self.deadline = time.monotonic() + DIAL_S
        self._dial(rendezvous)

    @property
    def is_dialling(self) -> bool:
        return self._state is not None

    def _dial(self, rendezvous: socket.socket) -> None:
        self._state, datagram, _rest, passed = prepare({"op": "dial", "port": self._port}, ())
        try:
            pass_descriptors(rendezvous, datagram, passed)
        except (PeerGoneError, BlockingIOError):
            # Gone, or so many requests wait that it will not come to ours in time.
            self.close(reset=True)
            return
        finally:
            os.close(passed[0])
        self._watcher.watch(self._state.sock.fileno(), select.EPOLLIN, self._answered)

    def _answered(self, _events: int) -> None:
        state = self._state
        assert state is not None
        try:
            state.receive_available()
            frame = state.take_frame()
            if frame is None:
                return
            read_answer(frame)
            self._guest = check_socket(state.take_fd(), self._port)
        except BlockingIOError:
            return
        except Exception:  # noqa: BLE001 (an agent can answer with any of them)
            # Nobody listens there, or the agent is not itself. The client is told as TCP would.
            self.close(reset=True)
            return
        self._end_dialling()
        self._flows = (_Flow(self._client, self._guest), _Flow(self._guest, self._client))
        self._watch_again()

    def _end_dialling(self) -> None:
        if self._state is not None:
            self._watcher.unwatch(self._state.sock.fileno())
            self._state.close()
            self._state = None

    def _client_ready(self, events: int) -> None:
        if events & select.EPOLLERR:
            self.close(reset=True)
        else:
            self._ready(events)

    def _ready(self, events: int) -> None:
        try:
            moved = [flow.move() for flow in self._flows]
        except OSError:
            self.close(reset=True)
            return
        if all(flow.ended for flow in self._flows):
            self.close(reset=any(flow.broken for flow in self._flows))
        elif events & select.EPOLLERR and not any(moved):
            # Reported for as long as we ask, and never to be worked off.
            self.close(reset=True)
        else:
            self._watch_again()

    def _watch_again(self) -> None:
        assert self._guest is not None
        for sock in (self._client, self._guest):
            events = 0
            for flow in self._flows:
                if flow.source is sock and flow.wants_more:
                    events |= select.EPOLLIN
                if flow.target is sock and flow.has_more:
                    events |= select.EPOLLOUT
            callback = self._ready
            if sock is self._client:
                # Should it break off while we wait for the guest, we want to hear of it; once.
                callback, events = self._client_ready, events or select.EPOLLET
            fd = sock.fileno()
            if events == self._events.get(fd, 0):
                continue
            self._events[fd] = events
            if events:
                self._watcher.watch(fd, events, callback)
            else:
                # Not a watch for nothing: the kernel tells of a hang-up unasked, again and again.
                self._watcher.unwatch(fd)

    def close(self, *, reset: bool = False) -> None:
        """End both connections: in order, or so that the client notices that something broke."""
        self._end_dialling()
        for sock in (self._client, self._guest):
            if sock is None or sock.fileno() < 0:
                continue
            self._watcher.unwatch(sock.fileno())
            # Whatever the agent has set: close must not wait for data to be taken.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", int(reset), 0))
            sock.close()
        self._closed(self)

    def abandon(self) -> None:
        """Close our copies only, in a fork of the program."""
        for sock in (self._client, self._guest):
            if sock is not None:
                sock.close()
        if self._state is not None:
            self._state.close()


class _Flow:
    """One direction, with one buffer: nothing is read before what was read is written."""

    def __init__(self, source: socket.socket, target: socket.socket) -> None:
        self.source = source
        self.target = target
        self._buffer = memoryview(b"")
        self._at_end = False
        self.ended = False
        self.broken = False

    @property
    def wants_more(self) -> bool:
        return not self._buffer and not self._at_end

    @property
    def has_more(self) -> bool:
        return len(self._buffer) > 0

    def move(self) -> bool:
        """Copy what can be copied; whether anything was.

        Raises:
            OSError: the source is broken, and so the whole connection.
        """
        moved = False
        # Not for as long as there is something: others wait too.
        for _ in range(8):
            if self.wants_more:
                try:
                    data = self.source.recv(CHUNK_BYTES, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return moved
                moved = True
                self._at_end = not data
                self._buffer = memoryview(data)
            if self._buffer:
                try:
                    sent = self.target.send(self._buffer, _NO_WAIT)
                except BlockingIOError:
                    return moved
                except OSError:
                    # It takes no more, but what it had to say may still be under way.
                    self.ended = self.broken = self._at_end = True
                    self._buffer = memoryview(b"")
                    return True
                moved = True
                self._buffer = self._buffer[sent:]
            if self._at_end and not self._buffer:
                if not self.ended:
                    self.ended = moved = True
                    with contextlib.suppress(OSError):  # it has left already
                        self.target.shutdown(socket.SHUT_WR)
                return moved
        return moved
