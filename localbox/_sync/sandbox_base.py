# generated from localbox/_async/sandbox_base.py by scripts/unasync.py; edit that, not this
"""What every part of a sandbox's interface stands on: its record and the way to it."""

from __future__ import annotations

from typing import Any, Self

from localbox._sync.connection import Connection
from localbox.engine import registry
from localbox.errors import SandboxNotFoundException


class SandboxBase:
    """One sandbox, of which there may be several objects."""

    _record: registry.SandboxRecord
    _connection: Connection

    @property
    def sandbox_id(self) -> str:
        """Its id: 20 characters without a dash."""
        return self._record.sandbox_id

    @classmethod
    def _of(cls, record: registry.SandboxRecord, request_timeout: float | None = None) -> Self:
        """An object for a sandbox there is already."""
        make: Any = cls
        return make(_record=record, request_timeout=request_timeout)  # type: ignore[no-any-return]

    @classmethod
    def _by_id(cls, sandbox_id: str) -> Self:
        """
        Raises:
            SandboxNotFoundException: this program has no sandbox by that id.
        """
        record = registry.find(sandbox_id)
        if record is None:
            raise cls._not_found(sandbox_id, "this program has none by that id")
        return cls._of(record)

    @staticmethod
    def _not_found(sandbox_id: str, reason: str | None) -> SandboxNotFoundException:
        return SandboxNotFoundException(
            f"sandbox {sandbox_id} not found: {reason or 'it has ended'}"
        )
