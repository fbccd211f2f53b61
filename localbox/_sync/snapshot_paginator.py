# generated from localbox/_async/snapshot_paginator.py by scripts/unasync.py; edit that, not this
"""The snapshots in the data directory, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localbox.engine import creation
from localbox.errors import InvalidArgumentException, SandboxException
from localbox.transport import blocking as transport

if TYPE_CHECKING:
    from localbox.models_control import SnapshotInfo

_DEFAULT_LIMIT = 100


class SnapshotPaginator:
    """Pages of snapshots, the newest first: call `next_items` while `has_next` is true."""

    def __init__(
        self,
        sandbox_id: str | None = None,
        limit: int | None = None,
        next_token: str | None = None,
        name: str | None = None,
        **opts: Any,
    ) -> None:
        creation.check_options(opts)
        self.sandbox_id = sandbox_id
        self.limit = limit
        self.name = name
        self._next_token = next_token
        self._has_next = True

    @property
    def has_next(self) -> bool:
        """Whether there is another page; true before the first has been asked for."""
        return self._has_next

    @property
    def next_token(self) -> str | None:
        """Where the next page begins, for `list_snapshots(next_token=...)`."""
        return self._next_token

    def next_items(self, **opts: Any) -> list[SnapshotInfo]:
        """The next page.

        Raises:
            SandboxException: there is none; see `has_next`.
            InvalidArgumentException: the limit or the token cannot be.
        """
        from localbox.engine import snapshots

        if not self._has_next:
            raise SandboxException("the last page has been read; look at has_next first")
        creation.check_options(opts)
        limit = self.limit or _DEFAULT_LIMIT
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 0:
            raise InvalidArgumentException(f"limit must be an int from 1 on, not {self.limit!r}")
        page, self._next_token = transport.run(
            snapshots.page, self.sandbox_id, self.name, limit, self._next_token
        )
        self._has_next = self._next_token is not None
        return page
