"""What volumes are described with: E2B's values, field for field."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum

__all__ = [
    "VolumeAndToken",
    "VolumeEntryStat",
    "VolumeFileType",
    "VolumeInfo",
]


@dataclass
class VolumeInfo:
    """A volume."""

    volume_id: str
    name: str


@dataclass
class VolumeAndToken(VolumeInfo):
    """A volume and what it takes to reach its content, which here is nothing: `token` is ""."""

    token: str
    domain: str | None = None


class VolumeEntryStatType(str, Enum):  # noqa: UP042 (E2B's is not a StrEnum either)
    """What a path in a volume is."""

    DIRECTORY = "directory"
    FILE = "file"
    SYMLINK = "symlink"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return str(self.value)


# The public name; E2B's enum has the other one too.
VolumeFileType = VolumeEntryStatType


@dataclass
class VolumeEntryStat:
    """A path in a volume, and what stat(2) says of it.

    `path` begins with a slash, which is the volume. `uid` and `gid` are those that sandboxes see:
    1000 is their user. `ctime` is when the entry was last changed; when it was made is not kept.
    """

    name: str
    type: VolumeEntryStatType
    path: str
    size: int
    mode: int
    uid: int
    gid: int
    atime: datetime
    mtime: datetime
    ctime: datetime
    target: str | None = None
