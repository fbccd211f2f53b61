"""The snapshots in the data directory, page by page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localbox.engine.paging import Pages
from localbox.transport import asyncio as transport

if TYPE_CHECKING:
    from localbox.models_control import SnapshotInfo


class AsyncSnapshotPaginator(Pages):
    """Pages of snapshots, the newest first: call `next_items` while `has_next` is true."""

    def __init__(
        self,
        sandbox_id: str | None = None,
        limit: int | None = None,
        next_token: str | None = None,
        name: str | None = None,
        **opts: Any,
    ) -> None:
        super().__init__(limit, next_token, opts)
        self.sandbox_id = sandbox_id
        self.name = name

    async def next_items(self, **opts: Any) -> list[SnapshotInfo]:
        """The next page.

        Raises:
            SandboxException: there is none; see `has_next`.
            InvalidArgumentException: the limit or the token cannot be.
        """
        from localbox.engine import snapshots

        limit = self._begin_page(opts)
        page, next_token = await transport.run(
            snapshots.page, self.sandbox_id, self.name, limit, self._next_token
        )
        self._end_page(next_token)
        return page
