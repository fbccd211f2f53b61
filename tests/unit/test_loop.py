"""localbox.guest.loop: callbacks for descriptors that are ready, and timers in their order."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import pytest

from localbox.guest.loop import READ, WRITE, Loop


class Finished(Exception):
    """Raised by a callback to leave a loop that has no end of its own."""


def finish() -> None:
    raise Finished


def run(loop: Loop) -> None:
    loop.call_later(20, finish)  # so that a lost callback fails instead of hanging
    with pytest.raises(Finished):
        loop.run()


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop._epoll.close()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        try:
            os.close(fd)
        except OSError:
            pass


def test_a_callback_is_called_when_its_descriptor_is_ready(
    loop: Loop, pipe: tuple[int, int]
) -> None:
    seen: list[int] = []

    def ready(events: int) -> None:
        seen.append(events)
        finish()

    loop.watch(pipe[0], READ, ready)
    loop.call_later(0, lambda: os.write(pipe[1], b"x") and None)  # type: ignore[func-returns-value]
    run(loop)
    assert seen == [READ]


def test_an_unwatched_descriptor_is_left_alone(loop: Loop, pipe: tuple[int, int]) -> None:
    os.write(pipe[1], b"x")
    loop.watch(pipe[0], READ, lambda _events: pytest.fail("it was unwatched"))
    loop.unwatch(pipe[0])
    loop.unwatch(pipe[0])
    loop.call_later(0, finish)
    run(loop)


def test_a_second_watch_replaces_the_first(loop: Loop, pipe: tuple[int, int]) -> None:
    loop.watch(pipe[1], READ, lambda _events: pytest.fail("it was replaced"))
    loop.watch(pipe[1], WRITE, lambda _events: finish())
    run(loop)


def test_a_callback_may_unwatch_another_that_is_due(loop: Loop) -> None:
    """Both are ready in the same round; whichever comes first ends the other."""
    pipes = [os.pipe(), os.pipe()]
    called: list[int] = []

    def make(index: int) -> None:
        def ready(_events: int) -> None:
            called.append(index)
            other = pipes[1 - index][0]
            loop.unwatch(other)
            os.close(other)
            loop.call_later(0, finish)
            loop.unwatch(pipes[index][0])

        loop.watch(pipes[index][0], READ, ready)

    for index, (_reader, writer) in enumerate(pipes):
        os.write(writer, b"x")
        make(index)
    run(loop)
    assert len(called) == 1
    os.close(pipes[called[0]][0])
    for _reader, writer in pipes:
        os.close(writer)


def test_timers_run_in_the_order_of_their_times(loop: Loop) -> None:
    order: list[str] = []
    loop.call_later(0.02, lambda: order.append("late"))
    loop.call_later(0.01, lambda: order.append("early"))
    loop.call_later(0.01, lambda: order.append("early, second"))
    loop.call_later(0.03, finish)
    run(loop)
    assert order == ["early", "early, second", "late"]


def test_a_timer_never_runs_before_its_time(loop: Loop) -> None:
    start = time.monotonic()
    loop.call_later(0.02, finish)
    run(loop)
    assert time.monotonic() - start >= 0.02


def test_a_cancelled_timer_does_not_run(loop: Loop) -> None:
    timer = loop.call_later(0, lambda: pytest.fail("it was cancelled"))
    timer.cancel()
    loop.call_later(0.01, finish)
    run(loop)


def test_a_timer_may_set_another(loop: Loop) -> None:
    loop.call_later(0, lambda: loop.call_later(0, finish) and None)  # type: ignore[func-returns-value]
    run(loop)


@pytest.mark.parametrize("delay_s", [30 * 86400, 10**9, float("inf")])
def test_a_timer_far_away_does_not_overflow_the_wait(loop: Loop, delay_s: float) -> None:
    """epoll_wait(2) counts milliseconds in an int, which ends after 24 days."""
    loop.call_later(delay_s, lambda: pytest.fail("that was early"))
    assert 0 < loop._next_timeout() <= 86400


def test_without_timers_it_waits_for_ever(loop: Loop) -> None:
    assert loop._next_timeout() == -1
