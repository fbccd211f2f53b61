"""The agent's one event loop: descriptors to callbacks, and timers."""

from __future__ import annotations

import itertools
import select
import time
from collections.abc import Callable

READ = select.EPOLLIN
WRITE = select.EPOLLOUT
HANGUP = select.EPOLLHUP | select.EPOLLRDHUP | select.EPOLLERR

_LONGEST_WAIT_S = 86400.0


class Timer:
    """A callback due at a time; `cancel` makes it a no-op."""

    __slots__ = ("callback",)

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Loop:
    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callable[[int], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._order = itertools.count()

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` whenever `fd` is ready; replaces an earlier watch."""
        if fd in self._callbacks:
            self._epoll.modify(fd, events)
        else:
            self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def unwatch(self, fd: int) -> None:
        """Before the descriptor is closed: epoll would otherwise keep watching a duplicate."""
        if self._callbacks.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        timer = Timer(callback)
        self._timers.append((time.monotonic() + delay_s, next(self._order), timer))
        # Few, and in order but for the last; heapq would be one more library in every process.
        self._timers.sort()
        return timer

    def run(self) -> None:
        while True:
            for fd, events in self._epoll.poll(self._next_timeout()):
                callback = self._callbacks.get(fd)
                # An earlier callback of this round may have closed it.
                if callback is not None:
                    callback(events)
            self._run_timers()

    def _next_timeout(self) -> float:
        while self._timers and self._timers[0][2].callback is None:
            self._timers.pop(0)
        if not self._timers:
            return -1
        # epoll counts milliseconds in an int, and a call that wakes up early finds nothing due.
        return min(max(0.0, self._timers[0][0] - time.monotonic()), _LONGEST_WAIT_S)

    def _run_timers(self) -> None:
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = self._timers.pop(0)[2].callback
            if callback is not None:
                callback()
