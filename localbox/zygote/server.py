"""The zygote's loop: clones sandboxes, ends them in time, watches their memory, reaps them."""

from __future__ import annotations

import _socket
import contextlib
import gc
import os
import select
import socket
import sys
import time

from localbox.confinement.walls import CGROUP, WallFailure, building
from localbox.protocol.frames import Message, encode_datagram
from localbox.zygote import pausing
from localbox.zygote.birth import Nursery
from localbox.zygote.control import Control
from localbox.zygote.errands import ERRANDS, Errands
from localbox.zygote.live import Kernel, LiveSandbox
from localbox.zygote.memory import MemoryWatch
from localbox.zygote.order import Order
from localbox.zygote.preload import preload
from localbox.zygote.serving import Server, answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_REMEMBERED_ENDS = 4096
# After a create, the time in which a sandbox builds its walls and is asked for its first result.
# Preparing for the next one then would compete with it for a processor.
_BREATHER_S = 0.008
_NEVER = float("inf")
_NO_ROOT = (
    'there is no user "root" in this sandbox: this program runs as an ordinary user, who has one '
    'id to give to the sandbox, and "user" is it; run the program as root to have both'
)


class Zygote(Server):
    def __init__(
        self,
        control: socket.socket,
        owner_fd: int,
        cgroup_roots: dict[str, int],
        modules: list[str],
        sys_path: list[str],
    ) -> None:
        super().__init__(control, owner_fd)
        self._nursery = Nursery(cgroup_roots)
        self._live: dict[str, LiveSandbox] = {}
        self._by_pidfd: dict[int, LiveSandbox] = {}
        self._ended: dict[str, str] = {}  # why
        self._memory = MemoryWatch()
        self._steering = Control(self._nursery.cgroups)
        self._errands = Errands(self._poll, self._nursery.enter_host_view)
        self._get_ready_at = _NEVER
        self._later: list[Order] = []
        self._expected: dict[int, Order] = {}  # by the socket on which the newborn will speak
        preload(modules, sys_path)

    def serve(self) -> NoReturn:
        """Tell the owner we are ready and serve it until it is gone."""
        # The first compile makes a type for every kind of syntax node, a millisecond's work.
        compile("", "<warm-up>", "exec")
        # What is alive now lives for ever; the collector need not look at it, and so not write to
        # its pages, in any sandbox.
        gc.collect()
        gc.freeze()
        self._listen()
        self._control.send(encode_datagram({"ready": {"python": sys.version.split()[0]}}))
        while True:
            self._serve_once(self._patience())
            self._enforce()

    # Time and memory

    def _patience(self) -> float:
        if not self._live and self._get_ready_at == _NEVER:
            return -1
        due = min((sandbox.deadline for sandbox in self._live.values()), default=_NEVER)
        until = min(due, self._get_ready_at) - time.monotonic()
        until = min(until, self._steering.patience_s())
        return max(0.0, min(until, self._memory.patience_s(len(self._live))))

    def _enforce(self) -> None:
        now = time.monotonic()
        if self._get_ready_at <= now:
            self._get_ready_at = _NEVER
            # If this fails, the next one to ask will hear why.
            with contextlib.suppress(WallFailure):
                self._nursery.get_ready()
            if self._later:
                self._fill(self._later.pop(0))
        for sandbox in list(self._live.values()):
            if sandbox.deadline <= now:
                pausing.expire(sandbox)
        self._memory.look(self._live.values(), now)
        self._steering.look(self._live.values(), now)

    # Requests

    def _handle(self, request: Message, reply: _socket.socket, passed: list[int]) -> None:
        operation = request["op"]
        if operation == "create":
            self._create(request, reply, passed[0])
            reply.close()  # the child has its own; it answers
        elif operation == "kill":
            self._kill(request["id"], reply)
        elif operation == "plan":
            self._nursery.learn(request["digest"], request["plan"])
            answer(reply, {"ok": True})
        elif operation == "set_timeout":
            answer(reply, self._set_timeout(request["id"], request["timeout_s"]))
        elif operation == "info":
            answer(reply, self._info(request["id"]))
        elif operation == "create_later":
            self._later.append(Order(request, reply, passed.copy()))
            passed.clear()
            if self._get_ready_at == _NEVER:
                self._get_ready_at = time.monotonic() + _BREATHER_S
        elif operation == "hand_out":
            answer(reply, self._hand_out(request, passed))
        elif operation == "lend":
            self._lend(request["id"], reply)
        elif operation == "adopt":
            answer(reply, self._adopt(request, passed[0]))
        elif operation == "root_agent":
            self._start_root_agent(request["id"], reply, passed[0])
        elif operation == "why_killed":
            answer(reply, self._why_killed(request["id"], request["pid"]))
        elif operation in ERRANDS:
            self._run_errand(request, reply, passed[0])
        elif operation == "forget_plan":
            self._nursery.forget(request["digest"])
            answer(reply, {"ok": True})
        elif operation in self._steering.operations:
            sandbox = self._live.get(request["id"])
            if sandbox is None or sandbox.end_reason is not None:
                answer(reply, self._info(request["id"]))
            else:
                answer(reply, self._steering.handle(sandbox, request))
        else:
            answer(reply, {"error": {"kind": "internal", "message": "unknown request"}})

    def _create(self, request: Message, reply: _socket.socket, rendezvous_fd: int) -> None:
        sandbox = self._nursery.clone(
            request["digest"],
            sandbox_id=request["id"],
            timeout_s=request["timeout_s"],
            rendezvous_fd=rendezvous_fd,
            reply_fd=reply.fileno(),
            volumes=request.get("volumes", ()),
        )
        sandbox.digest = request["digest"]
        self._live[sandbox.sandbox_id] = sandbox
        self._by_pidfd[sandbox.pidfd] = sandbox
        self._poll.register(sandbox.pidfd, select.EPOLLIN)
        self._get_ready_at = time.monotonic() + _BREATHER_S
        self._memory.postpone(_BREATHER_S)

    # Spares

    def _fill(self, order: Order) -> None:
        """Make a sandbox that was asked for ahead."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._create(order.request, theirs, order.fds[0])
            except WallFailure as failure:
                ours.close()
                order.give_up({"error": failure.to_message()})
                return
        order.newborn = ours
        self._expected[ours.fileno()] = order
        self._poll.register(ours.fileno(), select.EPOLLIN)

    def _hear(self, fd: int) -> None:
        """A sandbox made ahead stands, or does not: pass it on, and the wish for its kernel."""
        order = self._expected.pop(fd)
        self._poll.unregister(fd)
        sandbox = self._live.get(order.request["id"])
        order.pass_on(sandbox.pidfd if sandbox is not None else -1)

    def _hand_out(self, request: Message, passed: list[int]) -> Message:
        sandbox = self._live.get(request["id"])
        if sandbox is None or sandbox.end_reason is not None:
            return {"running": False, "reason": "it ended before it was asked for"}
        sandbox.begin(request["timeout_s"])
        return self._adopt(request, passed[0]) if passed else {"running": True}

    def _kill(self, sandbox_id: str, reply: _socket.socket) -> None:
        sandbox = self._live.get(sandbox_id)
        if sandbox is None:
            answer(reply, {"killed": False})
            return
        # Answered when it is reaped: nothing of it is left then.
        sandbox.waiting_for_end.append(reply)
        sandbox.end("it was killed")

    def _set_timeout(self, sandbox_id: str, timeout_s: float) -> Message:
        sandbox = self._live.get(sandbox_id)
        if sandbox is not None and sandbox.end_reason is None and not sandbox.paused:
            sandbox.set_timeout(timeout_s)
        return self._info(sandbox_id)

    def _info(self, sandbox_id: str) -> Message:
        sandbox = self._live.get(sandbox_id)
        if sandbox is not None and sandbox.end_reason is not None:
            # Killed and not reaped yet: its caller has already seen the agent go.
            return {"running": False, "reason": sandbox.end_reason}
        if sandbox is not None:
            return {
                "running": True,
                "pid": sandbox.pid,
                "started_at": sandbox.started_at,
                "remaining_s": pausing.remaining_s(sandbox),
                "paused": sandbox.paused,
                "memory_bytes": sandbox.memory_bytes,
                "cpus": sandbox.cpus,
            }
        return {"running": False, "reason": self._ended.get(sandbox_id)}

    def _reap(self, pidfd: int) -> None:
        if pidfd in self._expected:
            self._hear(pidfd)
            return
        if self._errands.finish(pidfd):
            return
        sandbox = self._by_pidfd.get(pidfd)
        if sandbox is None:
            return
        if pidfd == sandbox.pidfd:
            self._bury(sandbox)
        else:
            self._forget_kernel(sandbox, pidfd)

    def _bury(self, sandbox: LiveSandbox) -> None:
        self._poll.unregister(sandbox.pidfd)
        del self._by_pidfd[sandbox.pidfd]
        del self._live[sandbox.sandbox_id]
        os.waitpid(sandbox.pid, 0)
        os.close(sandbox.pidfd)
        self._steering.forget(sandbox)
        self._nursery.tidy(sandbox)
        self._ended[sandbox.sandbox_id] = sandbox.end_reason or "its first process died"
        if len(self._ended) > _REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]
        for pidfd in list(sandbox.kernels):
            self._forget_kernel(sandbox, pidfd)
        for reply in sandbox.waiting_for_end:
            answer(reply, {"killed": True})

    # Kernels: processes of a kernel zygote that have entered a sandbox

    def _lend(self, sandbox_id: str, reply: _socket.socket) -> None:
        """Hand out what a kernel zygote needs to find the sandbox's namespaces."""
        sandbox = self._live.get(sandbox_id)
        if sandbox is None or sandbox.end_reason is not None:
            answer(reply, self._info(sandbox_id))
        elif sandbox.paused:
            answer(reply, {"running": False})
        else:
            answer(reply, {"running": True}, sandbox.pidfd)

    def _adopt(self, request: Message, pidfd: int) -> Message:
        """Count a kernel as the sandbox's own: its memory, its cgroup."""
        sandbox = self._live.get(request["id"])
        if sandbox is None:
            return self._info(request["id"])
        kernel = Kernel(request["pid"], os.dup(pidfd))
        self._watch_kernel(sandbox, kernel)
        if sandbox.cgroup is not None:
            with building(CGROUP), contextlib.suppress(ProcessLookupError):
                sandbox.cgroup.take_in(kernel.pid)
        self._steering.admit(sandbox, kernel)
        return {"running": True}

    def _run_errand(self, request: Message, reply: _socket.socket, passed_fd: int) -> None:
        sandbox = None
        if request["op"] == "capture":
            sandbox = self._live.get(request["id"])
            if sandbox is None or sandbox.end_reason is not None:
                answer(reply, self._info(request["id"]))
                return
        self._errands.start(request, reply, passed_fd, sandbox)

    def _start_root_agent(self, sandbox_id: str, reply: _socket.socket, rendezvous_fd: int) -> None:
        """Let a process into the sandbox that is its root's agent; it answers by itself."""
        sandbox = self._live.get(sandbox_id)
        if sandbox is None or sandbox.end_reason is not None:
            answer(reply, self._info(sandbox_id))
            return
        if sandbox.paused:
            answer(reply, {"running": False})
            return
        if sandbox.slot is None:
            answer(reply, {"error": {"kind": "unauthenticated", "message": _NO_ROOT}})
            return
        agents = self._nursery.root_agents(sandbox.digest)
        pid, pidfd = agents.clone(
            sandbox,
            rendezvous_fd=rendezvous_fd,
            reply_fd=reply.fileno(),
            zygote_fd=self._nursery.pidfd,
        )
        kernel = Kernel(pid, pidfd, is_ours=True)
        self._watch_kernel(sandbox, kernel)
        self._steering.admit(sandbox, kernel)
        reply.close()  # the child has its own

    def _watch_kernel(self, sandbox: LiveSandbox, kernel: Kernel) -> None:
        sandbox.kernels[kernel.pidfd] = kernel
        self._by_pidfd[kernel.pidfd] = sandbox
        self._poll.register(kernel.pidfd, select.EPOLLIN)

    def _forget_kernel(self, sandbox: LiveSandbox, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        del self._by_pidfd[pidfd]
        kernel = sandbox.kernels.pop(pidfd)
        if kernel.is_ours:
            # PID 1 ends only when whoever came from outside is reaped. See pid_namespaces(7).
            os.waitpid(kernel.pid, 0)
        os.close(pidfd)

    def _why_killed(self, sandbox_id: str, pid: int) -> Message:
        """Whether it was for its memory that process `pid` of a sandbox was killed."""
        sandbox = self._live.get(sandbox_id)
        for_memory = sandbox is not None and (
            pid in sandbox.killed_for_memory
            or (sandbox.cgroup is not None and sandbox.cgroup.ran_out_of_memory())
        )
        return {"memory": for_memory}
