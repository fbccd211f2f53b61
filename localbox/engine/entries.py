"""What agents say about files, as E2B's EntryInfo; an agent may lie, so fields are converted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from localbox.errors import AuthenticationException, InvalidArgumentException, ProtocolError
from localbox.models import EntryInfo, FileType, WriteInfo


def to_entry(entry: Any) -> EntryInfo:
    """
    Raises:
        ProtocolError: it is not an entry.
    """
    try:
        target = entry["symlink_target"]
        return EntryInfo(
            name=str(entry["name"]),
            type=FileType(entry["type"]),
            path=str(entry["path"]),
            size=int(entry["size"]),
            mode=int(entry["mode"]),
            permissions=str(entry["permissions"]),
            owner=str(entry["owner"]),
            group=str(entry["group"]),
            modified_time=datetime.fromtimestamp(int(entry["modified_ns"]) / 1e9, UTC),
            symlink_target=None if target is None else str(target),
        )
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise ProtocolError(f"the agent described a file as {entry!r:.200}") from error


def to_write_info(path: str) -> WriteInfo:
    return WriteInfo(name=os.path.basename(path), type=FileType.FILE, path=path)


def check_path(path: object) -> str:
    """
    Raises:
        InvalidArgumentException: not a str, empty, or with a NUL byte.
    """
    if not isinstance(path, str) or not path:
        raise InvalidArgumentException(f"a path must be a str that is not empty, not {path!r}")
    if "\0" in path:
        raise InvalidArgumentException(f"a path cannot contain a NUL byte: {path!r}")
    return path


def check_user(user: str | None) -> None:
    """
    Raises:
        AuthenticationException: this sandbox has no such user.
    """
    if user not in (None, "", "user"):
        raise AuthenticationException(f"there is no user {user!r} in this sandbox")


def check_metadata(metadata: dict[str, str] | None) -> None:
    if metadata:
        raise InvalidArgumentException(
            "metadata= of files is not available yet; write a file beside it instead"
        )
