"""Whose files in volumes are: the host's ids and those sandboxes see.

Where sandboxes run as root each has a range of host ids of its own, and the mount of a volume maps
them, the same for all: see confinement/identity.py, whose numbers these are.
"""

from __future__ import annotations

import functools
import os

from localbox.errors import InvalidArgumentException, VolumeException

GUEST_ID = 1000
VOLUME_IDS = 0x7FA00000
IDS = 65536
_NOBODY = 65534


def to_host_uid(uid: int | None) -> int:
    """
    Raises:
        InvalidArgumentException: not an id.
        VolumeException: this user may not give files to that one.
    """
    return _to_host(uid, "uid", os.geteuid())


def to_host_gid(gid: int | None) -> int:
    return _to_host(gid, "gid", os.getegid())


def to_guest_uid(uid: int) -> int:
    return _to_guest(uid, os.geteuid())


def to_guest_gid(gid: int) -> int:
    return _to_guest(gid, os.getegid())


def _to_host(guest_id: int | None, what: str, own: int) -> int:
    if guest_id is None:
        return -1
    if isinstance(guest_id, bool) or not isinstance(guest_id, int) or not 0 <= guest_id < IDS:
        raise InvalidArgumentException(f"{what} must be a number below {IDS}, not {guest_id!r}")
    if guest_id == GUEST_ID:
        return own
    if not _has_every_id():
        raise VolumeException(
            f"{what}={guest_id}: for an ordinary user of this machine there is one id in "
            f"sandboxes, {GUEST_ID}; only root can have files of others"
        )
    return VOLUME_IDS + guest_id


def _to_guest(host_id: int, own: int) -> int:
    if host_id == own:
        return GUEST_ID
    if VOLUME_IDS <= host_id < VOLUME_IDS + IDS and _has_every_id():
        return host_id - VOLUME_IDS
    return _NOBODY


@functools.cache
def _has_every_id() -> bool:
    """Whether this is root of the whole machine, as the zygote asks it."""
    with open("/proc/self/uid_map", encoding="ascii") as file:
        ids = file.readline().split()
    return os.geteuid() == 0 and ids == ["0", "0", "4294967295"]
