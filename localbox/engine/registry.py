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
    from localbox.engine.layer_store import Use
    from localbox.engine.layers import Stack
    from localbox.engine.lifecycle import Lifecycle
    from localbox.engine.root_agent import RootAgent
    from localbox.engine.volume_mounts import VolumeMount
    from localbox.models import SandboxNetworkInfo


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
    volumes: tuple[VolumeMount, ...] = ()
    # As asked for with network=; what stands is the policy's.
    network: SandboxNetworkInfo | None = None
    # Made when first asked for: most sandboxes run no cells.
    contexts: Contexts | None = None
    # Likewise: of most only the user is asked for anything.
    root: RootAgent | None = None
    # What was asked for at its creation; None if nothing was.
    lifecycle: Lifecycle | None = None
    # Whether to ask the zygote before anything else: nobody tells us of a pause at a timeout.
    may_be_paused: bool = False
    # Its hold on the layers it stands on, and the plan that was made for them.
    use: Use | None = None
    digest: str = ""
    # Where commands run that do not say; the home directory if None.
    cwd: str | None = None

    def volume_paths(self) -> tuple[str, ...]:
        """Where in the sandbox its volumes are; a part of its plan."""
        return tuple(mount.guest_path for mount in self.volumes)


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


def all_records() -> list[SandboxRecord]:
    with _lock:
        return [*_records.values()]


def sweep() -> None:
    """Drop the records of sandboxes that have ended by themselves."""
    with _lock:
        _sweep()


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


def root_of(record: SandboxRecord) -> RootAgent:
    from localbox.engine.root_agent import RootAgent

    with _lock:
        if record.rendezvous is NOBODY:
            # See contexts_of.
            return RootAgent()
        if record.root is None:
            record.root = RootAgent()
        return record.root


def begin_use(record: SandboxRecord, stack: Stack, digest: str) -> None:
    """Keep what a sandbox is to stand on from being removed.

    Raises:
        NotFoundException: it has been.
    """
    from localbox.engine.layer_use import begin_use

    begin_use(record, stack, digest)


def end_use(record: SandboxRecord) -> None:
    """A sandbox that stood on layers has ended, or was never made."""
    from localbox.engine.layer_use import end_use

    end_use(record)


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
    record.root = None
    if record.use is not None:
        end_use(record)


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()


# Another thread may have held it at the fork.
os.register_at_fork(after_in_child=_forget_lock)
