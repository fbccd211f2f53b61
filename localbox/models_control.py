"""What is asked of and known about sandboxes, snapshots and secrets: E2B's, field for field."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from localbox.models import SandboxState

__all__ = [
    "SandboxListOrder",
    "SandboxMetrics",
    "SandboxOnResume",
    "SandboxQuery",
    "SecretInfo",
    "SnapshotInfo",
]

SandboxListOrder = Literal["asc", "desc"]
SandboxOnResume = Literal["restore", "reboot"]


@dataclass
class SandboxQuery:
    """Which sandboxes to list; a field that is None excludes none.

    `metadata`: those that have all these notes; `started_after`: at that time or later, in local
    time if it names no zone.
    """

    metadata: dict[str, str] | None = None
    state: list[SandboxState] | None = None
    started_after: datetime | None = None
    template: str | None = None


@dataclass
class SandboxMetrics:
    """What a sandbox used at one moment; sizes in bytes."""

    cpu_count: int
    cpu_used_pct: float
    disk_total: int
    disk_used: int
    mem_total: int
    mem_used: int
    mem_cache: int
    timestamp: datetime


@dataclass
class SnapshotInfo:
    """A snapshot: its id, and the names it can be asked for by."""

    snapshot_id: str
    names: list[str] = field(default_factory=list)


@dataclass
class SecretInfo:
    """What may be known of a secret: everything but its value."""

    secret_id: str
    name: str
    version: int
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime
