"""The way into a volume from the host, and what it says of what is there.

Errors of the kernel become E2B's here, once for all; owners become those that sandboxes see.
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
from localbox.engine.volumes import StoredVolume
from localbox.errors import (
    InvalidArgumentException,
    NotEnoughSpaceException,
    TimeoutException,
    VolumeException,
    VolumeNotFoundException,
    VolumePathNotFoundException,
)
from localbox.volume_models import VolumeEntryStat, VolumeFileType

# No more: mounts are nosuid, and on the host such a file would be a gift.
_MODE_BITS = 0o1777


@contextlib.contextmanager
def entered(
    volume: StoredVolume,
    path: str,
    what: str,
    *,
    follow: bool = True,
    make: Callable[[int, str], None] | None = None,
) -> Iterator[beneath.Place]:
    """Where `path` is in the volume, for as long as the block lasts; see beneath.walk.

    Args:
        what: is done there, for the message of what goes wrong in the block.

    Raises:
        VolumeNotFoundException: there is no such volume any more.
        VolumePathNotFoundException: there is no such path.
        VolumeException: it cannot be done.
    """
    if not isinstance(path, str) or "\0" in path:
        raise InvalidArgumentException(f"a path in a volume must be a str without NUL: {path!r}")
    try:
        top_fd = os.open(volume.content, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise VolumeNotFoundException(f"volume {volume.name!r} was destroyed") from None
    try:
        with (
            translated(volume, path, what),
            beneath.walk(top_fd, path, follow=follow, make=make) as place,
        ):
            yield place
    finally:
        os.close(top_fd)


@contextlib.contextmanager
def translated(volume: StoredVolume, path: str, what: str) -> Iterator[None]:
    """What the kernel says in the block, in E2B's exceptions."""
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


def check_time(give_up_at: float | None, what: str, path: str) -> None:
    """
    Raises:
        TimeoutException: it is later than `give_up_at`, on the monotonic clock.
    """
    if give_up_at is not None and time.monotonic() > give_up_at:
        raise TimeoutException(f"cannot {what} {path!r} in time; see request_timeout")


def make_parent(directory_fd: int, name: str) -> None:
    """For beneath.walk: a directory that is missing on the way is made."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=directory_fd)


def checked_metadata(uid: int | None, gid: int | None, mode: int | None) -> tuple[int, int]:
    """The host's ids, -1 where none is to be set.

    Raises:
        InvalidArgumentException: no ids, or no permissions.
        VolumeException: an ordinary user cannot give files to others.
    """
    if mode is not None and (not isinstance(mode, int) or not 0 <= mode <= _MODE_BITS):
        shown = oct(mode) if isinstance(mode, int) else repr(mode)
        raise InvalidArgumentException(
            f"mode must be permission bits, such as 0o644, without set-uid and set-gid; not {shown}"
        )
    return volume_ids.to_host_uid(uid), volume_ids.to_host_gid(gid)


def apply_metadata(place: beneath.Place, ids: tuple[int, int], mode: int | None) -> None:
    if ids == (-1, -1) and mode is None:
        return
    fd = place.open(os.O_PATH)
    try:
        if stat.S_ISLNK(os.fstat(fd).st_mode):
            raise OSError(errno.ELOOP, "it has just become a link")
        set_metadata(fd, ids, mode)
    finally:
        os.close(fd)


def set_metadata(fd: int, ids: tuple[int, int], mode: int | None) -> None:
    # By this name, which leads to what is open and nothing else: O_PATH will do then, and that
    # needs no permission to read the file.
    opened = f"/proc/self/fd/{fd}"
    if ids != (-1, -1):
        os.chown(opened, *ids)
    if mode is not None:
        os.chmod(opened, mode)


def describe(directory_fd: int, name: str, path: str, status: os.stat_result) -> VolumeEntryStat:
    target = None
    if stat.S_ISLNK(status.st_mode):
        with contextlib.suppress(OSError):
            target = os.readlink(name, dir_fd=directory_fd)
    return to_stat(os.path.basename(path) or "/", path, status, target)


_TYPES = {
    stat.S_IFDIR: VolumeFileType.DIRECTORY,
    stat.S_IFREG: VolumeFileType.FILE,
    stat.S_IFLNK: VolumeFileType.SYMLINK,
}


def to_stat(name: str, path: str, status: os.stat_result, target: str | None) -> VolumeEntryStat:
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
