"""Reads, writes and removes what is in a volume, from the host, beside sandboxes that change it.

Paths are resolved by engine/beneath.py, which does not leave the volume. What is opened is looked
at afterwards: only regular files are read and written, and nothing is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from localbox.engine import beneath
from localbox.engine.copying import read_whole
from localbox.engine.volume_access import (
    apply_metadata,
    check_time,
    checked_metadata,
    describe,
    entered,
    make_parent,
    set_metadata,
    to_stat,
    translated,
)
from localbox.engine.volumes import StoredVolume
from localbox.transport.wire import OwnedFd
from localbox.volume_models import VolumeEntryStat

# Of a file read in one piece, and of a listing. A guest can make a file of any size that costs it
# nothing, and the host would have to hold it.
LARGEST_WHOLE_BYTES = 2 << 30
MOST_ENTRIES = 1_000_000


def get_info(volume: StoredVolume, path: str) -> VolumeEntryStat:
    """Of a link itself."""
    with entered(volume, path, "look at", follow=False) as place:
        return describe(place.directory_fd, place.name, place.path, place.stat())


def list_entries(
    volume: StoredVolume, path: str, depth: int, give_up_at: float | None
) -> list[VolumeEntryStat]:
    found: list[VolumeEntryStat] = []

    def collect(directory_fd: int, name: str, path: str, levels: int) -> None:
        if path.count("/") > beneath.DEEPEST:
            raise OSError(errno.ENAMETOOLONG, f"more than {beneath.DEEPEST} directories deep")
        with beneath.opened(directory_fd, name) as fd:
            for child in _names(fd):
                check_time(give_up_at, "list", path)
                child_path = f"{path.rstrip('/')}/{child}"
                # It may be gone by now, or not for us to read.
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(child, dir_fd=fd, follow_symlinks=False)
                    found.append(describe(fd, child, child_path, status))
                    _check_count(len(found))
                    if levels > 1 and stat.S_ISDIR(status.st_mode):
                        with contextlib.suppress(PermissionError, NotADirectoryError):
                            collect(fd, child, child_path, levels - 1)

    with entered(volume, path, "list") as place:
        collect(place.directory_fd, place.name, place.path, depth)
    return found


def _names(directory_fd: int) -> list[str]:
    names: list[str] = []
    with os.scandir(directory_fd) as entries:
        for entry in entries:
            names.append(entry.name)
            _check_count(len(names))
    names.sort()
    return names


def _check_count(count: int) -> None:
    if count > MOST_ENTRIES:
        raise OSError(errno.EFBIG, f"there are more than {MOST_ENTRIES} entries")


def make_dir(
    volume: StoredVolume,
    path: str,
    uid: int | None,
    gid: int | None,
    mode: int | None,
    force: bool | None,
) -> VolumeEntryStat:
    ids = checked_metadata(uid, gid, mode)
    make = make_parent if force else None
    with entered(volume, path, "make the directory", make=make) as place:
        try:
            os.mkdir(place.name, 0o700, dir_fd=place.directory_fd)
        except FileExistsError:
            if not force or not stat.S_ISDIR(place.stat().st_mode):
                raise
        else:
            mode = 0o755 if mode is None else mode
        apply_metadata(place, ids, mode)
        return describe(place.directory_fd, place.name, place.path, place.stat())


def update_metadata(
    volume: StoredVolume, path: str, uid: int | None, gid: int | None, mode: int | None
) -> VolumeEntryStat:
    ids = checked_metadata(uid, gid, mode)
    with entered(volume, path, "change") as place:
        apply_metadata(place, ids, mode)
        return describe(place.directory_fd, place.name, place.path, place.stat())


def read(volume: StoredVolume, path: str) -> bytearray:
    """All of a file, as long as it was when this began."""
    fd = open_read(volume, path)
    try:
        with translated(volume, path, "read"):
            if os.fstat(fd).st_size > LARGEST_WHOLE_BYTES:
                text = f'it has more than {LARGEST_WHOLE_BYTES} bytes; use format="stream"'
                raise OSError(errno.EFBIG, text)
            return read_whole(fd)
    finally:
        os.close(fd)


def open_read(volume: StoredVolume, path: str) -> int:
    """A descriptor of a regular file."""
    with entered(volume, path, "read") as place:
        fd = place.open(os.O_RDONLY)
        try:
            _check_regular(fd)
        except BaseException:
            os.close(fd)
            raise
        return fd


def write(
    volume: StoredVolume,
    path: str,
    data: bytes,
    uid: int | None,
    gid: int | None,
    mode: int | None,
    force: bool | None,
) -> VolumeEntryStat:
    file = open_write(volume, path, uid, gid, mode, force)
    append(volume, file, data, 0, path)
    return describe_open(file, path)


def open_write(
    volume: StoredVolume,
    path: str,
    uid: int | None,
    gid: int | None,
    mode: int | None,
    force: bool | None,
) -> OwnedFd:
    """A regular file, empty now; made if it was not there.

    Open for as long as anybody holds it, which may be a thread that nobody waits for any more.
    """
    ids = checked_metadata(uid, gid, mode)
    make = make_parent if force else None
    with entered(volume, path, "write", make=make) as place:
        if place.is_top:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            fd = place.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            mode = 0o644 if mode is None else mode
        except FileExistsError:
            fd = place.open(os.O_WRONLY)
        try:
            _check_regular(fd)
            set_metadata(fd, ids, mode)
            os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
        return OwnedFd(fd)


def append(volume: StoredVolume, file: OwnedFd, data: bytes, offset: int, path: str) -> int:
    """Write all of `data` at `offset`; the offset after it."""
    view = memoryview(data)
    with translated(volume, path, "write"):
        while view:
            count = os.pwrite(file.fileno(), view, offset)
            offset += count
            view = view[count:]
    return offset


def describe_open(file: OwnedFd, path: str) -> VolumeEntryStat:
    """Of what was written, even if something else has its name by now."""
    path = "/" + "/".join(name for name in path.split("/") if name not in ("", "."))
    return to_stat(os.path.basename(path), path, os.fstat(file.fileno()), None)


def remove(volume: StoredVolume, path: str, give_up_at: float | None) -> None:
    with entered(volume, path, "remove", follow=False) as place:
        if place.is_top:
            raise OSError(errno.EBUSY, "it is the volume itself; Volume.destroy removes that")
        beneath.remove(
            place.directory_fd, place.name, lambda: check_time(give_up_at, "remove", path)
        )


def _check_regular(fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")
