"""The requests of the owner: how a zygote takes them and answers, whatever kind of zygote it is."""

from __future__ import annotations

import _socket
import array
import contextlib
import os
import select

from localbox.confinement.walls import WallFailure
from localbox.protocol.frames import (
    HEADER,
    MAX_DATAGRAM_BYTES,
    MAX_MESSAGE_BYTES,
    FrameError,
    Message,
    decode_message,
    encode_message,
)

# How long the owner may take to send the rest of a long request; it is trusted, not infallible.
_REQUEST_TIMEOUT_S = 10.0
# What the owner passes with one request at most: its end of the exchange and six more.
_MOST_FDS = 7


class Server:
    """One socket that requests come from, and an owner whose end is ours."""

    def __init__(self, control: _socket.socket, owner_fd: int) -> None:
        self._control = control
        self._control_fd = control.fileno()
        self._owner_fd = owner_fd
        self._poll = select.epoll()

    def _listen(self) -> None:
        self._poll.register(self._control_fd, select.EPOLLIN)
        self._poll.register(self._owner_fd, select.EPOLLIN)

    def _serve_once(self, timeout_s: float) -> None:
        for fd, _events in self._poll.poll(timeout_s):
            if fd == self._owner_fd:
                # Every process we forked goes with us: the kernel sends them PDEATHSIG.
                os._exit(0)
            if fd == self._control_fd:
                self._accept()
            else:
                self._reap(fd)

    def _reap(self, pidfd: int) -> None:
        """A process whose pidfd we watch has ended."""
        raise NotImplementedError

    def _handle(self, request: Message, reply: _socket.socket, passed: list[int]) -> None:
        """Do what is asked; the descriptors in `passed` are closed afterwards."""
        raise NotImplementedError

    def _accept(self) -> None:
        try:
            data, ancillary, _flags, _address = self._control.recvmsg(
                MAX_DATAGRAM_BYTES, _socket.CMSG_SPACE(_MOST_FDS * 4), _socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return
        if not data and not ancillary:
            os._exit(0)
        fds = array.array("i")
        for _level, _kind, payload in ancillary:
            fds.frombytes(payload)
        if not fds:
            return
        reply = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, fds[0])
        passed = list(fds[1:])
        try:
            request = decode_message(data if len(data) > 1 else _receive_rest(reply))
            self._handle(request, reply, passed)
        except WallFailure as failure:
            answer(reply, {"error": failure.to_message()})
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it concerns this request; what else we hold must not die of it.
            answer(reply, {"error": {"kind": "internal", "message": f"zygote: {error!r}"}})
        finally:
            for fd in passed:
                os.close(fd)


def answer(reply: _socket.socket, message: Message, fd: int = -1) -> None:
    """Send the answer, with a descriptor if there is one, and close the exchange."""
    with contextlib.suppress(OSError):
        reply.setblocking(False)
        data = encode_message(message)
        if fd < 0:
            reply.send(data)
        else:
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array.array("i", [fd]))]
            reply.sendmsg([data], rights)
    reply.close()


def _receive_rest(reply: _socket.socket) -> bytes:
    """A request too long for one datagram, as a frame on the connection it will be answered on."""
    reply.settimeout(_REQUEST_TIMEOUT_S)
    header = _receive_exactly(reply, HEADER.size)
    _kind, length = HEADER.unpack(header)
    if length > MAX_MESSAGE_BYTES:
        raise FrameError(f"a request of {length} bytes")
    return _receive_exactly(reply, length)


def _receive_exactly(sock: _socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise FrameError("the request ended early")
        data += chunk
    return bytes(data)


def keep_free(count: int) -> None:
    """Take every descriptor number below `count`, so that children can use them."""
    null_fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
    while null_fd < count:
        null_fd = os.dup(null_fd)
        os.set_inheritable(null_fd, False)
