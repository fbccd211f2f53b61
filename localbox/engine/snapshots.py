"""What the client's snapshots and forks come to in terms of layers."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from localbox.engine import layers
from localbox.errors import InvalidArgumentException
from localbox.models_control import SnapshotInfo
from localbox.protocol.frames import Message

if TYPE_CHECKING:
    from localbox.engine.layers import Stack
    from localbox.engine.registry import SandboxRecord

MOST_FORKS = 20
# E2B's, which is far less than a new sandbox gets.
FORK_TIMEOUT_S = 15
# A fork or a snapshot would have to keep what is no file.
_NOT_KEPT = ("/dev/shm",)


def check_mode(mode: str | None) -> None:
    """
    Raises:
        InvalidArgumentException: "full", which is not here yet, or no mode at all.
    """
    if mode == "full":
        raise InvalidArgumentException(
            'mode="full": the memory of processes cannot be kept yet; mode="filesystem", which is '
            "what no mode means here, keeps all files"
        )
    if mode not in (None, "filesystem"):
        raise InvalidArgumentException(f"mode must be full or filesystem, not {mode!r}")


def check_count(count: int | None) -> int:
    """
    Raises:
        InvalidArgumentException: not from 1 to 20.
    """
    if count is None:
        return 1
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= MOST_FORKS:
        raise InvalidArgumentException(
            f"count must be an int from 1 to {MOST_FORKS}, not {count!r}"
        )
    return count


def check_name(name: str | None) -> str | None:
    """
    Raises:
        InvalidArgumentException: it cannot be a snapshot's, or is a template's.
    """
    from localbox.engine.creation import is_stored

    if name is None:
        return None
    full_name = layers.full_name(name)
    if not is_stored(full_name.partition(":")[0]):
        raise InvalidArgumentException(f"name={name!r}: a template has this name already")
    return full_name


def capture_request(plan: dict[str, Any]) -> Message:
    """What to ask of the zygote to have a sandbox of this plan copied to a layer."""
    parts = [
        (guest_path, str(number))
        for number, (guest_path, _mode) in enumerate(plan["writable"])
        if guest_path not in _NOT_KEPT
    ]
    parts += [(path, f"upper{number}") for number, path in enumerate(plan["overlays"])]
    return {
        "op": "capture",
        "parts": parts,
        "most_bytes": plan["disk_bytes"],
        "most_files": plan["files"],
    }


def describe(
    kind: str, record: SandboxRecord, parts: list[Any], parents: tuple[str, ...]
) -> dict[str, Any]:
    """The `layer.json` of a layer that was copied from a sandbox."""
    template = record.template
    if record.use is not None and record.use.stack.kind != "template":
        template = record.use.stack.template
    description = layers.describe(kind, record.policy, template, record.sandbox_id)
    return {**description, "parents": list(parents), "parts": parts}


def info(stack: Stack) -> SnapshotInfo:
    return SnapshotInfo(stack.layer_id, layers.names().get(stack.layer_id, []))


def page(
    sandbox_id: str | None, name: str | None, limit: int, token: str | None
) -> tuple[list[SnapshotInfo], str | None]:
    """Some snapshots, and where the next page begins; None if that was all.

    Args:
        sandbox_id: only those taken of this one.
        name: only those with this name or id; with a tag only the one that has it.
        token: where to begin.

    Raises:
        InvalidArgumentException: the token is none of ours.
    """
    before = None if token is None else _read_token(token)
    names = layers.names()
    found = [
        stack
        for stack in layers.stacks("snapshot")
        if (not sandbox_id or stack.description["source"] == sandbox_id)
        and (not name or _goes_by(name, stack, names.get(stack.layer_id, [])))
        and (before is None or _place(stack) < before)
    ]
    chosen = found[:limit]
    infos = [SnapshotInfo(stack.layer_id, names.get(stack.layer_id, [])) for stack in chosen]
    return infos, _token(chosen[-1]) if len(found) > limit else None


def _goes_by(name: str, stack: Stack, names: list[str]) -> bool:
    # E2B's names may have a project in front; here there is one for all.
    name = name.rpartition("/")[2]
    if ":" in name:
        return name in names
    return name == stack.layer_id or name in (each.partition(":")[0] for each in names)


def _place(stack: Stack) -> tuple[float, str]:
    return float(stack.description["created"]), stack.layer_id


def _token(stack: Stack) -> str:
    created, layer_id = _place(stack)
    return base64.urlsafe_b64encode(f"{created!r} {layer_id}".encode()).decode()


def _read_token(token: str) -> tuple[float, str]:
    try:
        created, layer_id = base64.urlsafe_b64decode(token).decode().split(" ")
        return float(created), layer_id
    except (ValueError, TypeError, AttributeError):
        raise InvalidArgumentException(
            f"next_token {token!r} is not one that a paginator of snapshots gave"
        ) from None
