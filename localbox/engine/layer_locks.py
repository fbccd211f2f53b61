"""Who uses which layer: locks that the kernel takes back whatever becomes of a program.

Each layer has a file `lock`: whoever makes the layer has it for itself, whoever uses it shares it.
One more is for the moments in which layers come and go.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from localbox.engine import layers
from localbox.engine.layers import DESCRIPTION

_LOCK = "lock"

_lock = threading.RLock()
# Of the lock for all layers; -1 while this program does not have it.
_all_fd = -1
# Of the layers this program uses: their lock's descriptor, and how often each is used.
_held: dict[str, tuple[int, int]] = {}
# What was dropped without being closed; an interpreter may notice that at any line of this module.
_dropped: deque[str] = deque()


@contextlib.contextmanager
def all_layers() -> Iterator[None]:
    """Nobody else makes, takes or removes a layer meanwhile, in this program or another."""
    global _all_fd
    with _lock:
        if _all_fd >= 0:
            yield
            return
        _all_fd = open_lock(layers.layers_dir())
        try:
            fcntl.flock(_all_fd, fcntl.LOCK_EX)
            while _dropped:
                drop(_dropped.popleft())
            yield
        finally:
            fd, _all_fd = _all_fd, -1
            os.close(fd)


def open_lock(host_path: Path) -> int:
    """The lock in a directory, made if it is not there."""
    return os.open(host_path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def hold(layer_id: str) -> None:
    """Share a layer's lock, once more. In `all_layers`.

    Raises:
        FileNotFoundError: there is no such layer any more.
    """
    fd, count = _held.get(layer_id, (-1, 0))
    if not count:
        path = layers.layers_dir() / layer_id
        os.stat(path / DESCRIPTION)
        fd = open_lock(path)
        # Nobody has it exclusively for long: the layer is finished, and this is `all_layers`.
        fcntl.flock(fd, fcntl.LOCK_SH)
    _held[layer_id] = (fd, count + 1)


def hold_made(layer_id: str, lock_fd: int) -> None:
    """Share the lock of a layer that this program has made, with others from now on."""
    fcntl.flock(lock_fd, fcntl.LOCK_SH)
    _held[layer_id] = (lock_fd, 1)


def drop(layer_id: str) -> bool:
    """Let go of a layer, once; returns whether this program does not use it any more."""
    with _lock:
        fd, count = _held.get(layer_id, (-1, 0))
        if count > 1:
            _held[layer_id] = (fd, count - 1)
            return False
        if count:
            del _held[layer_id]
            # Not unlocked: a fork of this program may share the lock.
            os.close(fd)
        return True


def drop_later(layer_ids: list[str]) -> None:
    """For finalizers, which run at any moment: at the next `all_layers`."""
    _dropped.extend(layer_ids)


def drop_everything() -> None:
    """The program ends."""
    with _lock:
        for fd, _count in _held.values():
            os.close(fd)
        _held.clear()


def is_free(host_path: Path) -> bool:
    """Whether no program has the layer there locked, this one included."""
    try:
        fd = open_lock(host_path)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _let_go() -> None:
    # Another thread may have had them at the fork. Only closed: the parent has it still.
    global _lock, _all_fd
    _lock = threading.RLock()
    if _all_fd >= 0:
        os.close(_all_fd)
        _all_fd = -1


os.register_at_fork(after_in_child=_let_go)
