"""What all of E2B's paginators have in common; how a page is found is their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from localbox.engine import creation
from localbox.errors import InvalidArgumentException, SandboxException

DEFAULT_LIMIT = 100


class Pages:
    """Where a reader of pages is.

    Args:
        limit: the most items of a page; 100 if None or 0.
        next_token: where the first page begins, as an earlier paginator gave it.
    """

    # Raised by `next_items` after the last page.
    _at_the_end: type[Exception] = SandboxException

    def __init__(
        self, limit: int | None, next_token: str | None, options: Mapping[str, Any]
    ) -> None:
        creation.check_options(options)
        self.limit = limit
        self._next_token = next_token
        self._has_next = True

    @property
    def has_next(self) -> bool:
        """Whether there is another page; true before the first has been asked for."""
        return self._has_next

    @property
    def next_token(self) -> str | None:
        """Where the next page begins, for another paginator's `next_token`."""
        return self._next_token

    def _begin_page(self, options: Mapping[str, Any]) -> int:
        """The most items of the page that is asked for.

        Raises:
            SandboxException, or what the paginator has for it: there is no page any more.
            InvalidArgumentException: the limit cannot be.
        """
        if not self._has_next:
            raise self._at_the_end("the last page has been read; look at has_next first")
        creation.check_options(options)
        limit = self.limit
        if limit is not None and (
            isinstance(limit, bool) or not isinstance(limit, int) or limit < 0
        ):
            raise InvalidArgumentException(f"limit must be an int from 1 on, not {limit!r}")
        return limit or DEFAULT_LIMIT

    def _end_page(self, next_token: str | None) -> None:
        self._next_token = next_token
        self._has_next = next_token is not None
