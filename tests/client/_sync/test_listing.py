# generated from tests/client/_async/test_listing.py by scripts/unasync.py; edit that, not this
"""`Sandbox.list`: what is found, in which order, on which page."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from localbox import (
    InvalidArgumentException,
    Sandbox,
    SandboxException,
    SandboxInfo,
    SandboxPaginator,
    SandboxQuery,
    SandboxState,
)


@pytest.fixture
def three() -> Iterator[list[Sandbox]]:
    """The oldest first."""
    with (
        Sandbox.create(metadata={"place": "1", "group": "a"}) as first,
        Sandbox.create("code-interpreter-v1", metadata={"place": "2"}) as second,
        Sandbox.create(metadata={"place": "3", "group": "a"}) as third,
    ):
        yield [first, second, third]


def pages_of(paginator: SandboxPaginator) -> list[list[SandboxInfo]]:
    pages = []
    while paginator.has_next:
        pages.append(paginator.next_items())
    return pages


def places(*arguments: Any, **keywords: Any) -> str:
    pages = pages_of(Sandbox.list(*arguments, **keywords))
    return "|".join("".join(info.metadata["place"] for info in page) for page in pages)


def test_all_are_listed_with_what_get_info_says(three: list[Sandbox]) -> None:
    listed = {info.sandbox_id: info for info in Sandbox.list().next_items()}
    assert set(listed) == {sandbox.sandbox_id for sandbox in three}
    info = three[0].get_info()
    assert listed[info.sandbox_id].started_at == info.started_at
    assert listed[info.sandbox_id].metadata == {"place": "1", "group": "a"}
    assert listed[info.sandbox_id].state is SandboxState.RUNNING


def test_the_newest_is_first_unless_asked_otherwise(three: list[Sandbox]) -> None:
    assert places() == "321"
    assert places(order="desc") == "321"
    assert places(order="asc") == "123"


def test_a_limit_makes_pages_across_which_the_order_goes_on(
    three: list[Sandbox],
) -> None:
    assert places(limit=2) == "32|1"
    assert places(limit=1, order="asc") == "1|2|3"
    assert places(limit=3) == "321"


def test_a_token_goes_on_where_another_paginator_stopped(three: list[Sandbox]) -> None:
    first = Sandbox.list(limit=2)
    first.next_items()
    assert first.next_token is not None
    assert places(next_token=first.next_token) == "1"


def test_what_ends_between_two_pages_is_not_missed(three: list[Sandbox]) -> None:
    paginator = Sandbox.list(limit=1)
    paginator.next_items()
    three[2].kill()
    assert [info.metadata["place"] for info in paginator.next_items()] == ["2"]


def test_past_the_last_page_is_an_error(three: list[Sandbox]) -> None:
    paginator = Sandbox.list()
    paginator.next_items()
    assert not paginator.has_next
    assert paginator.next_token is None
    with pytest.raises(SandboxException, match="has_next"):
        paginator.next_items()


def test_a_query_filters_by_metadata(three: list[Sandbox]) -> None:
    assert places(SandboxQuery(metadata={"group": "a"})) == "31"
    assert places(query=SandboxQuery(metadata={"group": "a", "place": "3"})) == "3"
    assert places(SandboxQuery(metadata={"group": "b"})) == ""


def test_a_query_filters_by_template(three: list[Sandbox]) -> None:
    assert places(SandboxQuery(template="code-interpreter-v1")) == "2"
    assert places(SandboxQuery(template="nothing-of-that-name")) == ""


def test_a_query_filters_by_state(three: list[Sandbox]) -> None:
    three[1].pause()
    assert places(SandboxQuery(state=[SandboxState.PAUSED])) == "2"
    assert places(SandboxQuery(state=[SandboxState.RUNNING])) == "31"
    both: Any = ["running", "paused"]
    assert places(SandboxQuery(state=both)) == "321"


def test_a_query_filters_by_start(three: list[Sandbox]) -> None:
    started_at = three[1].get_info().started_at
    assert places(SandboxQuery(started_after=started_at)) == "32"
    later = started_at + timedelta(microseconds=1)
    assert places(SandboxQuery(started_after=later)) == "3"


def test_a_time_without_a_zone_is_local(
    three: list[Sandbox],
) -> None:
    started_at = three[1].get_info().started_at
    local = started_at.astimezone().replace(tzinfo=None)
    assert places(SandboxQuery(started_after=local)) == "32"


def test_what_has_ended_is_not_listed(three: list[Sandbox]) -> None:
    three[0].kill()
    assert places() == "32"


def test_no_sandbox_is_one_empty_page() -> None:
    assert pages_of(Sandbox.list()) == [[]]


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
def test_what_cannot_be_listed_says_why(arguments: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidArgumentException, match=match):
        Sandbox.list(**arguments).next_items()


def test_an_unknown_option_is_an_error_at_once() -> None:
    with pytest.raises(TypeError, match="limits"):
        Sandbox.list(limits=2)


def test_an_object_lists_sandboxes_too(three: list[Sandbox]) -> None:
    page = three[0].list(SandboxQuery(metadata={"place": "2"}), limit=5).next_items()
    assert [info.sandbox_id for info in page] == [three[1].sandbox_id]
    assert [entry.name for entry in three[0].list("/home")] == ["user"]
