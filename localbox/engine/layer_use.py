"""Sandboxes on layers, and the plans that were made for them alone.

For each stack and policy a zygote has a template, which holds mounts. Programs that fork for ever
would have ever more, so a template is forgotten when its stack is gone, or some others were used
since.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from localbox.engine import layer_store
from localbox.transport.wire import PeerGoneError, post

if TYPE_CHECKING:
    from localbox.engine.layers import Stack
    from localbox.engine.registry import SandboxRecord
    from localbox.engine.zygote_process import ZygoteProcess

# Templates that no sandbox uses, to be there when one is wanted again.
_MOST_IDLE = 16

_lock = threading.Lock()


def begin_use(record: SandboxRecord, stack: Stack, digest: str) -> None:
    """Let a sandbox stand on a stack; before the zygote is asked for it.

    Raises:
        NotFoundException: the stack is gone.
    """
    record.use = layer_store.hold(stack)
    record.digest = digest
    with _lock:
        uses = record.zygote.plan_uses
        uses[digest] = uses.pop(digest, 0) + 1


def end_use(record: SandboxRecord) -> None:
    """A sandbox has ended, or was never made: let go of what it stood on."""
    use, record.use = record.use, None
    if use is None:
        return
    is_gone = use.close()
    with _lock:
        uses = record.zygote.plan_uses
        uses[record.digest] -= 1
        idle = [digest for digest, count in uses.items() if count == 0]
        surplus = idle[:-_MOST_IDLE]
        if is_gone and record.digest in idle and record.digest not in surplus:
            surplus.append(record.digest)
        for digest in surplus:
            del uses[digest]
            _forget(record.zygote, digest)


def _forget(zygote: ZygoteProcess, digest: str) -> None:
    # Sent under the lock: who wants the plan again sends it after that.
    zygote.known_plans.discard(digest)
    with contextlib.suppress(OSError, PeerGoneError):
        post(zygote.rendezvous, {"op": "forget_plan", "digest": digest})


def _forget_lock() -> None:
    global _lock
    _lock = threading.Lock()


# Another thread may have held it at the fork.
os.register_at_fork(after_in_child=_forget_lock)
