"""A sandbox that was ordered ahead: made when the zygote has nothing else to do."""

from __future__ import annotations

import _socket
import array
import contextlib
import os
import socket

from localbox.zygote.serving import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox.protocol.frames import Message

_READY_BYTES = 64 * 1024


class Order:
    """
    Args:
        reply: where the host will look for the answer.
        fds: the sandbox's rendezvous; and if a kernel is wanted too, the kernel zygote's socket
            and what that is to get with the request that `request["kernel"]` holds.
    """

    def __init__(self, request: Message, reply: _socket.socket, fds: list[int]) -> None:
        self.request = request
        self.fds = fds
        self.newborn: socket.socket | None = None
        self._reply = reply

    def give_up(self, message: Message) -> None:
        answer(self._reply, message)
        self._close()

    def pass_on(self, sandbox_fd: int) -> None:
        """Tell the host what the newborn said, and the kernel zygote where the sandbox is."""
        assert self.newborn is not None
        said = b""
        with self.newborn, contextlib.suppress(OSError):
            said = self.newborn.recv(_READY_BYTES)
        with contextlib.suppress(OSError):
            self._reply.send(said)
        self._reply.close()
        if said and sandbox_fd >= 0 and len(self.fds) > 1:
            self._order_kernel(sandbox_fd)
        self._close()

    def _order_kernel(self, sandbox_fd: int) -> None:
        kernels = socket.socket(fileno=os.dup(self.fds[1]))
        rights = array.array("i", [*self.fds[2:], sandbox_fd])
        # Should it not get there, the host finds the exchange closed and makes a kernel itself.
        with kernels, contextlib.suppress(OSError):
            kernels.sendmsg(
                [self.request["kernel"].encode("ascii")],
                [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)],
                socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL,
            )

    def _close(self) -> None:
        for fd in self.fds:
            os.close(fd)
        self.fds = []
