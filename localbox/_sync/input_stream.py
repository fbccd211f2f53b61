# generated from localbox/_async/input_stream.py by scripts/unasync.py; edit that, not this
"""Input to a running process as it comes to hand, over one exchange that keeps its order.

What the process does not read waits: a little in its pipe or terminal, a little in the agent, the
rest here, with whoever sends. Nothing closes the process's input but `close_stdin`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from localbox._sync.connection import Connection
from localbox.engine.answers import read_answer
from localbox.engine.copying import as_bytes
from localbox.engine.creation import check_timeout
from localbox.errors import InvalidArgumentException, TimeoutException
from localbox.protocol.frames import DATA, END_OF_DATA
from localbox.transport.wire import remaining

STREAM_TIMEOUT_S = 60.0
_CHUNK_BYTES = 64 * 1024


def stream_input(
    connection: Connection,
    pid: int,
    data: Iterable[str | bytes],
    timeout: float | None,
    *,
    pty: bool,
) -> None:
    """Send each of `data`, and return when the process's pipe or terminal has all of it.

    Raises:
        InvalidArgumentException: `data` is itself a str or bytes, or holds something else.
        NotFoundException: there is no such process.
        TimeoutException: the time is up. It is looked at between two chunks.
        SandboxException: the process's input is closed.
    """
    if isinstance(data, str | bytes | bytearray | memoryview):
        raise InvalidArgumentException(
            "data must be an iterable of str or bytes; for a single one write [data]"
        )
    timeout_s = check_timeout(timeout, "timeout", zero_is_none=True)
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    request = {"op": "write_stdin", "pid": pid, "pty": pty}
    failures: list[Exception] = []
    with connection.exchange(request, deadline) as exchange:
        try:
            for piece in _pieces(data, failures):
                remaining(deadline)
                # An answer before the end of the input is bad news.
                if exchange.has_answer():
                    break
                exchange.send_chunk(DATA, piece, deadline)
            if not failures:
                exchange.send_chunk(END_OF_DATA, b"", deadline)
                read_answer(exchange.receive(deadline))
        except TimeoutError:
            raise _time_is_up(pid, timeout_s) from None
    # Only here, or a TimeoutError of the caller's would be taken for ours.
    for failure in failures:
        raise failure


def _pieces(data: Iterable[str | bytes], failures: list[Exception]) -> Iterator[bytes]:
    try:
        for item in data:
            content = as_bytes(item, "each item of data")
            for start in range(0, len(content), _CHUNK_BYTES):
                yield content[start : start + _CHUNK_BYTES]
    except Exception as error:  # raised when the exchange is closed
        failures.append(error)


def _time_is_up(pid: object, timeout_s: float | None) -> TimeoutException:
    return TimeoutException(
        f"process {pid} did not take all of its input within {timeout_s:g} s; see timeout"
    )
