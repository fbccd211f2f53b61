"""What every part of a sandbox's interface stands on: its record and the way to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

from localbox._async.connection import AsyncConnection
from localbox.engine import registry
from localbox.errors import SandboxNotFoundException


class SandboxBase:
    """One sandbox, of which there may be several objects."""

    _record: registry.SandboxRecord
    _connection: AsyncConnection
    # Connection options bound to the class by an `E2B` client.
    _bound_params: ClassVar[Mapping[str, Any]] = {}

    @property
    def sandbox_id(self) -> str:
        """Its id: 20 characters without a dash."""
        return self._record.sandbox_id

    @classmethod
    def _of(cls, record: registry.SandboxRecord, request_timeout: float | None = None) -> Self:
        """An object for a sandbox there is already."""
        if request_timeout is None and cls._bound_params:
            request_timeout = cls._bound_params.get("request_timeout")
        make: Any = cls
        # unasync: async
        return make(record, request_timeout)  # type: ignore[no-any-return]
        # unasync: sync
        # return make(_record=record, request_timeout=request_timeout)  # type: ignore[no-any-return]
        # unasync: end

    @classmethod
    def _with_bound(cls, opts: Mapping[str, Any]) -> dict[str, Any]:
        """A call's connection options over those bound to the class; None counts as not given."""
        given = {name: value for name, value in opts.items() if value is not None}
        return {**cls._bound_params, **given}

    def _connection_for(self, opts: Mapping[str, Any]) -> AsyncConnection:
        """The way to it, with the call's own request timeout if it has one."""
        request_timeout = opts.get("request_timeout")
        if request_timeout is None:
            return self._connection
        return AsyncConnection(self._record, request_timeout)

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
