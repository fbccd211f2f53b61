"""Reads, writes and removes what is in a volume, from the host, beside sandboxes that change it.

Paths are resolved by engine/beneath.py, which does not leave the volume. What is opened is looked
at afterwards: only regular files are read and written, and nothing is waited for.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from localbox.engine import beneath, volume_ids
from localbox.engine.copying import read_whole
from localbox.engine.volumes import StoredVolume
from localbox.errors import (
    InvalidArgumentException,
    NotEnoughSpaceException,
    TimeoutException,
    VolumeException,
    VolumeNotFoundException,
    VolumePathNotFoundException,
)
from localbox.transport.wire import OwnedFd
from localbox.volume_models import VolumeEntryStat, VolumeFileType

# Of a file read in one piece, and of a listing. A guest can make a file of any size that costs it
# nothing, and the host would have to hold it.
LARGEST_WHOLE_BYTES = 2 << 30
MOST_ENTRIES = 1_000_000

# No more: mounts are nosuid, and on the host such a file would be a gift.
_MODE_BITS = 0o1777


def get_info(volume: StoredVolume, path: str) -> VolumeEntryStat:
    """Of a link itself."""
    with _at(volume, path, "look at", follow=False) as place:
        return _describe(place.directory_fd, place.name, place.path, place.stat())


def list_entries(
    volume: StoredVolume, path: str, depth: int, give_up_at: float | None
) -> list[VolumeEntryStat]:
    found: list[VolumeEntryStat] = []

    def collect(directory_fd: int, name: str, path: str, levels: int) -> None:
        if path.count("/") > beneath.DEEPEST:
            raise OSError(errno.ENAMETOOLONG, f"more than {beneath.DEEPEST} directories deep")
        with beneath.opened(directory_fd, name) as fd:
            for child in _names(fd):
                _check_time(give_up_at, "list", path)
                child_path = f"{path.rstrip('/')}/{child}"
                # It may be gone by now, or not for us to read.
                with contextlib.suppress(FileNotFoundError):
                    status = os.stat(child, dir_fd=fd, follow_symlinks=False)
                    found.append(_describe(fd, child, child_path, status))
                    _check_count(len(found))
                    if levels > 1 and stat.S_ISDIR(status.st_mode):
                        with contextlib.suppress(PermissionError, NotADirectoryError):
                            collect(fd, child, child_path, levels - 1)

    with _at(volume, path, "list") as place:
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
    ids = _checked(uid, gid, mode)
    make = _make_parent if force else None
    with _at(volume, path, "make the directory", make=make) as place:
        try:
            os.mkdir(place.name, 0o700, dir_fd=place.directory_fd)
        except FileExistsError:
            if not force or not stat.S_ISDIR(place.stat().st_mode):
                raise
        else:
            mode = 0o755 if mode is None else mode
        _apply(place, ids, mode)
        return _describe(place.directory_fd, place.name, place.path, place.stat())


def update_metadata(
    volume: StoredVolume, path: str, uid: int | None, gid: int | None, mode: int | None
) -> VolumeEntryStat:
    ids = _checked(uid, gid, mode)
    with _at(volume, path, "change") as place:
        _apply(place, ids, mode)
        return _describe(place.directory_fd, place.name, place.path, place.stat())


def read(volume: StoredVolume, path: str) -> bytearray:
    """All of a file, as long as it was when this began."""
    fd = open_read(volume, path)
    try:
        with _translated(volume, path, "read"):
            if os.fstat(fd).st_size > LARGEST_WHOLE_BYTES:
                text = f'it has more than {LARGEST_WHOLE_BYTES} bytes; use format="stream"'
                raise OSError(errno.EFBIG, text)
            return read_whole(fd)
    finally:
        os.close(fd)


def open_read(volume: StoredVolume, path: str) -> int:
    """A descriptor of a regular file."""
    with _at(volume, path, "read") as place:
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
    ids = _checked(uid, gid, mode)
    make = _make_parent if force else None
    with _at(volume, path, "write", make=make) as place:
        if place.is_top:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        try:
            fd = place.open(os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            mode = 0o644 if mode is None else mode
        except FileExistsError:
            fd = place.open(os.O_WRONLY)
        try:
            _check_regular(fd)
            _set(fd, ids, mode)
            os.ftruncate(fd, 0)
        except BaseException:
            os.close(fd)
            raise
        return OwnedFd(fd)


def append(volume: StoredVolume, file: OwnedFd, data: bytes, offset: int, path: str) -> int:
    """Write all of `data` at `offset`; the offset after it."""
    view = memoryview(data)
    with _translated(volume, path, "write"):
        while view:
            count = os.pwrite(file.fileno(), view, offset)
            offset += count
            view = view[count:]
    return offset


def describe_open(file: OwnedFd, path: str) -> VolumeEntryStat:
    """Of what was written, even if something else has its name by now."""
    path = "/" + "/".join(name for name in path.split("/") if name not in ("", "."))
    return _to_stat(os.path.basename(path), path, os.fstat(file.fileno()), None)


def remove(volume: StoredVolume, path: str, give_up_at: float | None) -> None:
    with _at(volume, path, "remove", follow=False) as place:
        if place.is_top:
            raise OSError(errno.EBUSY, "it is the volume itself; Volume.destroy removes that")
        beneath.remove(
            place.directory_fd, place.name, lambda: _check_time(give_up_at, "remove", path)
        )


@contextlib.contextmanager
def _at(
    volume: StoredVolume,
    path: str,
    what: str,
    *,
    follow: bool = True,
    make: Callable[[int, str], None] | None = None,
) -> Iterator[beneath.Place]:
    if not isinstance(path, str) or "\0" in path:
        raise InvalidArgumentException(f"a path in a volume must be a str without NUL: {path!r}")
    try:
        top_fd = os.open(volume.content, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise VolumeNotFoundException(f"volume {volume.name!r} was destroyed") from None
    try:
        with (
            _translated(volume, path, what),
            beneath.walk(top_fd, path, follow=follow, make=make) as place,
        ):
            yield place
    finally:
        os.close(top_fd)


@contextlib.contextmanager
def _translated(volume: StoredVolume, path: str, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        subject = f"{path!r} in volume {volume.name!r}"
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise VolumePathNotFoundException(
                f"cannot {what} {subject}: {error.strerror}"
            ) from None
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NotEnoughSpaceException(
                f"cannot {what} {subject}: the host's disk is full"
            ) from None
        raise VolumeException(f"cannot {what} {subject}: {error.strerror or error}") from None


def _check_time(give_up_at: float | None, what: str, path: str) -> None:
    if give_up_at is not None and time.monotonic() > give_up_at:
        raise TimeoutException(f"cannot {what} {path!r} in time; see request_timeout")


def _check_regular(fd: int) -> None:
    mode = os.fstat(fd).st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def _make_parent(directory_fd: int, name: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=directory_fd)


def _checked(uid: int | None, gid: int | None, mode: int | None) -> tuple[int, int]:
    """The host's ids, -1 where none is to be set."""
    if mode is not None and (not isinstance(mode, int) or not 0 <= mode <= _MODE_BITS):
        shown = oct(mode) if isinstance(mode, int) else repr(mode)
        raise InvalidArgumentException(
            f"mode must be permission bits, such as 0o644, without set-uid and set-gid; not {shown}"
        )
    return volume_ids.to_host_uid(uid), volume_ids.to_host_gid(gid)


def _apply(place: beneath.Place, ids: tuple[int, int], mode: int | None) -> None:
    if ids == (-1, -1) and mode is None:
        return
    fd = place.open(os.O_PATH)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError(errno.ELOOP, "it has just become a link")
        _set(fd, ids, mode)
    finally:
        os.close(fd)


def _set(fd: int, ids: tuple[int, int], mode: int | None) -> None:
    # By this name, which leads to what is open and nothing else: O_PATH will do then, and that
    # needs no permission to read the file.
    opened = f"/proc/self/fd/{fd}"
    if ids != (-1, -1):
        os.chown(opened, *ids)
    if mode is not None:
        os.chmod(opened, mode)


def _describe(directory_fd: int, name: str, path: str, status: os.stat_result) -> VolumeEntryStat:
    target = None
    if stat.S_ISLNK(status.st_mode):
        with contextlib.suppress(OSError):
            target = os.readlink(name, dir_fd=directory_fd)
    return _to_stat(os.path.basename(path) or "/", path, status, target)


_TYPES = {
    stat.S_IFDIR: VolumeFileType.DIRECTORY,
    stat.S_IFREG: VolumeFileType.FILE,
    stat.S_IFLNK: VolumeFileType.SYMLINK,
}


def _to_stat(name: str, path: str, status: os.stat_result, target: str | None) -> VolumeEntryStat:
    return VolumeEntryStat(
        name=name,
        type=_TYPES.get(stat.S_IFMT(status.st_mode), VolumeFileType.UNKNOWN),
        path=path,
        size=status.st_size,
        mode=stat.S_IMODE(status.st_mode),
        uid=volume_ids.to_guest_uid(status.st_uid),
        gid=volume_ids.to_guest_gid(status.st_gid),
        atime=_moment(status.st_atime),
        mtime=_moment(status.st_mtime),
        ctime=_moment(status.st_ctime),
        target=target,
    )


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        # A guest chooses its files' times, and not every one is a date.
        return datetime(9999, 12, 31, tzinfo=UTC) if seconds > 0 else datetime(1, 1, 1, tzinfo=UTC)
