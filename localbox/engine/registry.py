"""The sandboxes of this process, by id: what the client knows of each beside its own object."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from localbox.engine.zygote_process import ZygoteProcess
from localbox.models import Isolation
from localbox.policy import Policy

if TYPE_CHECKING:
    from localbox.engine.contexts import Contexts


@dataclass
class SandboxRecord:
    """One live sandbox. `rendezvous` is the socket its agent takes new exchanges from."""

    sandbox_id: str
    zygote: ZygoteProcess
    rendezvous: socket.socket
    policy: Policy
    isolation: Isolation
    template: str
    metadata: Mapping[str, str]
    envs: Mapping[str, str]
    # Made when first asked for: most sandboxes run no cells.
    contexts: Contexts | None = None


class _Nobody(socket.socket):
    """The rendezvous of sandboxes that have ended."""

    def sendmsg(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        raise BrokenPipeError


NOBODY = _Nobody(socket.AF_UNIX)
NOBODY.close()

_records: dict[str, SandboxRecord] = {}
_lock = threading.Lock()
_sweep_at = 32


def new_sandbox_id() -> str:
    """20 characters without a dash, as E2B's."""
    return "i" + os.urandom(10).hex()[:19]


def add(record: SandboxRecord) -> None:
    global _sweep_at
    with _lock:
        _records[record.sandbox_id] = record
        if len(_records) >= _sweep_at:
            # Those that reached their timeout: nobody told us, but their socket has hung up.
            _sweep()
            _sweep_at = max(32, 2 * len(_records))


def find(sandbox_id: str) -> SandboxRecord | None:
    with _lock:
        return _records.get(sandbox_id)


def forget(sandbox_id: str) -> None:
    """Drop the record of a sandbox that has ended, and its socket."""
    with _lock:
        record = _records.pop(sandbox_id, None)
    if record is not None:
        _release(record)


def contexts_of(record: SandboxRecord) -> Contexts:
    from localbox.engine.contexts import Contexts

    with _lock:
        if record.rendezvous is NOBODY:
            # Not kept: it holds descriptors, and nobody would close them any more.
            return Contexts()
        if record.contexts is None:
            record.contexts = Contexts()
        return record.contexts


def _sweep() -> None:
    poll = select.poll()
    by_fd = {record.rendezvous.fileno(): record for record in _records.values()}
    for fd in by_fd:
        poll.register(fd, 0)
    for fd, _events in poll.poll(0):
        record = by_fd[fd]
        del _records[record.sandbox_id]
        _release(record)


def _release(record: SandboxRecord) -> None:
    record.rendezvous = NOBODY
    record.contexts = None


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()


# Another thread may have held it at the fork.
os.register_at_fork(after_in_child=_forget_lock)
