"""Which layers are there and in use: making, holding and removing them, and what others left.

Whoever makes or uses a layer has its `lock` file locked, and the kernel unlocks it whatever becomes
of that program. A layer nobody has locked is removed if it was never finished, was made for a fork,
or was deleted. Moments in which layers come and go are kept apart by a lock for all of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localbox.engine import layers
from localbox.engine.data_dir import write_atomically
from localbox.engine.layers import DESCRIPTION, RETIRED, Stack
from localbox.errors import NotFoundException, SandboxException
from localbox.transport.wire import PeerGoneError, post

if TYPE_CHECKING:
    from localbox.engine.registry import SandboxRecord

_LOCK = "lock"
_TRASH = ".trash-"
# A copier that has not yet noticed that nobody waits for it may still make files in the draft.
_REMOVAL_PATIENCE_S = 2.0

_lock = threading.RLock()
# Of the layers this program uses: their lock's descriptor, and how often each is used.
_held: dict[str, tuple[int, int]] = {}


class Use:
    """A hold on all layers of a stack; close it when they are not needed any more."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._open = True

    def close(self) -> bool:
        """Returns True if it was the last of the stack in this program, and that is removed."""
        with _lock:
            if not self._open:
                return False
            self._open = False
            let_go = [layer.layer_id for layer in self.stack.layers if _drop(layer.layer_id)]
            if any(_is_doomed(layer_id) for layer_id in let_go):
                collect()
            return self.stack.layer_id in let_go and layers.load(self.stack.layer_id) is None

    def __del__(self) -> None:
        with contextlib.suppress(OSError, SandboxException):
            self.close()


class Draft:
    """A layer in the making.

    Attributes:
        fd: its directory, empty.
        parent_fd: the one with all layers.
    """

    def __init__(self) -> None:
        sweep_once()
        self.layer_id = layers.new_layer_id()
        self.host_path = layers.layers_dir() / self.layer_id
        with _all_layers():
            self.host_path.mkdir(mode=0o700)
            self._lock_fd = _open_lock(self.host_path)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        self.fd = os.open(self.host_path, flags)
        self.parent_fd = os.open(self.host_path.parent, flags)

    def commit(self, description: Mapping[str, Any]) -> Use:
        """Finish it; from here on it is a layer, and the caller's to use."""
        content = json.dumps(dict(description)).encode("utf-8")
        with _lock, _all_layers():
            write_atomically(self.host_path / DESCRIPTION, content)
            fcntl.flock(self._lock_fd, fcntl.LOCK_SH)
            _held[self.layer_id] = (self._lock_fd, 1)
            stack = layers.load(self.layer_id)
            assert stack is not None
            for layer in stack.layers[:-1]:
                _hold(layer.layer_id)
        self._close()
        return Use(stack)

    def abandon(self) -> None:
        """Remove it, whatever is in it."""
        self._close()
        trash = self.host_path.with_name(_TRASH + self.layer_id)
        os.rename(self.host_path, trash)
        os.close(self._lock_fd)
        _remove(trash)

    def _close(self) -> None:
        os.close(self.fd)
        os.close(self.parent_fd)


def hold(stack: Stack) -> Use:
    """Keep the layers of a stack from being removed.

    Raises:
        NotFoundException: one of them is gone already.
    """
    with _lock:
        if all(layer.layer_id in _held for layer in stack.layers):
            for layer in stack.layers:
                _hold(layer.layer_id)
            return Use(stack)
        with _all_layers():
            held: list[str] = []
            try:
                for layer in stack.layers:
                    _hold(layer.layer_id)
                    held.append(layer.layer_id)
            except FileNotFoundError:
                for layer_id in held:
                    _drop(layer_id)
                raise NotFoundException(f"layer {stack.layer_id} was deleted") from None
    return Use(stack)


def end_use(record: SandboxRecord) -> None:
    """A sandbox has ended, or was never made: let go of what it stood on."""
    use, record.use = record.use, None
    if use is None or not use.close() or not record.digest:
        return
    record.zygote.known_plans.discard(record.digest)
    # It holds the mounts of a template that nobody can ask for any more.
    with contextlib.suppress(OSError, PeerGoneError):
        post(record.zygote.rendezvous, {"op": "forget_plan", "digest": record.digest})


def retire(layer_id: str) -> bool:
    """Delete a layer: it is not found any more, and removed once nothing needs it.

    Returns:
        False if it was not there.
    """
    with _lock:
        if layers.load(layer_id) is None:
            return False
        layers.forget_names(layer_id)
        (layers.layers_dir() / layer_id / RETIRED).touch(mode=0o600)
        collect()
    return True


_swept: Path | None = None


def sweep_once() -> None:
    """Remove what programs that were killed have left; once in a program is enough."""
    global _swept
    directory = layers.layers_dir()
    if _swept != directory:
        _swept = directory
        collect()


def collect() -> None:
    """Remove every layer that nobody uses and nobody could ask for."""
    directory = layers.layers_dir()
    with _lock, _all_layers():
        for layer_id in _unneeded(directory):
            with contextlib.suppress(FileNotFoundError):
                os.rename(directory / layer_id, directory / f"{_TRASH}{layer_id}")
    for entry in os.listdir(directory):
        if entry.startswith(_TRASH):
            _remove(directory / entry)


def _unneeded(directory: Path) -> list[str]:
    candidates: list[str] = []
    needed: set[str] = set()
    for layer_id in filter(layers.is_layer_id, os.listdir(directory)):
        try:
            description = layers.read_description(layer_id)
        except SandboxException:
            # Of another version; what stands on what, only that version knows.
            return []
        doomed = description is None or _is_doomed(layer_id, description)
        if doomed and _is_free(directory / layer_id):
            candidates.append(layer_id)
        elif description is not None:
            needed.update(description["parents"])
    return [layer_id for layer_id in candidates if layer_id not in needed]


def _is_doomed(layer_id: str, description: Mapping[str, Any] | None = None) -> bool:
    if description is None:
        description = layers.read_description(layer_id)
    if description is not None and description["kind"] == "fork":
        return True
    return (layers.layers_dir() / layer_id / RETIRED).exists()


def _is_free(host_path: Path) -> bool:
    """Whether no program has it locked, this one included."""
    try:
        fd = _open_lock(host_path)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def _hold(layer_id: str) -> None:
    fd, count = _held.get(layer_id, (-1, 0))
    if not count:
        path = layers.layers_dir() / layer_id
        os.stat(path / DESCRIPTION)
        fd = _open_lock(path)
        # Nobody has it exclusively: that is only for the making, and under the lock for all.
        fcntl.flock(fd, fcntl.LOCK_SH)
    _held[layer_id] = (fd, count + 1)


def _drop(layer_id: str) -> bool:
    """Whether this was this program's last use of it."""
    fd, count = _held.get(layer_id, (-1, 0))
    if count > 1:
        _held[layer_id] = (fd, count - 1)
        return False
    if count:
        del _held[layer_id]
        # Not unlocked: a fork of this program may share the lock.
        os.close(fd)
    return True


def _open_lock(host_path: Path) -> int:
    return os.open(host_path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextlib.contextmanager
def _all_layers() -> Iterator[None]:
    """Nobody else makes, takes or removes a layer meanwhile."""
    fd = _open_lock(layers.layers_dir())
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _remove(host_path: Path) -> None:
    """Remove a tree that a guest has made: any names, any modes, any depth; follows no link."""
    deadline = time.monotonic() + _REMOVAL_PATIENCE_S
    while True:
        try:
            _empty(host_path)
            host_path.rmdir()
            return
        except FileNotFoundError:
            # Somebody else is removing it too.
            if not host_path.exists():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            # The next program to sweep tries again.
            return
        time.sleep(0.01)


def _empty(host_path: Path) -> None:
    # What lies deeper is moved up first, so that no depth needs a descriptor or a long path.
    pending = [host_path]
    while pending:
        directory = pending.pop()
        os.chmod(directory, stat.S_IRWXU)
        with os.scandir(directory) as entries:
            children = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for path, is_directory in children:
            if not is_directory:
                os.unlink(path)
                continue
            os.chmod(path, stat.S_IRWXU)
            if directory == host_path:
                pending.append(Path(path))
            else:
                moved = host_path / f".moved-{os.urandom(8).hex()}"
                os.rename(path, moved)
                pending.append(moved)
        if directory != host_path:
            directory.rmdir()


def _forget_lock() -> None:
    global _lock
    _lock = threading.RLock()


# Another thread may have held it at the fork.
os.register_at_fork(after_in_child=_forget_lock)
