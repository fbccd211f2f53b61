"""`AsyncSandbox.list`: what is found, in which order, on which page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from localbox import (
    AsyncSandbox,
    AsyncSandboxPaginator,
    InvalidArgumentException,
    SandboxException,
    SandboxInfo,
    SandboxQuery,
    SandboxState,
)

pytestmark = pytest.mark.anyio


@pytest.fixture
async def three() -> AsyncIterator[list[AsyncSandbox]]:
    """The oldest first."""
    async with (
        await AsyncSandbox.create(metadata={"place": "1", "group": "a"}) as first,
        await AsyncSandbox.create("code-interpreter-v1", metadata={"place": "2"}) as second,
        await AsyncSandbox.create(metadata={"place": "3", "group": "a"}) as third,
    ):
        yield [first, second, third]


async def pages_of(paginator: AsyncSandboxPaginator) -> list[list[SandboxInfo]]:
    pages = []
    while paginator.has_next:
        pages.append(await paginator.next_items())
    return pages


async def places(*arguments: Any, **keywords: Any) -> str:
    pages = await pages_of(AsyncSandbox.list(*arguments, **keywords))
    return "|".join("".join(info.metadata["place"] for info in page) for page in pages)


async def test_all_are_listed_with_what_get_info_says(three: list[AsyncSandbox]) -> None:
    listed = {info.sandbox_id: info for info in await AsyncSandbox.list().next_items()}
    assert set(listed) == {sandbox.sandbox_id for sandbox in three}
    info = await three[0].get_info()
    assert listed[info.sandbox_id].started_at == info.started_at
    assert listed[info.sandbox_id].metadata == {"place": "1", "group": "a"}
    assert listed[info.sandbox_id].state is SandboxState.RUNNING


async def test_the_newest_is_first_unless_asked_otherwise(three: list[AsyncSandbox]) -> None:
    assert await places() == "321"
    assert await places(order="desc") == "321"
    assert await places(order="asc") == "123"


async def test_a_limit_makes_pages_across_which_the_order_goes_on(
    three: list[AsyncSandbox],
) -> None:
    assert await places(limit=2) == "32|1"
    assert await places(limit=1, order="asc") == "1|2|3"
    assert await places(limit=3) == "321"


async def test_a_token_goes_on_where_another_paginator_stopped(three: list[AsyncSandbox]) -> None:
    first = AsyncSandbox.list(limit=2)
    await first.next_items()
    assert first.next_token is not None
    assert await places(next_token=first.next_token) == "1"


async def test_what_ends_between_two_pages_is_not_missed(three: list[AsyncSandbox]) -> None:
    paginator = AsyncSandbox.list(limit=1)
    await paginator.next_items()
    await three[2].kill()
    assert [info.metadata["place"] for info in await paginator.next_items()] == ["2"]


async def test_past_the_last_page_is_an_error(three: list[AsyncSandbox]) -> None:
    paginator = AsyncSandbox.list()
    await paginator.next_items()
    assert not paginator.has_next
    assert paginator.next_token is None
    with pytest.raises(SandboxException, match="has_next"):
        await paginator.next_items()


async def test_a_query_filters_by_metadata(three: list[AsyncSandbox]) -> None:
    assert await places(SandboxQuery(metadata={"group": "a"})) == "31"
    assert await places(query=SandboxQuery(metadata={"group": "a", "place": "3"})) == "3"
    assert await places(SandboxQuery(metadata={"group": "b"})) == ""


async def test_a_query_filters_by_template(three: list[AsyncSandbox]) -> None:
    assert await places(SandboxQuery(template="code-interpreter-v1")) == "2"
    assert await places(SandboxQuery(template="nothing-of-that-name")) == ""


async def test_a_query_filters_by_state(three: list[AsyncSandbox]) -> None:
    await three[1].pause()
    assert await places(SandboxQuery(state=[SandboxState.PAUSED])) == "2"
    assert await places(SandboxQuery(state=[SandboxState.RUNNING])) == "31"
    both: Any = ["running", "paused"]
    assert await places(SandboxQuery(state=both)) == "321"


async def test_a_query_filters_by_start(three: list[AsyncSandbox]) -> None:
    started_at = (await three[1].get_info()).started_at
    assert await places(SandboxQuery(started_after=started_at)) == "32"
    later = started_at + timedelta(microseconds=1)
    assert await places(SandboxQuery(started_after=later)) == "3"


async def test_a_time_without_a_zone_is_local(
    three: list[AsyncSandbox],
) -> None:
    started_at = (await three[1].get_info()).started_at
    local = started_at.astimezone().replace(tzinfo=None)
    assert await places(SandboxQuery(started_after=local)) == "32"


async def test_what_has_ended_is_not_listed(three: list[AsyncSandbox]) -> None:
    await three[0].kill()
    assert await places() == "32"


async def test_no_sandbox_is_one_empty_page() -> None:
    assert await pages_of(AsyncSandbox.list()) == [[]]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"order": "up"}, "order must be"),
        ({"limit": -1}, "limit must be"),
        ({"limit": "2"}, "limit must be"),
        ({"next_token": "not one"}, "next_token"),
        ({"next_token": "bm90IG9uZQ=="}, "next_token"),
    ],
)
async def test_what_cannot_be_listed_says_why(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidArgumentException, match=match):
        await AsyncSandbox.list(**arguments).next_items()


async def test_an_unknown_option_is_an_error_at_once() -> None:
    with pytest.raises(TypeError, match="limits"):
        AsyncSandbox.list(limits=2)


async def test_an_object_lists_sandboxes_too(three: list[AsyncSandbox]) -> None:
    page = await three[0].list(SandboxQuery(metadata={"place": "2"}), limit=5).next_items()
    assert [info.sandbox_id for info in page] == [three[1].sandbox_id]
    # unasync: async
    # unasync: sync
    # assert [entry.name for entry in three[0].list("/home")] == ["user"]
    # unasync: end
