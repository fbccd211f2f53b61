"""Spare sandboxes: one made ahead for a program that makes many, so that the next is there at once.

A spare is like any other sandbox, with its walls up, and nothing has run in it but an empty program
of ours (and, where the program runs cells, an empty cell), so that its pages are its own by then.
Nobody waits here: requests are sent, and answers looked for when somebody asks for a sandbox.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

from localbox.engine.answers import read_answer
from localbox.errors import SandboxException
from localbox.protocol.frames import Frame, FrameError, Message
from localbox.transport.wire import (
    ExchangeState,
    OwnedFd,
    PeerGoneError,
    ProtocolViolationError,
    pass_descriptors,
    prepare,
    rendezvous_pair,
)

if TYPE_CHECKING:
    from localbox.engine.contexts import Kernel
    from localbox.engine.zygote_process import ZygoteProcess

# One sandbox may be all a program wants; who makes a second may make a third.
_DEMAND = 2
# A spare that nobody has asked for in this time ends.
_LIFETIME_S = 300.0

# Where contexts begin; the client's constant is in a module that most programs do not load.
_CWD = "/home/user"

_EMPTY_PROGRAM: Message = {
    "op": "start",
    "code": "0",
    "filename": "<string>",
    "argv": ["-c"],
    "background": False,
    "stdin": False,
    "timeout_s": 10.0,
}


def is_enabled() -> bool:
    """Unless the environment says LOCALBOX_POOL=0."""
    return os.environ.get("LOCALBOX_POOL", "1") != "0"


class Spare:
    """A sandbox on its way, or ready.

    Attributes:
        sandbox_id: its own, not the caller's to choose.
        ready: what the sandbox said when its walls stood.
        kernel: of its default Python context, if it has one.
    """

    def __init__(self, sandbox_id: str) -> None:
        self.sandbox_id = sandbox_id
        self.ready: Frame | None = None
        self.kernel: Kernel | None = None
        self.rendezvous, self._theirs = rendezvous_pair()
        self._due: dict[str, ExchangeState] = {}

    def order(self, zygote: ZygoteProcess, digest: str, kernels: ZygoteProcess | None) -> None:
        """Ask for it, and for all that is to be done before it is handed out.

        Raises:
            OSError, PeerGoneError: the zygote takes no requests now.
        """
        request: Message = {
            "op": "create_later",
            "id": self.sandbox_id,
            "digest": digest,
            "timeout_s": _LIFETIME_S,
        }
        fds: tuple[int, ...] = (self._theirs.fileno(),)
        ends: list[int] = []
        try:
            if kernels is not None:
                fds += self._prepare_kernel(request, kernels, digest, ends)
            self._post("created", zygote.rendezvous, request, fds)
        finally:
            self._theirs.close()
            for fd in ends:
                os.close(fd)
            if self.kernel is not None:
                self.kernel.forget_theirs()
        # They wait in the sockets until somebody is born to read them.
        self._post("exercised", self.rendezvous, _EMPTY_PROGRAM, ())
        if self.kernel is not None:
            settings = {
                "language": "python",
                "cwd": _CWD,
                "env": {},
                "rehearse": True,
            }
            self._post("started", self.kernel.rendezvous, settings, ())

    def _prepare_kernel(
        self, request: Message, kernels: ZygoteProcess, digest: str, ends: list[int]
    ) -> tuple[int, ...]:
        """Put into `request` what the zygote passes on once it has a sandbox for the kernel."""
        from localbox.engine.contexts import Kernel

        self.kernel = Kernel()
        wish = {"op": "create", "id": self.kernel.kernel_id, "digest": digest}
        state, datagram, _rest, passed = prepare(wish, ())
        self._due["kernel"] = state
        ends += passed
        request["kernel"] = datagram.decode("ascii")
        return (kernels.rendezvous.fileno(), passed[0], *self.kernel.passed_fds())

    def _post(self, what: str, rendezvous: Any, request: Message, fds: tuple[int, ...]) -> None:
        state, datagram, _rest, passed = prepare(request, fds)
        self._due[what] = state
        try:
            pass_descriptors(rendezvous, datagram, passed)
        finally:
            os.close(passed[0])

    def is_ready(self) -> bool:
        """Whether all that was asked for is done.

        Raises:
            Exception: something of it failed.
        """
        for what in list(self._due):
            frame = self._look(what)
            if frame is None:
                return False
            self._take(what, frame)
        return True

    def _look(self, what: str) -> Frame | None:
        state = self._due[what]
        try:
            state.receive_available()
        except BlockingIOError:
            pass
        return state.take_frame()

    def _take(self, what: str, frame: Frame) -> None:
        state = self._due.pop(what)
        answer = read_answer(frame)
        if what == "created":
            self.ready = frame
        elif what == "kernel" and self.kernel is not None:
            self.kernel.pid = int(answer["pid"])
            self.kernel.pidfd = OwnedFd(state.take_fd())
        state.close()

    def close(self) -> None:
        """Give it up: its agent ends when nobody can ask it any more."""
        for state in self._due.values():
            state.close()
        self._due.clear()


class Pool:
    """The spares of one zygote: at most one for each plan."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._demand: dict[str, int] = {}
        self._spares: dict[str, Spare] = {}
        self._cells: set[str] = set()

    def wants_cells(self, digest: str) -> None:
        """The program runs cells in sandboxes of this plan."""
        self._cells.add(digest)

    def take(self, digest: str) -> Spare | None:
        """A spare that is ready, now the caller's; None if there is none yet."""
        with self._lock:
            self._demand[digest] = self._demand.get(digest, 0) + 1
            spare = self._spares.get(digest)
            if spare is None:
                return None
            try:
                if not spare.is_ready():
                    return None
            except (OSError, FrameError, PeerGoneError, ProtocolViolationError, SandboxException):
                # It could not be made, or has ended meanwhile: whoever makes one now hears why.
                spare.close()
                del self._spares[digest]
                return None
            return self._spares.pop(digest)

    def refill(self, zygote: ZygoteProcess, digest: str) -> None:
        """Order another, if the program makes many sandboxes of this plan. Never waits."""
        with self._lock:
            if self._demand.get(digest, 0) < _DEMAND or digest in self._spares:
                return
            kernels = zygote.ready_kernels(digest) if digest in self._cells else None
            spare = Spare(_new_id())
            try:
                spare.order(zygote, digest, kernels)
            except (OSError, PeerGoneError):
                spare.close()
            else:
                self._spares[digest] = spare

    def clear(self) -> None:
        for spare in self._spares.values():
            spare.close()
        self._spares.clear()


def _new_id() -> str:
    from localbox.engine.registry import new_sandbox_id

    return new_sandbox_id()
