"""`create(volume_mounts=)`: which volumes a sandbox gets, and where in it they may go."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from localbox.engine import volumes
from localbox.errors import InvalidArgumentException

# The child of the zygote has a descriptor for each, and numbers are set aside for them.
MOST_VOLUMES = 16

# What makes the sandbox a sandbox, or is made afresh for each: nothing goes on, below or over it.
_RESERVED = ("/.localbox", "/dev", "/etc", "/proc", "/sys", "/usr")


@dataclass(frozen=True)
class VolumeMount:
    """A volume in a sandbox."""

    guest_path: str
    name: str
    host_path: str


def find_mounts(volume_mounts: Mapping[str, Any]) -> tuple[VolumeMount, ...]:
    """The volumes that `volume_mounts` names, by guest path in order.

    Raises:
        VolumeNotFoundException: there is no volume of that name.
        InvalidArgumentException: not a mapping of guest paths to volumes.
    """
    if not isinstance(volume_mounts, Mapping):
        raise InvalidArgumentException(
            "volume_mounts must map paths in the sandbox to volumes or their names, "
            f"not {volume_mounts!r}"
        )
    if len(volume_mounts) > MOST_VOLUMES:
        raise InvalidArgumentException(
            f"volume_mounts: {len(volume_mounts)} volumes; a sandbox has at most {MOST_VOLUMES}"
        )
    found: dict[str, VolumeMount] = {}
    for path, volume in volume_mounts.items():
        guest_path = _check_path(path)
        if guest_path in found:
            raise InvalidArgumentException(f"volume_mounts: two volumes at {guest_path}")
        name = getattr(volume, "name", volume)
        if not isinstance(name, str):
            raise InvalidArgumentException(
                f"volume_mounts[{path!r}] must be a volume or a volume's name, not {volume!r}"
            )
        place = volumes.find_by_name(name)
        found[guest_path] = VolumeMount(guest_path, name, str(place.content))
    return tuple(found[guest_path] for guest_path in sorted(found))


def _check_path(path: object) -> str:
    if not isinstance(path, str) or not path.startswith("/") or "\0" in path:
        raise InvalidArgumentException(
            f"volume_mounts: {path!r} is no absolute path in the sandbox, such as /mnt/data"
        )
    if ".." in path.split("/"):
        raise InvalidArgumentException(f"volume_mounts: {path!r} contains '..'")
    # Two slashes at the beginning are kept by normpath.
    return posixpath.normpath("/" + path.lstrip("/"))


def check_places(guest_paths: Iterable[str], taken: Iterable[str], own: Iterable[str]) -> None:
    """See that a volume covers nothing of the sandbox's, and no other volume.

    Args:
        taken: where there is something already, which nothing may cover or go into.
        own: directories of the sandbox's own disk, which may be gone into but not covered.

    Raises:
        InvalidArgumentException: it would.
    """
    unusable = [*_RESERVED, *taken]
    for guest_path in guest_paths:
        for path in unusable:
            if _is_within(guest_path, path) or _is_within(path, guest_path):
                raise _cannot(guest_path, path)
        for path in own:
            if _is_within(path, guest_path):
                raise _cannot(guest_path, path)
        unusable.append(guest_path)


def _is_within(inner: str, outer: str) -> bool:
    return inner == outer or inner.startswith(outer.rstrip("/") + "/")


def _cannot(guest_path: str, path: str) -> InvalidArgumentException:
    return InvalidArgumentException(
        f"volume_mounts: no volume can be at {guest_path!r}, for {path!r} is in its way; choose a "
        "directory of its own, such as /mnt/data, or one below /home/user"
    )
