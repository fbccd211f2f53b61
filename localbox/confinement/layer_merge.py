"""Joins layers into one that says the same, so that no sandbox stands on too many.

A file of the new layer is another link to the old one's: layers never change, so nothing is copied.
What the layers hide of what is below them stays hidden by the joint one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from localbox.confinement.layer_copy import CopyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE = "user.overlay.opaque"


def merge_layers(
    layers: Sequence[tuple[str, Sequence[tuple[str, str, int]]]], root_fd: int, target: str
) -> dict[str, Any]:
    """Fill an empty layer with what others amount to.

    Args:
        layers: id and parts of each, the lowest first.
        root_fd: the directory that has all of them, and `target`.

    Returns:
        The new layer's parts.

    Raises:
        CopyError: there is no space for it.
    """
    places = {path: mode for _layer_id, parts in layers for path, _directory, mode in parts}
    merged: list[tuple[str, str, int]] = []
    for number, (guest_path, mode) in enumerate(places.items()):
        with contextlib.ExitStack() as stack:
            sources = []
            for layer_id, parts in reversed(layers):
                for path, directory, _mode in parts:
                    if path == guest_path:
                        fd = os.open(f"{layer_id}/{directory}", _DIRECTORY, dir_fd=root_fd)
                        stack.callback(os.close, fd)
                        sources.append(fd)
            name = f"{target}/{number}"
            os.mkdir(name, 0o700, dir_fd=root_fd)
            target_fd = os.open(name, _DIRECTORY, dir_fd=root_fd)
            stack.callback(os.close, target_fd)
            try:
                _merge(sources, target_fd)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise CopyError("no_space", "the data directory's filesystem is full") from None
                raise
        merged.append((guest_path, str(number), mode))
    return {"parts": merged}


def _merge(sources: Sequence[int], target_fd: int, *, hides: bool = False) -> None:
    """
    Args:
        sources: directories that lie over each other, the topmost first.
        hides: what is below all of them is not to be seen through the new one.
    """
    topmost: dict[str, int] = {}
    for fd in sources:
        for name in os.listdir(fd):
            topmost.setdefault(name, fd)
    for name, fd in topmost.items():
        status = os.stat(name, dir_fd=fd, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            _merge_directory(sources[sources.index(fd) :], name, target_fd)
        elif stat.S_ISCHR(status.st_mode):
            os.mknod(name, stat.S_IFCHR, 0, dir_fd=target_fd)
        else:
            os.link(name, name, src_dir_fd=fd, dst_dir_fd=target_fd, follow_symlinks=False)
    _copy_notes(sources[0], target_fd)
    if hides:
        os.setxattr(target_fd, _OPAQUE, b"y")
    status = os.fstat(sources[0])
    os.fchmod(target_fd, stat.S_IMODE(status.st_mode))
    os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _merge_directory(below: Sequence[int], name: str, target_fd: int) -> None:
    with contextlib.ExitStack() as stack:
        sources: list[int] = []
        hides = False
        for fd in below:
            try:
                inner_fd = os.open(name, _DIRECTORY, dir_fd=fd)
            except FileNotFoundError:
                continue
            except OSError as error:
                # A file, a link, or a mark that it was deleted: nothing below counts.
                if error.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
                hides = True
                break
            stack.callback(os.close, inner_fd)
            sources.append(inner_fd)
            if _is_opaque(inner_fd):
                hides = True
                break
        os.mkdir(name, 0o700, dir_fd=target_fd)
        made_fd = os.open(name, _DIRECTORY, dir_fd=target_fd)
        stack.callback(os.close, made_fd)
        _merge(sources, made_fd, hides=hides)


def _copy_notes(source_fd: int, target_fd: int) -> None:
    for name in os.listxattr(source_fd):
        if name.startswith("user."):
            os.setxattr(target_fd, name, os.getxattr(source_fd, name))


def _is_opaque(fd: int) -> bool:
    try:
        return os.getxattr(fd, _OPAQUE) == b"y"
    except OSError:
        return False
