"""The secrets of this user, a file each in the data directory: written here, read by no client.

It guards them from other users of this machine by their modes, and not from this user's programs.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from localbox.engine.data_dir import subdirectory, write_atomically
from localbox.engine.network_options import check_placeholder_name
from localbox.errors import InvalidArgumentException, SecretException, SecretNotFoundException
from localbox.models_control import SecretInfo

_SUFFIX = ".json"


def create(name: str, value: str, metadata: Mapping[str, str]) -> SecretInfo:
    """
    Raises:
        SecretException: there is one of that name.
        InvalidArgumentException: not a name, or not a value.
    """
    check_placeholder_name(name, "secret")
    _check_value(name, value)
    now = datetime.now(UTC).isoformat()
    with _locked() as directory:
        if any(content["name"] == name for content in _all(directory)):
            raise SecretException(f"there is a secret {name!r} already; change it with update")
        content = {
            "secret_id": f"sec_{secrets.token_hex(10)}",
            "name": name,
            "version": 1,
            "metadata": dict(metadata),
            "created_at": now,
            "updated_at": now,
            "value": value,
        }
        return _write(directory, content)


def update(secret: str, value: str, metadata: Mapping[str, str] | None) -> SecretInfo:
    """Replace a value, which is then lost, and the notes if any are given."""
    _check_value(secret, value)
    with _locked() as directory:
        content = _find(directory, secret)
        content["version"] += 1
        content["value"] = value
        content["updated_at"] = datetime.now(UTC).isoformat()
        if metadata is not None:
            content["metadata"] = dict(metadata)
        return _write(directory, content)


def get_info(secret: str) -> SecretInfo:
    return _info(_find(subdirectory("secrets"), secret))


def destroy(secret: str) -> bool:
    with _locked() as directory:
        try:
            content = _find(directory, secret)
        except SecretNotFoundException:
            return False
        _path(directory, content).unlink()
        return True


def page(limit: int, token: str | None) -> tuple[list[SecretInfo], str | None]:
    """Some secrets, the oldest first, and where the next ones begin, None if there are none."""
    found = sorted(_all(subdirectory("secrets")), key=_place)
    if token is not None:
        after = _read_token(token)
        found = [content for content in found if _place(content) > after]
    chosen = found[:limit]
    more = len(found) > len(chosen)
    return [_info(content) for content in chosen], _token(chosen[-1]) if more else None


@contextmanager
def _locked() -> Iterator[Path]:
    """The directory of secrets, changed by nobody else meanwhile."""
    directory = subdirectory("secrets")
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        # Of programs that were killed while they wrote; others would have the lock.
        for unfinished in directory.glob(".*.new"):
            unfinished.unlink()
        yield directory
    finally:
        os.close(fd)


def _all(directory: Path) -> list[dict[str, Any]]:
    found = []
    for path in directory.glob(f"*{_SUFFIX}"):
        try:
            found.append(json.loads(path.read_bytes()))
        except FileNotFoundError:
            continue  # destroyed since
        except ValueError as problem:
            raise SecretException(
                f"{path} cannot be read: {problem}; remove it, and create the secret again"
            ) from problem
    return found


def _find(directory: Path, secret: str) -> dict[str, Any]:
    for content in _all(directory):
        if secret in {content["secret_id"], content["name"]}:
            return content
    raise SecretNotFoundException(f"there is no secret {secret!r}; Secret.create makes one")


def _write(directory: Path, content: dict[str, Any]) -> SecretInfo:
    write_atomically(_path(directory, content), json.dumps(content).encode())
    return _info(content)


def _path(directory: Path, content: dict[str, Any]) -> Path:
    return directory / f"{content['secret_id']}{_SUFFIX}"


def _info(content: dict[str, Any]) -> SecretInfo:
    return SecretInfo(
        secret_id=content["secret_id"],
        name=content["name"],
        version=content["version"],
        metadata=content["metadata"],
        created_at=datetime.fromisoformat(content["created_at"]),
        updated_at=datetime.fromisoformat(content["updated_at"]),
    )


def _check_value(secret: str, value: object) -> None:
    if not isinstance(value, str):
        # Not shown: it may be what was meant to be kept secret.
        raise InvalidArgumentException(
            f"the value of secret {secret!r} must be a str, not {type(value).__name__}"
        )


def _place(content: dict[str, Any]) -> tuple[str, str]:
    return content["created_at"], content["secret_id"]


def _token(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(" ".join(_place(content)).encode()).decode()


def _read_token(token: str) -> tuple[str, str]:
    try:
        moment, secret_id = base64.urlsafe_b64decode(token).decode().split(" ")
    except (ValueError, TypeError):
        raise InvalidArgumentException(
            f"next_token {token!r} is not one that a paginator of secrets gave"
        ) from None
    return moment, secret_id
