# generated from localbox/_async/process_input.py by scripts/unasync.py; edit that, not this
"""What a command handle and `commands` both do to a process by its pid."""

from __future__ import annotations

from localbox._sync.connection import Connection
from localbox.engine.answers import read_answer
from localbox.engine.copying import as_bytes
from localbox.errors import NotFoundException
from localbox.protocol.frames import DATA, END_OF_DATA

_CHUNK_BYTES = 64 * 1024


def kill_process(connection: Connection, pid: int, request_timeout: float | None) -> bool:
    try:
        connection.ask({"op": "kill", "pid": pid}, request_timeout)
    except NotFoundException:
        return False
    return True


def send_stdin(
    connection: Connection,
    pid: int,
    data: str | bytes,
    request_timeout: float | None,
    *,
    pty: bool = False,
) -> None:
    content = as_bytes(data, "data")
    deadline = connection.request_deadline(request_timeout)
    request = {"op": "write_stdin", "pid": pid, "pty": pty}
    with connection.exchange(request, deadline) as exchange:
        for start in range(0, len(content), _CHUNK_BYTES):
            exchange.send_chunk(DATA, content[start : start + _CHUNK_BYTES], deadline)
        exchange.send_chunk(END_OF_DATA, b"", deadline)
        # The answer comes when the last byte is in the pipe.
        read_answer(exchange.receive(deadline))


def close_stdin(connection: Connection, pid: int, request_timeout: float | None) -> None:
    connection.ask({"op": "close_stdin", "pid": pid}, request_timeout)
