"""Opens volumes for a new sandbox: directories of the host's that it may write to."""

from __future__ import annotations

import errno
import fcntl
import os

from localbox.confinement import syscalls, walls
from localbox.confinement.walls import WallFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from localbox.confinement.identity import UidSlot


class VolumeFailure(WallFailure):
    """A volume could not be mounted; nothing of the guest's has run."""

    def __init__(self, kind: str, error: OSError | str) -> None:
        super().__init__(walls.PRIVATE_ROOT, error)
        self.kind = kind

    def to_message(self) -> dict[str, Any]:
        return {"kind": self.kind, "message": self.reason}


def open_volumes(
    host_paths: Sequence[str], slot: UidSlot | None, open_fds: list[int], held: list[int]
) -> list[int]:
    """Detached mounts of volumes, writable, id-mapped for `slot` if there is one.

    Args:
        host_paths: each a directory in one that has the volume's name; see engine/volumes.py.
        open_fds: gets the mounts too, as soon as they are open, so that the caller can close them.
        held: gets a descriptor for each volume; while it is open nobody destroys the volume.

    Raises:
        VolumeFailure: a volume is gone, or cannot be mounted.
    """
    fds: list[int] = []
    for host_path in host_paths:
        name = os.path.basename(os.path.dirname(host_path))
        try:
            _hold(os.path.dirname(host_path), held)
            fd = syscalls.open_tree(host_path, recursive=False)
        except FileNotFoundError:
            text = f"volume {name!r} was destroyed, or the zygote does not see {host_path}"
            raise VolumeFailure("volume_not_found", text) from None
        except BlockingIOError:
            text = f"volume {name!r} is being destroyed"
            raise VolumeFailure("volume_not_found", text) from None
        open_fds.append(fd)
        fds.append(fd)
        try:
            _make_writable(fd, slot)
        except OSError as error:
            raise VolumeFailure("volume", _told(name, host_path, error, slot)) from None
    return fds


def _hold(host_path: str, held: list[int]) -> None:
    """Keep the volume from being destroyed for as long as the sandbox lives.

    The kernel lets go of the lock whatever becomes of us. Guests do not see this directory.
    """
    fd = os.open(host_path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    held.append(fd)
    fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)


def _make_writable(fd: int, slot: UidSlot | None) -> None:
    attributes = syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
    shift_fd = 0
    if slot is not None:
        attributes |= syscalls.MOUNT_ATTR_IDMAP
        shift_fd = slot.volume_shift()
    syscalls.mount_setattr(
        fd,
        attr_set=attributes,
        # The zygote sees the host's files through read-only mounts.
        attr_clear=syscalls.MOUNT_ATTR_RDONLY,
        userns_fd=shift_fd,
        recursive=False,
    )


def _told(name: str, host_path: str, error: OSError, slot: UidSlot | None) -> str:
    text = f"volume {name!r} cannot be mounted from {host_path}: {error.strerror or error}"
    if slot is not None and error.errno in (errno.EINVAL, errno.EOPNOTSUPP):
        text += (
            "; this filesystem has no id-mapped mounts, which root's sandboxes need: set "
            "LOCALBOX_DATA_DIR to a directory on ext4, xfs, btrfs or tmpfs"
        )
    return text
