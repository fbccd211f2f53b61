# generated from localbox/_async/watch_handle.py by scripts/unasync.py; edit that, not this
"""A watched directory: its changes, called back with or asked for, until it is stopped."""

from __future__ import annotations

import threading
from collections.abc import Generator

from localbox._sync.connection import Connection
from localbox.engine.answers import read_answer
from localbox.engine.entries import to_event
from localbox.errors import ProtocolError, SandboxException
from localbox.models import FilesystemEvent
from localbox.protocol.frames import Message, encode_message
from localbox.transport.wire import PeerGoneError

# More than a watcher keeps and the kernel queues; see guest/watching.py.
_MOST_BYTES_AT_ONCE = 64 * 1024 * 1024


class WatchHandle:
    """A directory that is being watched, as `files.watch_dir` returns it."""

    def __init__(
        self, connection: Connection, answers: Generator[list[FilesystemEvent], float | None]
    ) -> None:
        self._connection = connection
        self._answers = answers
        self._lock = threading.Lock()
        self._stopped = False

    def stop(self, request_timeout: float | None = None) -> None:
        """Stop watching."""
        with self._lock:
            self._stopped = True
            self._answers.close()

    def get_new_events(self, request_timeout: float | None = None) -> list[FilesystemEvent]:
        """What has happened since the last call, or since the watch began, up to now.

        Raises:
            SandboxException: it was stopped, or more happened than could be kept.
            SandboxNotRunningException: the sandbox has ended.
        """
        deadline = self._connection.request_deadline(request_timeout)
        with self._lock:
            if self._stopped:
                raise SandboxException("the watch was stopped; call watch_dir again")
            try:
                return self._answers.send(deadline)
            except StopIteration:
                raise SandboxException(
                    "the watch has ended with an error; call watch_dir again"
                ) from None


def poll_events(
    connection: Connection, request: Message, deadline: float | None
) -> Generator[list[FilesystemEvent], float | None]:
    """An empty list once the watch stands; then, for each deadline sent, what has happened."""
    with connection.exchange(request, deadline) as exchange:
        read_answer(exchange.receive(deadline))
        events: list[FilesystemEvent] = []
        while True:
            deadline = yield events
            events, size = [], 0
            try:
                exchange.send(encode_message({"op": "tell"}), deadline)
                while "events" in (answer := read_answer(frame := exchange.receive(deadline))):
                    events += _to_events(answer)
                    size += len(frame[1])
                    if size > _MOST_BYTES_AT_ONCE:
                        raise ProtocolError("the agent tells of more than can have happened")
            except PeerGoneError:
                raise _why_gone(connection) from None


def _why_gone(connection: Connection) -> SandboxException:
    if connection.ask_zygote({"op": "info"})["running"]:
        return SandboxException(
            "the watch has ended: a program in the sandbox ended the process that watches"
        )
    return connection.why_gone()


def _to_events(answer: Message) -> list[FilesystemEvent]:
    events = answer.get("events")
    if not isinstance(events, list):
        raise ProtocolError("the agent's answer has no events")
    return [to_event(event) for event in events]
