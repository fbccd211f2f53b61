"""A context's way to the host: takes cells, and tells what comes of them.

What a cell writes to its standard output and error goes through two pipes that the host reads, so
the output of C code and of subprocesses is caught while it is written and no thread is needed
here. All else (results, errors, the end) are messages on the cell's own exchange. The two meet in
`settle`: the host has then taken everything that was written before, so that output and results
come in the order in which the cell made them.
"""

from __future__ import annotations

import array
import contextlib
import os
import signal
import socket
import threading

from localbox.protocol.frames import (
    HEADER,
    MAX_DATAGRAM_BYTES,
    MAX_MESSAGE_BYTES,
    MESSAGE,
    FrameError,
    decode_message,
    encode_message,
)

_SETTLE = encode_message({"settle": True})

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType
    from typing import Any, Protocol

    class Kernel(Protocol):
        """Runs the cells of one context, one after the other, on the main thread."""

        def execute(self, cell: Cell) -> None:
            """Run `cell.code`; whatever the code does, it ends up in `cell`, not as an exception.

            The standard streams are to be flushed before anything is told to `cell`.
            """


class Cell:
    """One piece of code to run. What is said of it goes to the host that asked for it.

    Attributes:
        code: the source.
        env: variables that hold for this cell only.
        restart: set it to why this process has to end after this cell, if it has to.
    """

    def __init__(self, port: Port, sock: socket.socket, request: dict[str, Any]) -> None:
        self.code: str = request["code"]
        self.env: dict[str, str] = request["env"]
        self.restart: str | None = None
        self._port = port
        self._sock = sock
        self._held = b""
        # Threads of the cell may display too.
        self._lock = threading.RLock()
        self._pid = os.getpid()

    def count(self, execution_count: int) -> None:
        """The cell's number; goes out with whatever is said next."""
        self._hold(encode_message({"count": execution_count}))

    def show(self, result: dict[str, Any], *, is_main: bool = False) -> None:
        """A result: E2B's format names ("text", "html", "png", ..., "extra") to their contents."""
        message = {"result": {**result, "is_main_result": is_main}}
        if is_main:
            # The last thing a cell does: it goes with the end, and the host wakes up once.
            self._hold(_fitting(message))
        else:
            self._tell(_fitting(message), wait=True)

    def fail(self, name: str, value: str, traceback: str) -> None:
        """The error that ended the cell."""
        self._hold(encode_message({"failure": _shortened(name, value, traceback)}))

    def settle(self) -> None:
        """Wait until the host has taken all output written so far."""
        self._tell(b"", wait=True)

    def end(self) -> None:
        self._tell(encode_message({"end": {"restart": self.restart}}), wait=False)
        self._sock.close()

    def _hold(self, data: bytes) -> None:
        """Send it with what is said next."""
        with self._lock:
            self._held += data

    def _tell(self, data: bytes, *, wait: bool) -> None:
        if os.getpid() != self._pid:
            return  # a fork of the cell's; only its output is of interest
        # A host that has gone away is no reason to end the cell.
        with self._port.undisturbed(), self._lock, contextlib.suppress(OSError, FrameError):
            data, self._held = self._held + data, b""
            self._sock.sendall(data + _SETTLE if wait else data)
            if wait:
                _receive_exactly(self._sock, HEADER.size)


class Port:
    def __init__(self, rendezvous: socket.socket) -> None:
        self._rendezvous = rendezvous
        self._cell: Cell | None = None
        self._busy = 0
        self._interrupted = False
        self._main_thread = threading.get_ident()
        self.restore_interrupts()

    def restore_interrupts(self) -> None:
        """Take SIGINT, which a cell may have set to something else."""
        signal.signal(signal.SIGINT, self._on_interrupt)

    def next_cell(self) -> Cell:
        """Wait for the next cell.

        Raises:
            EOFError: the host has closed the context.
        """
        self._cell = None
        self._interrupted = False
        while True:
            sock, request = receive_request(self._rendezvous)
            if "set_env" in request:
                os.environ.update(request["set_env"])
                sock.close()
                continue
            try:
                self._cell = Cell(self, sock, request)
            except KeyError:
                sock.close()
                continue
            return self._cell

    @contextlib.contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Hold back an interrupt: half a message would be the end of the context."""
        if threading.get_ident() != self._main_thread:
            # Signals are the main thread's; no other is ever interrupted.
            yield
            return
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
        if self._interrupted and not self._busy:
            self._interrupted = False
            raise KeyboardInterrupt

    def execute(self, kernel: Kernel, cell: Cell) -> None:
        """Have the kernel run the cell. Only here, an interrupt is raised."""
        if self._interrupted:
            return  # it came before the cell had begun
        kernel.execute(cell)

    def _on_interrupt(self, _number: int, frame: FrameType | None) -> None:
        if self._cell is None:
            return  # meant for a cell that has ended
        if self._busy or _is_between_cells(frame):
            self._interrupted = True
        else:
            raise KeyboardInterrupt


def receive_request(rendezvous: socket.socket) -> tuple[socket.socket, dict[str, Any]]:
    """The next request of the host and the exchange to answer it on.

    Raises:
        EOFError: the host has closed the context.
    """
    while True:
        try:
            data, ancillary, _flags, _address = rendezvous.recvmsg(
                MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC
            )
        except ConnectionResetError:
            raise EOFError from None
        if not data and not ancillary:
            raise EOFError
        fds = array.array("i")
        for _level, _kind, payload in ancillary:
            fds.frombytes(payload[: len(payload) // fds.itemsize * fds.itemsize])
        if len(fds) != 1:
            continue
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fds[0])
        try:
            return sock, decode_message(data if len(data) > 1 else _receive_message(sock))
        except (FrameError, OSError):
            sock.close()


def serve(port: Port, kernel: Kernel) -> None:
    """Run cells until the host closes the context or a cell has made a restart necessary."""
    while True:
        try:
            cell = port.next_cell()
        except EOFError:
            return
        # An interrupt that comes just as the cell ends has missed it.
        with contextlib.suppress(KeyboardInterrupt):
            port.execute(kernel, cell)
        with contextlib.suppress(KeyboardInterrupt):
            cell.end()
        if cell.restart is not None:
            return


def _is_between_cells(frame: FrameType | None) -> bool:
    """Whether `serve` is at work itself, and not below `Port.execute`."""
    while frame is not None:
        if frame.f_code is Port.execute.__code__:
            return False
        if frame.f_code is serve.__code__:
            return True
        frame = frame.f_back
    return False  # such as a greenlet of the cell's, whose frames lead nowhere


def _fitting(message: dict[str, Any]) -> bytes:
    """The message, without the parts of a result that make it too long to send."""
    result = message["result"]
    dropped: list[str] = []
    while True:
        try:
            return encode_message(message)
        except FrameError:
            sizes = {name: len(str(content)) for name, content in result.items()}
            largest = max(sizes, key=lambda name: sizes[name])
            del result[largest]
            dropped.append(
                f"[localbox: the {largest} of this result has {sizes[largest] / 1e6:.1f} MB and "
                f"was dropped; {MAX_MESSAGE_BYTES >> 20} MiB is the limit]"
            )
        except (TypeError, ValueError, RecursionError) as error:
            # Something that is no JSON, such as a cycle; in which part we can only find out.
            for name, content in list(result.items()):
                if not _is_json(content):
                    del result[name]
                    dropped.append(f"[localbox: the {name} of this result cannot be sent: {error}]")
        result["text"] = "\n".join(filter(None, (result.get("text"), *dropped)))
        dropped.clear()


def _is_json(content: object) -> bool:
    try:
        encode_message({"content": content})
    except FrameError:
        return True
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _shortened(name: str, value: str, traceback: str) -> dict[str, str]:
    # Six bytes of ASCII JSON for each character at worst.
    limit = MAX_MESSAGE_BYTES // 16
    return {
        "name": name[:1000],
        "value": value if len(value) <= limit else value[:limit] + " [shortened by localbox]",
        # What matters of a traceback is its end.
        "traceback": traceback[-limit:],
    }


def _receive_message(sock: socket.socket) -> bytes:
    kind, length = HEADER.unpack(_receive_exactly(sock, HEADER.size))
    if kind != MESSAGE or length > MAX_MESSAGE_BYTES:
        raise FrameError("a request must be a message")
    return _receive_exactly(sock, length)


def _receive_exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise FrameError("the exchange ended early")
        data += chunk
    return bytes(data)
