"""The zygote's loop: clones sandboxes, ends them in time, watches their memory, reaps them."""

from __future__ import annotations

import array
import contextlib
import gc
import os
import select
import socket
import sys
import time

from localbox.confinement.walls import WallFailure
from localbox.protocol.frames import (
    HEADER,
    MAX_DATAGRAM_BYTES,
    MAX_MESSAGE_BYTES,
    FrameError,
    Message,
    decode_message,
    encode_datagram,
    encode_message,
)
from localbox.zygote.birth import Nursery
from localbox.zygote.live import LiveSandbox
from localbox.zygote.memory import MemoryWatch
from localbox.zygote.preload import preload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

# How long the owner may take to send the rest of a long request; it is trusted, not infallible.
_REQUEST_TIMEOUT_S = 10.0
_REMEMBERED_ENDS = 4096
# After a create, the time in which a sandbox builds its walls and is asked for its first result.
# Preparing for the next one then would compete with it for a processor.
_BREATHER_S = 0.008
_NEVER = float("inf")


class Zygote:
    def __init__(
        self,
        control: socket.socket,
        owner_fd: int,
        cgroup_roots: dict[str, int],
        modules: list[str],
        sys_path: list[str],
    ) -> None:
        self._control = control
        self._owner_fd = owner_fd
        self._nursery = Nursery(cgroup_roots)
        self._live: dict[str, LiveSandbox] = {}
        self._by_pidfd: dict[int, LiveSandbox] = {}
        self._ended: dict[str, str] = {}  # why
        self._memory = MemoryWatch()
        self._get_ready_at = _NEVER
        self._poll = select.epoll()
        preload(modules, sys_path)

    def serve(self) -> NoReturn:
        """Tell the owner we are ready and serve it until it is gone."""
        # The first compile makes a type for every kind of syntax node, a millisecond's work.
        compile("", "<warm-up>", "exec")
        # What is alive now lives for ever; the collector need not look at it, and so not write to
        # its pages, in any sandbox.
        gc.collect()
        gc.freeze()
        self._poll.register(self._control.fileno(), select.EPOLLIN)
        self._poll.register(self._owner_fd, select.EPOLLIN)
        self._control.send(encode_datagram({"ready": {"python": sys.version.split()[0]}}))
        while True:
            for fd, _events in self._poll.poll(self._patience()):
                if fd == self._owner_fd:
                    # Every sandbox goes with us: the kernel sends them PDEATHSIG.
                    os._exit(0)
                if fd == self._control.fileno():
                    self._accept()
                elif fd in self._by_pidfd:
                    self._bury(self._by_pidfd[fd])
            self._enforce()

    # Time and memory

    def _patience(self) -> float:
        if not self._live and self._get_ready_at == _NEVER:
            return -1
        due = min((sandbox.deadline for sandbox in self._live.values()), default=_NEVER)
        until = min(due, self._get_ready_at) - time.monotonic()
        return max(0.0, min(until, self._memory.patience_s(len(self._live))))

    def _enforce(self) -> None:
        now = time.monotonic()
        if self._get_ready_at <= now:
            self._get_ready_at = _NEVER
            # If this fails, the next one to ask will hear why.
            with contextlib.suppress(WallFailure):
                self._nursery.get_ready()
        for sandbox in list(self._live.values()):
            if sandbox.deadline <= now:
                sandbox.end("its timeout expired")
        self._memory.look(self._live.values(), now)

    # Requests

    def _accept(self) -> None:
        try:
            data, ancillary, _flags, _address = self._control.recvmsg(
                MAX_DATAGRAM_BYTES, socket.CMSG_SPACE(2 * 4), socket.MSG_CMSG_CLOEXEC
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
        reply = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fds[0])
        passed = list(fds[1:])
        try:
            request = decode_message(data if len(data) > 1 else _receive_rest(reply))
            self._handle(request, reply, passed)
        except WallFailure as failure:
            _answer(reply, {"error": failure.to_message()})
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it concerns this request; the other sandboxes must not die of it.
            _answer(reply, {"error": {"kind": "internal", "message": f"zygote: {error!r}"}})
        finally:
            for fd in passed:
                os.close(fd)

    def _handle(self, request: Message, reply: socket.socket, passed: list[int]) -> None:
        operation = request["op"]
        if operation == "create":
            self._create(request, reply, passed[0])
            reply.close()  # the child has its own; it answers
        elif operation == "kill":
            self._kill(request["id"], reply)
        elif operation == "plan":
            self._nursery.learn(request["digest"], request["plan"])
            _answer(reply, {"ok": True})
        elif operation == "set_timeout":
            _answer(reply, self._set_timeout(request["id"], request["timeout_s"]))
        elif operation == "info":
            _answer(reply, self._info(request["id"]))
        else:
            _answer(reply, {"error": {"kind": "internal", "message": "unknown request"}})

    def _create(self, request: Message, reply: socket.socket, rendezvous_fd: int) -> None:
        sandbox = self._nursery.clone(
            request["digest"],
            sandbox_id=request["id"],
            env=request["env"],
            timeout_s=request["timeout_s"],
            rendezvous_fd=rendezvous_fd,
            reply_fd=reply.fileno(),
        )
        self._live[sandbox.sandbox_id] = sandbox
        self._by_pidfd[sandbox.pidfd] = sandbox
        self._poll.register(sandbox.pidfd, select.EPOLLIN)
        self._get_ready_at = time.monotonic() + _BREATHER_S
        self._memory.postpone(_BREATHER_S)

    def _kill(self, sandbox_id: str, reply: socket.socket) -> None:
        sandbox = self._live.get(sandbox_id)
        if sandbox is None:
            _answer(reply, {"killed": False})
            return
        # Answered when it is reaped: nothing of it is left then.
        sandbox.waiting_for_end.append(reply)
        sandbox.end("it was killed")

    def _set_timeout(self, sandbox_id: str, timeout_s: float) -> Message:
        sandbox = self._live.get(sandbox_id)
        if sandbox is not None and sandbox.end_reason is None:
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
                "remaining_s": sandbox.deadline - time.monotonic(),
            }
        return {"running": False, "reason": self._ended.get(sandbox_id)}

    def _bury(self, sandbox: LiveSandbox) -> None:
        self._poll.unregister(sandbox.pidfd)
        del self._by_pidfd[sandbox.pidfd]
        del self._live[sandbox.sandbox_id]
        os.waitpid(sandbox.pid, 0)
        os.close(sandbox.pidfd)
        self._nursery.tidy(sandbox)
        self._ended[sandbox.sandbox_id] = sandbox.end_reason or "its first process died"
        if len(self._ended) > _REMEMBERED_ENDS:
            del self._ended[next(iter(self._ended))]
        for reply in sandbox.waiting_for_end:
            _answer(reply, {"killed": True})


def _receive_rest(reply: socket.socket) -> bytes:
    """A request too long for one datagram, as a frame on the connection it will be answered on."""
    reply.settimeout(_REQUEST_TIMEOUT_S)
    header = _receive_exactly(reply, HEADER.size)
    _kind, length = HEADER.unpack(header)
    if length > MAX_MESSAGE_BYTES:
        raise FrameError(f"a request of {length} bytes")
    return _receive_exactly(reply, length)


def _receive_exactly(sock: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = sock.recv(count - len(data))
        if not chunk:
            raise FrameError("the request ended early")
        data += chunk
    return bytes(data)


def _answer(reply: socket.socket, message: Message) -> None:
    with contextlib.suppress(OSError):
        reply.setblocking(False)
        reply.send(encode_message(message))
    reply.close()
