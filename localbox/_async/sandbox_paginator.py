"""Pages of this program's sandboxes, for `AsyncSandbox.list`."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import TYPE_CHECKING, Any

from localbox._async.sandbox import AsyncSandbox
from localbox.engine import registry
from localbox.engine.paging import Pages
from localbox.errors import InvalidArgumentException, SandboxNotFoundException

if TYPE_CHECKING:
    from localbox.models import SandboxInfo
    from localbox.models_control import SandboxListOrder, SandboxQuery


class AsyncSandboxPaginator(Pages):
    """Pages of sandboxes: call `next_items` while `has_next` is true."""

    def __init__(
        self,
        query: SandboxQuery | None = None,
        limit: int | None = None,
        next_token: str | None = None,
        order: SandboxListOrder | None = None,
        **opts: Any,
    ) -> None:
        super().__init__(limit, next_token, opts)
        self.query = query
        self.order = order
        self._opts = opts

    async def next_items(self, **opts: Any) -> list[SandboxInfo]:
        """The next page.

        Raises:
            SandboxException: there is none; see `has_next`.
            InvalidArgumentException: the order, the limit or the token cannot be.
        """
        limit = self._begin_page(opts)
        newest_first = _is_newest_first(self.order)
        after = None if self._next_token is None else _read_token(self._next_token)
        found = await self._matching({**self._opts, **opts})
        found.sort(key=_place, reverse=newest_first)
        if after is not None:
            found = [
                info
                for info in found
                if (_place(info) < after if newest_first else _place(info) > after)
            ]
        page = found[:limit]
        self._end_page(_token(page[-1]) if len(found) > limit else None)
        return page

    async def _matching(self, opts: dict[str, Any]) -> list[SandboxInfo]:
        found = []
        for record in registry.all_records():
            if not _may_match(self.query, record):
                continue
            try:
                info = await AsyncSandbox._of(record).get_info(**opts)
            except SandboxNotFoundException:
                continue  # it has ended since
            if _matches(self.query, info):
                found.append(info)
        return found


def _is_newest_first(order: str | None) -> bool:
    if order not in {None, "asc", "desc"}:
        raise InvalidArgumentException(f"order must be 'asc' or 'desc', not {order!r}")
    return order != "asc"


def _place(info: SandboxInfo) -> tuple[datetime, str]:
    return info.started_at, info.sandbox_id


def _token(info: SandboxInfo) -> str:
    return base64.urlsafe_b64encode(
        f"{info.started_at.isoformat()} {info.sandbox_id}".encode()
    ).decode()


def _read_token(token: str) -> tuple[datetime, str]:
    try:
        moment, sandbox_id = base64.urlsafe_b64decode(token).decode().split(" ")
        return datetime.fromisoformat(moment), sandbox_id
    except (ValueError, TypeError):
        raise InvalidArgumentException(
            f"next_token {token!r} is not one that a paginator of sandboxes gave"
        ) from None


def _may_match(query: SandboxQuery | None, record: registry.SandboxRecord) -> bool:
    """What can be told without asking the sandbox."""
    if query is None:
        return True
    notes = (query.metadata or {}).items()
    return (not query.template or query.template == record.template) and all(
        record.metadata.get(name) == value for name, value in notes
    )


def _matches(query: SandboxQuery | None, info: SandboxInfo) -> bool:
    if query is None:
        return True
    if query.state and info.state not in query.state:
        return False
    # `astimezone` takes a time without a zone for local time.
    return query.started_after is None or info.started_at >= query.started_after.astimezone()
