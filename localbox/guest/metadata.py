"""A file's metadata: extended attributes `user.e2b.*`, as E2B's sandboxes keep it. See xattr(7).

Before Linux 6.6 a tmpfs has no such attributes; what a client sets is then remembered here.
"""

from __future__ import annotations

import errno
import os

_PREFIX = "user.e2b."
# So many files' worth is remembered where attributes cannot be had; the oldest go first.
_REMEMBERED = 10_000
# Guest code may set more than fits in a message; a client can set 64 KiB.
_READ_BYTES = 256 * 1024
_remembered: dict[tuple[int, int, int], dict[str, str]] = {}


def read(path: str, info: os.stat_result) -> dict[str, str] | None:
    """The metadata of what is at `path`, whose lstat(2) is `info`; None if it has none."""
    if _remembered and (notes := _remembered.get(_key(info))):
        return notes
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return None
    notes = {}
    left = _READ_BYTES
    for name in names:
        if name.startswith(_PREFIX) and left > 0:
            try:
                value = os.getxattr(path, name, follow_symlinks=False)
            except OSError:
                continue  # taken away in the meantime
            left -= len(name) + len(value)
            notes[name[len(_PREFIX) :]] = value.decode("utf-8", "replace")
    return notes or None


def write(fd: int, notes: dict[str, str]) -> None:
    """Give an open file this metadata in place of what it had.

    Raises:
        OSError: it does not fit.
    """
    try:
        for name in os.listxattr(fd):
            if name.startswith(_PREFIX) and name[len(_PREFIX) :] not in notes:
                os.removexattr(fd, name)
        for key, value in notes.items():
            os.setxattr(fd, _PREFIX + key, value.encode())
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        key_of_file = _key(os.fstat(fd))
        _remembered.pop(key_of_file, None)
        _remembered[key_of_file] = dict(notes)
        if len(_remembered) > _REMEMBERED:
            del _remembered[next(iter(_remembered))]


def _key(info: os.stat_result) -> tuple[int, int, int]:
    # With the kind of file: a tmpfs may in time give an inode's number to another.
    return info.st_dev, info.st_ino, info.st_mode & 0o170000
