"""The user's volumes: a directory for each, `volumes/NAME/ID` in the data directory.

The directory ID is what sandboxes see. NAME, which they do not, makes names unique and carries the
lock that says whether the volume is in use; what is on its way in or out begins with a dot. Every
change is one rename, so programs need no agreement but that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localbox.engine import beneath
from localbox.engine.data_dir import subdirectory
from localbox.errors import VolumeException, VolumeNotFoundException
from localbox.volume_models import VolumeInfo

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class StoredVolume:
    """One volume; that it was there does not mean that it still is."""

    store: Path
    name: str
    volume_id: str

    @property
    def content(self) -> Path:
        """The directory sandboxes see; what is in it is theirs, and to be distrusted."""
        return self.store / self.name / self.volume_id

    def to_info(self) -> VolumeInfo:
        return VolumeInfo(volume_id=self.volume_id, name=self.name)


def create(name: str) -> StoredVolume:
    """
    Raises:
        VolumeException: there is one of that name, or it cannot be a name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise VolumeException(
            f"a volume's name has 1 to 128 letters, digits, '-' and '_'; {name!r} is none"
        )
    volume = StoredVolume(_store(), name, _new_id())
    _sweep(volume.store)
    with _directory_fd(volume.store) as store_fd:
        while not _place(store_fd, volume):
            pass
    return volume


def _place(store_fd: int, volume: StoredVolume) -> bool:
    """Make the volume's directories; False if that has to be begun again."""
    temporary = f".new-{os.urandom(8).hex()}"
    os.mkdir(temporary, 0o700, dir_fd=store_fd)
    try:
        with _locked(store_fd, temporary, fcntl.LOCK_SH) as fd:
            # 0755 whatever the program's umask is: it is the sandboxes' to change.
            os.mkdir(volume.volume_id, 0o700, dir_fd=fd)
            os.chmod(volume.volume_id, 0o755, dir_fd=fd)
            # A directory that is not empty is never replaced.
            os.rename(temporary, volume.name, src_dir_fd=store_fd, dst_dir_fd=store_fd)
    except (FileNotFoundError, BlockingIOError):
        # Somebody sweeps, and saw it before it was locked.
        return False
    except OSError as error:
        # Somebody may have swept it by now.
        with contextlib.suppress(FileNotFoundError):
            beneath.remove(store_fd, temporary, _no_limit)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise VolumeException(
                f"there is a volume {volume.name!r} already; connect to it by its id, which "
                "Volume.list() tells, or destroy it first"
            ) from None
        raise VolumeException(f"cannot make a volume in {volume.store}: {error}") from error
    return True


def all_volumes() -> list[StoredVolume]:
    """By name."""
    store = _store()
    found = (_stored(store, name) for name in sorted(os.listdir(store)))
    return [volume for volume in found if volume is not None]


def find_by_name(name: str) -> StoredVolume:
    """
    Raises:
        VolumeNotFoundException: there is none.
    """
    volume = _stored(_store(), name) if _NAME.fullmatch(name) else None
    if volume is None:
        raise VolumeNotFoundException(
            f"there is no volume {name!r}; make it with Volume.create({name!r})"
        )
    return volume


def find_by_id(volume_id: str) -> StoredVolume:
    """
    Raises:
        VolumeNotFoundException: there is none.
    """
    for volume in all_volumes():
        if volume.volume_id == volume_id:
            return volume
    raise VolumeNotFoundException(f"there is no volume with the id {volume_id!r}")


def at(name: str, volume_id: str) -> StoredVolume:
    """What a Volume object says it is.

    Raises:
        VolumeNotFoundException: it cannot be.
    """
    if not _NAME.fullmatch(name) or not _ID.fullmatch(volume_id):
        raise VolumeNotFoundException(f"there is no volume {name!r} with the id {volume_id!r}")
    return StoredVolume(_store(), name, volume_id)


def destroy(volume_id: str) -> bool:
    """Remove a volume and all that is in it; False if there is none.

    Raises:
        VolumeException: a running sandbox has it mounted.
    """
    try:
        volume = find_by_id(volume_id)
    except VolumeNotFoundException:
        return False
    doomed = f".gone-{os.urandom(8).hex()}"
    with _directory_fd(volume.store) as store_fd:
        try:
            with _locked(store_fd, volume.name, fcntl.LOCK_EX) as fd:
                # Destroyed, and made again by another, before we had the lock.
                os.stat(volume_id, dir_fd=fd)
                if not _is_same(fd, store_fd, volume.name):
                    return False
                os.rename(volume.name, doomed, src_dir_fd=store_fd, dst_dir_fd=store_fd)
                beneath.remove(store_fd, doomed, _no_limit)
        except BlockingIOError:
            raise VolumeException(
                f"volume {volume.name!r} is mounted in a running sandbox; kill that first"
            ) from None
        except FileNotFoundError:
            return False
    _sweep(volume.store)
    return True


def _store() -> Path:
    store = subdirectory("volumes")
    if store.stat().st_mode & 0o077:
        # Guests decide what is in volumes, and of what mode. Other users shall not get at it.
        store.chmod(0o700)
    return store


def _stored(store: Path, name: str) -> StoredVolume | None:
    if not _NAME.fullmatch(name):
        return None
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for volume_id in os.listdir(store / name):
            if _ID.fullmatch(volume_id):
                return StoredVolume(store, name, volume_id)
    return None


def _new_id() -> str:
    text = os.urandom(16).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _sweep(store: Path) -> None:
    """Remove what programs that were killed half-way have left."""
    with _directory_fd(store) as store_fd:
        for name in os.listdir(store_fd):
            if not name.startswith("."):
                continue
            # Locked: whoever made it is still at work. Gone: somebody else has swept.
            with (
                contextlib.suppress(BlockingIOError, FileNotFoundError, NotADirectoryError),
                _locked(store_fd, name, fcntl.LOCK_EX),
            ):
                beneath.remove(store_fd, name, _no_limit)


@contextlib.contextmanager
def _directory_fd(host_path: Path) -> Iterator[int]:
    fd = os.open(host_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(store_fd: int, name: str, kind: int) -> Iterator[int]:
    """The kernel lets go of the lock with the descriptor, whatever becomes of this program.

    Raises:
        BlockingIOError: somebody else has a lock that does not go with it.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, dir_fd=store_fd)
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
        yield fd
    finally:
        os.close(fd)


def _is_same(fd: int, store_fd: int, name: str) -> bool:
    return os.path.samestat(os.fstat(fd), os.stat(name, dir_fd=store_fd))


_no_limit: Callable[[], None] = lambda: None  # noqa: E731
