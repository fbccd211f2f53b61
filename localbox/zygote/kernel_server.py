"""The kernel zygote's loop: forks kernels into sandboxes, interrupts, ends and reaps them."""

from __future__ import annotations

import _socket
import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time

from localbox.confinement.host_proc import hold_host_proc
from localbox.kernels.languages import MODULES
from localbox.protocol.frames import Message, encode_datagram
from localbox.zygote.kernel_birth import KernelNursery
from localbox.zygote.preload import preload
from localbox.zygote.serving import Server, answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# The host asks why a kernel ended right after it has; one that nobody asks for is forgotten.
_REMEMBERED_ENDS = 1024


class _Kernel:
    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.kill_at = float("inf")
        self.waiting: list[_socket.socket] = []


class KernelZygote(Server):
    def __init__(
        self, control: socket.socket, owner_fd: int, modules: list[str], sys_path: list[str]
    ) -> None:
        super().__init__(control, owner_fd)
        hold_host_proc()
        self._nursery = KernelNursery()
        self._kernels: dict[str, _Kernel] = {}
        self._by_pidfd: dict[int, str] = {}
        self._ends: dict[str, int] = {}  # context id -> wait status
        preload(modules, sys_path, warm_up=MODULES)

    def serve(self) -> NoReturn:
        """Tell the owner we are ready and serve it until it is gone."""
        gc.collect()
        gc.freeze()
        self._listen()
        self._control.send(encode_datagram({"ready": {"python": sys.version.split()[0]}}))
        while True:
            self._serve_once(self._patience_s())
            now = time.monotonic()
            for kernel in self._kernels.values():
                if kernel.kill_at <= now:
                    kernel.kill_at = float("inf")
                    _signal(kernel, signal.SIGKILL)

    def _patience_s(self) -> float:
        due = min((kernel.kill_at for kernel in self._kernels.values()), default=float("inf"))
        return -1 if due == float("inf") else max(0.0, due - time.monotonic())

    def _handle(self, request: Message, reply: _socket.socket, passed: list[int]) -> None:
        operation = request["op"]
        if operation == "create":
            self._create(request, reply, passed)
        elif operation == "interrupt":
            kernel = self._kernels.get(request["id"])
            if kernel is not None:
                _interrupt(kernel)
            answer(reply, {"ok": kernel is not None})
        elif operation == "end":
            self._end(request["id"], request["patience_s"], reply)
        elif operation == "plan":
            self._nursery.learn(request["digest"], request["plan"])
            answer(reply, {"ok": True})
        else:
            answer(reply, {"error": {"kind": "internal", "message": "unknown request"}})

    def _create(self, request: Message, reply: _socket.socket, fds: list[int]) -> None:
        pid, pidfd = self._nursery.clone(request["digest"], reply, fds)
        self._kernels[request["id"]] = _Kernel(pid, pidfd)
        self._by_pidfd[pidfd] = request["id"]
        self._poll.register(pidfd, select.EPOLLIN)
        # The kernel has its own copy of the exchange and will say when it is ready; this is for
        # the zygote that minds the sandbox's memory, which can be told meanwhile.
        answer(reply, {"pid": pid}, pidfd)

    def _end(self, context_id: str, patience_s: float, reply: _socket.socket) -> None:
        """Answer how the kernel ended; end it if it has not by itself after `patience_s`."""
        kernel = self._kernels.get(context_id)
        if kernel is None:
            answer(reply, {"status": self._ends.pop(context_id, None)})
            return
        kernel.waiting.append(reply)
        kernel.kill_at = min(kernel.kill_at, time.monotonic() + patience_s)

    def _reap(self, pidfd: int) -> None:
        context_id = self._by_pidfd.pop(pidfd, None)
        if context_id is None:
            return
        kernel = self._kernels.pop(context_id)
        self._poll.unregister(pidfd)
        _pid, status = os.waitpid(kernel.pid, 0)
        os.close(pidfd)
        for reply in kernel.waiting:
            answer(reply, {"status": status, "pid": kernel.pid})
        if not kernel.waiting:
            self._ends[context_id] = status
            if len(self._ends) > _REMEMBERED_ENDS:
                del self._ends[next(iter(self._ends))]


def _interrupt(kernel: _Kernel) -> None:
    """As Ctrl-C in a terminal: for the programs too that the cell waits for.

    In system(3) the kernel itself is deaf to it. A session's leader, it cannot leave its group.
    """
    try:
        os.killpg(kernel.pid, signal.SIGINT)
    except ProcessLookupError:  # it is not one yet
        _signal(kernel, signal.SIGINT)


def _signal(kernel: _Kernel, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(kernel.pidfd, number)
