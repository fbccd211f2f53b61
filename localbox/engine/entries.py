"""What agents say about files, as E2B's EntryInfo; an agent may lie, so fields are converted."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from localbox.errors import InvalidArgumentException, ProtocolError
from localbox.models import (
    EntryInfo,
    FilesystemEvent,
    FilesystemEventType,
    FileType,
    WriteInfo,
)

# The token of HTTP, for E2B sends keys as names of headers. 255 bytes is the kernel's limit for
# the name of an attribute, which begins with "user.e2b.".
_METADATA_KEY_BYTES = 255 - len("user.e2b.")
_METADATA_KEY = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~"
)
# What one attribute may hold; a request with more would also not fit in the agent's reading.
_METADATA_BYTES = 64 * 1024


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
            metadata=_to_metadata(entry.get("metadata")),
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise ProtocolError(f"the agent described a file as {entry!r:.200}") from error


def to_event(event: Any) -> FilesystemEvent:
    """
    Raises:
        ProtocolError: it is not an event.
    """
    try:
        entry = event["entry"]
        return FilesystemEvent(
            name=str(event["name"]),
            type=FilesystemEventType(event["type"]),
            entry=None if entry is None else to_entry(entry),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ProtocolError(f"the agent told of a change as {event!r:.200}") from error


def _to_metadata(notes: Any) -> dict[str, str] | None:
    return {str(key): str(value) for key, value in notes.items()} if notes else None


def to_write_info(path: str, metadata: dict[str, str] | None = None) -> WriteInfo:
    return WriteInfo(
        name=os.path.basename(path), type=FileType.FILE, path=path, metadata=metadata or None
    )


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


def check_metadata(metadata: dict[str, str] | None) -> dict[str, str]:
    """
    Returns:
        The metadata as it will be kept: keys in lower case, as E2B's sandboxes keep them.

    Raises:
        InvalidArgumentException: a key or value E2B would not take, or more of it than fits.
    """
    kept: dict[str, str] = {}
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not _is_metadata_key(key):
            raise InvalidArgumentException(
                f"metadata key {key!r}: a key is 1 to {_METADATA_KEY_BYTES} letters, digits and "
                "!#$%&'*+-.^_`|~"
            )
        if not isinstance(value, str) or not (value.isascii() and value.isprintable()):
            raise InvalidArgumentException(
                f"metadata value of {key!r}: a value is a str of printable ASCII characters"
            )
        if key.lower() in kept:
            raise InvalidArgumentException(
                f"metadata key {key!r} is there twice: case is not kept, rename one"
            )
        kept[key.lower()] = value
    size = sum(len(key) + len(value) for key, value in kept.items())
    if size > _METADATA_BYTES:
        raise InvalidArgumentException(
            f"metadata of {size} bytes is too long: {_METADATA_BYTES} is the most; "
            "write a file beside it instead"
        )
    return kept


def _is_metadata_key(key: str) -> bool:
    return 0 < len(key) <= _METADATA_KEY_BYTES and _METADATA_KEY.issuperset(key)


def check_upload(data: object, gzip: bool, use_octet_stream: bool | None) -> None:
    """Refuse what E2B would, though nothing is encoded on the way here.

    Raises:
        InvalidArgumentException: the options and the data do not go together.
    """
    if use_octet_stream is not False:
        return
    if gzip:
        raise InvalidArgumentException(
            "gzip=True needs the octet-stream upload; leave out use_octet_stream=False"
        )
    if not isinstance(data, str | bytes | bytearray) and not hasattr(data, "read"):
        raise InvalidArgumentException(
            "an iterable is uploaded as an octet stream; leave out use_octet_stream=False"
        )
