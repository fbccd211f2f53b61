"""Work that takes longer than the zygote may be away: a child of its own does it and answers.

What the children do is in capture.py, which they import themselves: the zygote's memory is copied
into every sandbox, and most programs never want this.
"""

from __future__ import annotations

import _socket
import os
import select

from localbox.zygote.freezing import CannotFreezeError, freeze, thaw
from localbox.zygote.serving import answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from localbox.protocol.frames import Message
    from localbox.zygote.live import LiveSandbox

ERRANDS = frozenset({"capture", "merge_layers", "sync"})


class Errands:
    """
    Args:
        poll: watches the children; a pidfd in it that is ready and ours is for `finish`.
        enter_host_view: brings a child to where the host's files are, and so what it imports.
    """

    def __init__(self, poll: select.epoll, enter_host_view: Callable[[], None]) -> None:
        self._poll = poll
        self._enter_host_view = enter_host_view
        self._running: dict[int, tuple[int, LiveSandbox | None]] = {}
        self._waiting: list[tuple[Message, _socket.socket, int, LiveSandbox]] = []

    def start(
        self, request: Message, reply: _socket.socket, passed_fd: int, sandbox: LiveSandbox | None
    ) -> None:
        """
        Args:
            passed_fd: what the host has passed; still the caller's.
            sandbox: it stands still until the child has ended; if another one is at it, that first.
        """
        if sandbox is not None:
            if sandbox.capturing:
                self._waiting.append((request, reply, os.dup(passed_fd), sandbox))
                return
            try:
                _hold_still(sandbox)
            except CannotFreezeError as error:
                text = f"cannot copy the sandbox's files: {error}"
                answer(reply, {"error": {"kind": "busy", "message": text}})
                return
        zygote_pid = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            _let_go(sandbox)
            raise
        if pid == 0:
            try:
                self._enter_host_view()
                from localbox.zygote.capture import run_errand

                sandbox_fd = sandbox.pidfd if sandbox is not None else -1
                run_errand(request, reply, passed_fd, sandbox_fd, zygote_pid)
            finally:
                os._exit(1)
        pidfd = os.pidfd_open(pid)
        self._running[pidfd] = (pid, sandbox)
        self._poll.register(pidfd, select.EPOLLIN)
        reply.close()  # the child has its own

    def finish(self, pidfd: int) -> bool:
        """Reap a child that has ended and let its sandbox go on; False if it is none of ours."""
        if pidfd not in self._running:
            return False
        pid, sandbox = self._running.pop(pidfd)
        self._poll.unregister(pidfd)
        os.waitpid(pid, 0)
        os.close(pidfd)
        _let_go(sandbox)
        if sandbox is not None:
            self._start_next(sandbox)
        return True

    def _start_next(self, sandbox: LiveSandbox) -> None:
        for order in self._waiting:
            request, reply, passed_fd, wanted = order
            if wanted is not sandbox:
                continue
            self._waiting.remove(order)
            if sandbox.end_reason is not None:
                answer(reply, {"running": False, "reason": sandbox.end_reason})
            else:
                self.start(request, reply, passed_fd, sandbox)
            os.close(passed_fd)
            if sandbox.capturing:
                return
            # That one failed, or its sandbox has ended: the next one.
            self._start_next(sandbox)
            return


def _hold_still(sandbox: LiveSandbox) -> None:
    if not sandbox.paused:
        freeze(sandbox)
    sandbox.capturing = True


def _let_go(sandbox: LiveSandbox | None) -> None:
    if sandbox is None or not sandbox.capturing:
        return
    sandbox.capturing = False
    if sandbox.end_reason is None and not sandbox.paused:
        thaw(sandbox)
        sandbox.stopped_by_guest = frozenset()
