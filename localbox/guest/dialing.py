"""Connections from outside to servers inside: made here, in the sandbox's network, and passed out.

The host could connect a socket it was given as well, but not without waiting for it: whoever else
holds a socket can make it block.
"""

from __future__ import annotations

import _socket
import errno
import os

from localbox.guest.connection import Connection
from localbox.guest.loop import WRITE, Loop

_WAIT_S = 10.0
# "localhost" is either, and some servers listen on one of them only.
_ADDRESSES = ((_socket.AF_INET, "127.0.0.1"), (_socket.AF_INET6, "::1"))


def dial(connection: Connection, loop: Loop, port: int) -> None:
    """Answer with a socket that is connected to `port` of the loopback interface."""
    _Dial(connection, loop, port).next_address()


class _Dial:
    def __init__(self, connection: Connection, loop: Loop, port: int) -> None:
        self._connection = connection
        self._loop = loop
        self._port = port
        self._left = list(_ADDRESSES)
        self._fd = -1
        self._timer = loop.call_later(_WAIT_S, lambda: self._fail(errno.ETIMEDOUT))
        connection.on_close = self._stop

    def next_address(self) -> None:
        number = errno.ECONNREFUSED
        while self._left:
            family, host = self._left.pop(0)
            try:
                sock = _socket.socket(
                    family, _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
                )
            except OSError as error:
                number = error.errno or number  # such as a kernel without IPv6
                continue
            number = sock.connect_ex((host, self._port))
            if number in (0, errno.EINPROGRESS):
                self._fd = sock.detach()
                self._loop.watch(self._fd, WRITE, lambda _events: self._connected())
                return
            sock.close()
        self._fail(number)

    def _connected(self) -> None:
        fd, self._fd = self._fd, -1
        self._loop.unwatch(fd)
        sock = _socket.socket(fileno=fd)
        try:
            number = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
            if number:
                self.next_address()
            else:
                self._timer.cancel()
                self._connection.finish({"ok": True}, fd)
        finally:
            sock.close()

    def _fail(self, number: int) -> None:
        self._connection.fail(
            "unreachable", f"port {self._port} of the sandbox: {os.strerror(number)}", number
        )
        self._stop()

    def _stop(self) -> None:
        self._timer.cancel()
        if self._fd >= 0:
            self._loop.unwatch(self._fd)
            os.close(self._fd)
            self._fd = -1
