"""Which layers are there: making, using and removing them, and sweeping up what others left.

A layer that no program has locked is removed if it was never finished, was made for a fork, or was
deleted, and no other layer stands on it.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from localbox.engine import layer_locks, layers
from localbox.engine.data_dir import write_atomically
from localbox.engine.layer_locks import all_layers
from localbox.engine.layer_removal import remove_tree
from localbox.engine.layers import DESCRIPTION, RETIRED, Stack
from localbox.errors import NotEnoughSpaceException, NotFoundException, SandboxException

_TRASH = ".trash-"


class Use:
    """A hold on all layers of a stack; close it when they are not needed any more."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._open = True

    def close(self) -> bool:
        """Returns True if the stack is none any more: it went with this, its last use."""
        with all_layers():
            if not self._open:
                return False
            self._open = False
            ids = [layer.layer_id for layer in self.stack.layers]
            let_go = [layer_id for layer_id in ids if layer_locks.drop(layer_id)]
        if any(_is_doomed(layer_id) for layer_id in let_go):
            collect()
        return not layers.is_there(self.stack.layer_id)

    def __del__(self) -> None:
        if self._open:
            layer_locks.drop_later([layer.layer_id for layer in self.stack.layers])


class Draft:
    """A layer in the making.

    Attributes:
        fd: its directory, empty.
        parent_fd: the one with all layers.
    """

    def __init__(self) -> None:
        """
        Raises:
            NotEnoughSpaceException: there is no space for it.
            SandboxException: the data directory cannot be written.
        """
        sweep_once()
        self._open = False
        self._owner_pid = os.getpid()
        self.layer_id = layers.new_layer_id()
        self.host_path = layers.layers_dir() / self.layer_id
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        with _explained(), all_layers():
            _stop_using_at_exit()
            self.host_path.mkdir(mode=0o700)
            self._lock_fd = layer_locks.open_lock(self.host_path)
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX)
            self.fd = os.open(self.host_path, flags)
            self.parent_fd = os.open(self.host_path.parent, flags)
        self._open = True

    def commit(self, description: Mapping[str, Any]) -> Use:
        """Finish it; from here on it is a layer, and the caller's to use.

        Raises:
            NotEnoughSpaceException, SandboxException: as when it was begun.
        """
        content = json.dumps(dict(description)).encode("utf-8")
        with _explained(), all_layers():
            write_atomically(self.host_path / DESCRIPTION, content)
            stack = layers.load(self.layer_id)
            assert stack is not None
            for layer in stack.layers[:-1]:
                layer_locks.hold(layer.layer_id)
            layer_locks.hold_made(self.layer_id, self._lock_fd)
        self._close()
        return Use(stack)

    def abandon(self) -> None:
        """Remove it, whatever is in it."""
        self._close()
        trash = self.host_path.with_name(_TRASH + self.layer_id)
        os.rename(self.host_path, trash)
        os.close(self._lock_fd)
        remove_tree(trash)

    def _close(self) -> None:
        self._open = False
        os.close(self.fd)
        os.close(self.parent_fd)

    def __del__(self) -> None:
        # Whoever began it in a thread may have been cancelled before it came.
        if getattr(self, "_open", False) and self._owner_pid == os.getpid():
            self.abandon()


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = layers.layers_dir()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpaceException(f"{where}: the filesystem is full") from error
        raise SandboxException(f"cannot make a layer in {where}: {error}") from error


def hold(stack: Stack) -> Use:
    """Keep the layers of a stack from being removed.

    Raises:
        NotFoundException: one of them is gone already.
    """
    with all_layers():
        _stop_using_at_exit()
        held: list[str] = []
        try:
            for layer in stack.layers:
                layer_locks.hold(layer.layer_id)
                held.append(layer.layer_id)
        except FileNotFoundError:
            for layer_id in held:
                layer_locks.drop(layer_id)
            raise NotFoundException(f"layer {stack.layer_id} was deleted") from None
    return Use(stack)


def retire(layer_id: str) -> bool:
    """Delete a layer: it is not found any more, and removed once nothing needs it.

    Returns:
        False if it was not there.
    """
    with all_layers():
        if not layers.is_layer_id(layer_id) or not layers.is_there(layer_id):
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
    with all_layers():
        for layer_id in _unneeded(directory):
            with contextlib.suppress(FileNotFoundError):
                os.rename(directory / layer_id, directory / f"{_TRASH}{layer_id}")
    # Out of everybody's way by now; how long it takes depends on what was in them.
    for entry in os.listdir(directory):
        if entry.startswith(_TRASH):
            remove_tree(directory / entry)


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
        if doomed and layer_locks.is_free(directory / layer_id):
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


@functools.cache
def _stop_using_at_exit() -> None:
    atexit.register(_stop_using)


def _stop_using() -> None:
    """The program ends: first its sandboxes, and then what only they needed."""
    from localbox.engine.zygote_process import stop_zygotes

    stop_zygotes()
    layer_locks.drop_everything()
    with contextlib.suppress(OSError, SandboxException):
        collect()
