"""One exchange with the host: a request, then whatever frames its answer takes."""

from __future__ import annotations

import _socket
import array
import contextlib
from collections import deque
from collections.abc import Callable

from localbox.guest.loop import HANGUP, READ, WRITE, Loop
from localbox.protocol.frames import (
    Frame,
    FrameDecoder,
    FrameError,
    Message,
    encode,
    encode_message,
)

# Over this the producer is asked to wait: what a slow host holds up must not fill our memory.
HIGH_WATER_BYTES = 1024 * 1024


class Connection:
    """Frames over a non-blocking socket, with a bounded memory for a host that reads slowly."""

    def __init__(self, sock: _socket.socket, loop: Loop) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._loop = loop
        self._decoder = FrameDecoder()
        self._out: deque[memoryview] = deque()
        self._out_bytes = 0
        self._held = b""
        self._closing = False
        self._reading = True
        self.on_frame: Callable[[Frame], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.on_drain: Callable[[], None] | None = None
        self.closed = False

    def open(self) -> None:
        self._watch()

    def detach(self) -> _socket.socket:
        """Give the socket away, blocking, to a worker that will answer on it."""
        self._loop.unwatch(self._sock.fileno())
        self.closed = True
        self._sock.setblocking(True)
        return self._sock

    @property
    def congested(self) -> bool:
        return self._out_bytes > HIGH_WATER_BYTES

    def send_message(self, message: Message, fd: int = -1) -> None:
        """Send a message; `fd`, if given, travels with it and stays the caller's to close."""
        self._send(encode_message(message), fd)

    def hold_message(self, message: Message) -> None:
        """Send a message together with whatever is sent next, and so wake the host once."""
        self._held += encode_message(message)

    def send_chunk(self, kind: int, chunk: bytes) -> None:
        self._send(encode(kind, chunk), -1)

    def finish(self, message: Message, fd: int = -1) -> None:
        """Send the last message and close once it is out."""
        self.send_message(message, fd)
        self._closing = True
        if not self._out:
            self.close()

    def fail(self, kind: str, text: str, number: int | None = None) -> None:
        self.finish(error_message(kind, text, number))

    def pause_reading(self) -> None:
        self._reading = False
        self._watch()

    def resume_reading(self) -> None:
        self._reading = True
        self._watch()

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self._loop.unwatch(self._sock.fileno())
        self._sock.close()
        if self.on_close is not None:
            self.on_close()

    def _watch(self) -> None:
        if self.closed:
            return
        events = (READ if self._reading else 0) | (WRITE if self._out else 0)
        self._loop.watch(self._sock.fileno(), events, self._ready)

    def _ready(self, events: int) -> None:
        if events & WRITE and not self.closed:
            self._flush()
        if events & READ and not self.closed:
            self._read()
        elif events & HANGUP and not self.closed:
            self.close()

    def _read(self) -> None:
        try:
            data = self._sock.recv(256 * 1024)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            self.close()
            return
        try:
            frames = self._decoder.feed(data)
        except FrameError:
            self.close()
            return
        for frame in frames:
            if self.on_frame is not None and not self.closed:
                self.on_frame(frame)

    def _send(self, data: bytes, fd: int) -> None:
        if self.closed:
            return
        if self._held:
            data, self._held = self._held + data, b""
        if fd >= 0:
            # A descriptor goes with the first byte of its message, so nothing may be queued
            # before it; exchanges that pass one send nothing earlier.
            self._send_with_fd(data, fd)
            return
        if not self._out:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.close()
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._out.append(memoryview(data))
        self._out_bytes += len(data)
        self._watch()

    def _send_with_fd(self, data: bytes, fd: int) -> None:
        ancillary = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [fd]))]
        with contextlib.suppress(OSError):
            self._sock.sendmsg([data], ancillary)

    def _flush(self) -> None:
        while self._out:
            view = self._out[0]
            try:
                sent = self._sock.send(view)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            self._out_bytes -= sent
            if sent < len(view):
                self._out[0] = view[sent:]
                break
            self._out.popleft()
        if not self._out and self._closing:
            self.close()
            return
        self._watch()
        if not self.congested and self.on_drain is not None:
            self.on_drain()


def error_message(kind: str, text: str, number: int | None = None) -> Message:
    """The answer that becomes an exception on the host; `kind` chooses which one."""
    return {"error": {"kind": kind, "message": text, "errno": number}}
