"""The names of the walls, and what is reported when one cannot be built."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

USER_NAMESPACE = "user-namespace"
MOUNT_NAMESPACE = "mount-namespace"
PID_NAMESPACE = "pid-namespace"
NETWORK_NAMESPACE = "network-namespace"
IPC_NAMESPACE = "ipc-namespace"
UTS_NAMESPACE = "uts-namespace"
CGROUP_NAMESPACE = "cgroup-namespace"
PRIVATE_ROOT = "private-root"
RLIMITS = "rlimits"
CAPABILITIES = "capabilities"
NO_NEW_PRIVILEGES = "no-new-privileges"
LANDLOCK = "landlock"
SECCOMP = "seccomp"
CGROUP = "cgroup"


class WallFailure(Exception):
    """A wall could not be built; nothing of the guest's has run."""

    def __init__(self, wall: str, error: OSError | str) -> None:
        super().__init__(f"{wall}: {error}")
        self.wall = wall
        self.number = error.errno if isinstance(error, OSError) else None
        self.reason = str(error)

    def to_message(self) -> dict[str, Any]:
        name = os.strerror(self.number) if self.number else ""
        reason = self.reason if name in self.reason else f"{self.reason}: {name}"
        return {"kind": "wall", "wall": self.wall, "errno": self.number, "message": reason}


class building:  # noqa: N801 (used as a function is)
    """Name the wall that an OSError inside the block means."""

    # Not a generator: there are several of these in every create, and each would cost more than
    # what it guards.
    __slots__ = ("_wall",)

    def __init__(self, wall: str) -> None:
        self._wall = wall

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if isinstance(error, OSError):
            raise WallFailure(self._wall, error) from error
