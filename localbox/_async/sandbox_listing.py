"""`AsyncSandbox.list`: which sandboxes this program has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localbox._async.sandbox_base import SandboxBase

if TYPE_CHECKING:
    from localbox._async.sandbox_paginator import AsyncSandboxPaginator
    from localbox.models_control import SandboxListOrder, SandboxQuery


class ListingMethods(SandboxBase):
    """Which sandboxes there are."""

    @classmethod
    # unasync: async
    def list(
        # unasync: sync
        # def _list_sandboxes(
        # unasync: end
        cls,
        query: SandboxQuery | None = None,
        limit: int | None = None,
        next_token: str | None = None,
        order: SandboxListOrder | None = None,
        **opts: Any,
    ) -> AsyncSandboxPaginator:
        """The sandboxes of this program that have not ended, running and paused.

        Those of other programs are not seen: nothing outlives a program that could tell of them.

        Args:
            query: which of them: by metadata, state, start, template.
            limit: how many on a page, 100 if not given.
            next_token: where to begin, as a paginator's `next_token`.
            order: "desc" (newest first, if not given) or "asc", by start.
        """
        # Late: few programs have many.
        from localbox._async.sandbox_paginator import AsyncSandboxPaginator

        return AsyncSandboxPaginator(query, limit, next_token, order, **cls._with_bound(opts))
