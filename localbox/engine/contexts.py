"""The code contexts of a sandbox, as the client knows them."""

from __future__ import annotations

import os
import select
import signal
import threading
from dataclasses import dataclass, field
from typing import Any

from localbox.execution import Context
from localbox.protocol.frames import STDERR, STDOUT, Frame
from localbox.transport.wire import OwnedFd, rendezvous_pair

DEFAULT_CWD = "/home/user"
DEFAULT_TIMEOUT_S = 300.0
# How long an interrupted cell may take to end before its process is killed.
INTERRUPT_GRACE_S = 2.0

_READ_BYTES = 64 * 1024
# What a pipe can hold: one look takes all that was in it when the look began.
_LOOK_BYTES = 64 * 1024


class Outputs:
    """The pipes that a kernel's standard output and error come through."""

    def __init__(self) -> None:
        self._readers: list[tuple[int, OwnedFd]] = []
        self.writers: list[OwnedFd] = []
        for kind in (STDOUT, STDERR):
            reader, writer = (OwnedFd(fd) for fd in os.pipe2(os.O_CLOEXEC))
            os.set_blocking(reader.fileno(), False)
            self._readers.append((kind, reader))
            self.writers.append(writer)

    def filenos(self) -> list[int]:
        """To wait for; without those that have come to their end."""
        return [reader.fileno() for _kind, reader in self._readers]

    def take(self) -> list[Frame]:
        """All that has been written so far, and not more than the pipes can hold."""
        frames: list[Frame] = []
        for kind, reader in list(self._readers):
            left = _LOOK_BYTES
            while left > 0:
                try:
                    chunk = os.read(reader.fileno(), _READ_BYTES)
                except BlockingIOError:
                    break
                if not chunk:
                    self._readers.remove((kind, reader))
                    break
                frames.append((kind, chunk))
                left -= len(chunk)
        return frames


class Kernel:
    """The process that runs a context's cells.

    Attributes:
        unfinished: the exchange of a cell that was abandoned by the program, still open.
    """

    def __init__(self) -> None:
        self.rendezvous, self.theirs = rendezvous_pair()
        self.outputs = Outputs()
        self.kernel_id = os.urandom(16).hex()
        self.pid = -1
        self.pidfd: OwnedFd | None = None
        self.unfinished: Any = None

    def __del__(self) -> None:
        # No cell came that would have ended it: the sandbox was killed first.
        if self.unfinished is not None:
            self.unfinished.close()

    def filenos(self) -> list[int]:
        """To wait for: its output, and its end."""
        filenos = self.outputs.filenos()
        if self.pidfd is not None:
            filenos.append(self.pidfd.fileno())
        return filenos

    def take(self) -> list[Frame]:
        return self.outputs.take()

    def has_ended(self) -> bool:
        if self.pidfd is None:
            return False
        poll = select.poll()
        poll.register(self.pidfd.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def passed_fds(self, *sandbox_fd: int) -> tuple[int, ...]:
        """What the kernel gets, in the order of zygote/kernel_birth.py."""
        writers = (writer.fileno() for writer in self.outputs.writers)
        return (self.theirs.fileno(), *writers, *sandbox_fd)

    def forget_theirs(self) -> None:
        self.theirs.close()
        self.outputs.writers.clear()


class Baton:
    """A lock that threads, tasks and forks of this program can wait for: a byte in a pipe."""

    def __init__(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._reader, self._writer = OwnedFd(reader), OwnedFd(writer)
        self.give_back()

    def fileno(self) -> int:
        return self._reader.fileno()

    def try_take(self) -> bool:
        try:
            return bool(os.read(self._reader.fileno(), 1))
        except BlockingIOError:
            return False

    def give_back(self) -> None:
        os.write(self._writer.fileno(), b"1")


@dataclass
class ContextRecord:
    """One context. It has no kernel before its first cell, and none after one that broke it.

    Attributes:
        note: what the next cell is to be told, such as that the variables are gone.
        turn: whoever holds it may run a cell: the cells of a context come one after the other.
    """

    context: Context
    is_default: bool = False
    kernel: Kernel | None = None
    note: str | None = None
    removed: bool = False
    turn: Baton = field(default_factory=Baton)


class Contexts:
    """The contexts of one sandbox, by id, and one by default for each language."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_id: dict[str, ContextRecord] = {}
        self.default("python")

    def default(self, language: str) -> ContextRecord:
        with self._lock:
            for record in self._by_id.values():
                if record.is_default and record.context.language == language:
                    return record
            return self._add(language, DEFAULT_CWD, is_default=True)

    def add(self, language: str, cwd: str) -> ContextRecord:
        with self._lock:
            return self._add(language, cwd, is_default=False)

    def find(self, context_id: str) -> ContextRecord | None:
        with self._lock:
            return self._by_id.get(context_id)

    def all(self) -> list[ContextRecord]:
        with self._lock:
            return list(self._by_id.values())

    def remove(self, record: ContextRecord) -> None:
        with self._lock:
            self._by_id.pop(record.context.id, None)
            record.removed = True

    def _add(self, language: str, cwd: str, *, is_default: bool) -> ContextRecord:
        context = Context(_new_id(), language, cwd)
        record = ContextRecord(context, is_default)
        self._by_id[context.id] = record
        return record


def _new_id() -> str:
    """A UUID's look, as E2B's ids have; without the module, which takes long to import."""
    digits = os.urandom(16).hex()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def describe_death(status: int | None, *, for_memory: bool, memory_bytes: int) -> str:
    """What ended a kernel in the middle of a cell, in words."""
    code = None if status is None else os.waitstatus_to_exitcode(status)
    if for_memory:
        how = (
            f"was killed because the sandbox needed more memory than resources.memory of its "
            f"profile allows ({memory_bytes >> 20} MiB)"
        )
    elif code is None:
        how = "ended"
    elif code < 0:
        how = f"was killed by {_signal_name(-code)} ({signal.strsignal(-code)})"
    else:
        how = f"ended with exit status {code}, without a way for the cell to go on"
    return f"the process that runs this context's cells {how}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time one
        return f"signal {number}"
