"""File operations as the sandbox's user, inside, where the kernel confines every path.

The host never resolves a guest path: it gets answers, or an open descriptor to copy through.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator

from localbox.guest import metadata

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# How much of descriptions goes into one message, counted in characters; JSON may write six bytes
# for one, and a message has at most 8 MiB.
BATCH_WEIGHT = 256 * 1024

_NAMES = {0: "root", 1000: "user"}

# What a caller's mistake looks like; anything else is the sandbox's own trouble.
_KINDS = {
    errno.ENOENT: "file_not_found",
    errno.ENOTDIR: "invalid_argument",
    errno.EISDIR: "invalid_argument",
    errno.EINVAL: "invalid_argument",
    errno.ENAMETOOLONG: "invalid_argument",
    errno.ELOOP: "invalid_argument",
    errno.ENOSPC: "no_space",
    errno.EDQUOT: "no_space",
    errno.EFBIG: "no_space",
}


def error_kind(number: int | None) -> str:
    return _KINDS.get(number or 0, "internal")


def describe(path: str) -> dict[str, Any]:
    """What E2B calls an EntryInfo. See lstat(2).

    Raises:
        OSError: there is no such path.
    """
    info = os.lstat(path)
    entry: dict[str, Any] = {
        "name": os.path.basename(path),
        "path": path,
        "type": _kind(info.st_mode),
        "size": info.st_size,
        "mode": stat.S_IMODE(info.st_mode),
        "permissions": _permissions(info.st_mode),
        "owner": _NAMES.get(info.st_uid, str(info.st_uid)),
        "group": _NAMES.get(info.st_gid, str(info.st_gid)),
        "modified_ns": info.st_mtime_ns,
        "symlink_target": None,
        "metadata": metadata.read(path, info),
    }
    if stat.S_ISLNK(info.st_mode):
        entry["symlink_target"] = os.path.realpath(path)
        try:
            # E2B gives the mode of what a link leads to.
            entry["mode"] = stat.S_IMODE(os.stat(path).st_mode)
        except OSError:
            pass
    return entry


def weight(entry: dict[str, Any]) -> int:
    """How much room a description takes in a message, in characters, roughly."""
    notes = entry["metadata"] or {}
    return (
        300
        + len(entry["path"])
        + len(entry["name"])
        + len(entry["symlink_target"] or "")
        + sum(len(key) + len(value) for key, value in notes.items())
    )


def batched(
    items: Iterable[dict[str, Any]], weigh: Callable[[dict[str, Any]], int]
) -> Iterator[list[dict[str, Any]]]:
    """As many at a time as fit in a message; at least one."""
    batch: list[dict[str, Any]] = []
    total = 0
    for item in items:
        batch.append(item)
        total += weigh(item)
        if total >= BATCH_WEIGHT:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


def walk(path: str, depth: int) -> Iterator[dict[str, Any]]:
    """Entries below a directory, `depth` levels deep, parents before children, links not followed.

    Raises:
        OSError: the directory itself cannot be read; a directory below that cannot is left out.
    """
    pending = [(path, depth)]
    first = True
    while pending:
        directory, levels = pending.pop()
        try:
            with os.scandir(directory) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError:
            if first:
                raise
            continue
        first = False
        below = []
        for entry in entries:
            try:
                yield describe(entry.path)
                if levels > 1 and entry.is_dir(follow_symlinks=False):
                    below.append((entry.path, levels - 1))
            except OSError:
                continue  # gone in the meantime
        pending.extend(reversed(below))


def make_directory(path: str) -> bool:
    """mkdir -p; False if it was there."""
    try:
        os.makedirs(path)
    except FileExistsError:
        if os.path.isdir(path):
            return False
        raise NotADirectoryError(errno.ENOTDIR, "exists and is not a directory", path) from None
    return True


def remove(path: str) -> None:
    """rm -rf: what is not there is not an error."""
    try:
        if os.path.isdir(path) and not os.path.islink(path):
            # Imported when needed: it brings three compression libraries along, whose mappings
            # every fork of the zygote would have to copy.
            import shutil

            shutil.rmtree(path)
        else:
            os.unlink(path)
    except FileNotFoundError:
        pass


def rename(old_path: str, new_path: str) -> dict[str, Any]:
    os.lstat(old_path)
    make_directory(os.path.dirname(new_path))
    try:
        os.rename(old_path, new_path)
    except OSError as error:
        # Another mount, or a directory of an overlay's lower layer.
        if error.errno != errno.EXDEV:
            raise
        import shutil

        shutil.move(old_path, new_path)
    return describe(new_path)


def open_to_read(path: str) -> int:
    """A descriptor of a regular file.

    Raises:
        OSError: it cannot be opened, or is something other than a regular file.
    """
    # O_NONBLOCK: a FIFO or a terminal would otherwise hold the agent until somebody writes.
    return _regular(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), path)


def open_to_write(path: str, notes: dict[str, str] | None = None) -> int:
    """A descriptor of a regular file; it and its parents are made as needed.

    Not emptied: the host does that once it knows that the new content fits.

    Args:
        notes: the metadata it shall have from now on; None leaves it as it is.
    """
    make_directory(os.path.dirname(path))
    flags = os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    fd = _regular(os.open(path, flags, 0o644), path)
    if notes is not None:
        try:
            metadata.write(fd, notes)
        except BaseException:
            os.close(fd)
            raise
    return fd


def _regular(fd: int, path: str) -> int:
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory", path)
    raise OSError(errno.EINVAL, "is not a regular file", path)


def _kind(mode: int) -> str:
    if stat.S_ISLNK(mode):
        return "symlink"
    return "dir" if stat.S_ISDIR(mode) else "file"


def _permissions(mode: int) -> str:
    """As Go prints a mode: "-rw-r--r--", "drwxr-xr-x", "Lrwxrwxrwx"."""
    text = stat.filemode(mode)
    return ("L" if text[0] == "l" else text[0]) + text[1:]
