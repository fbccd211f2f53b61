"""Length-capped frames on a stream socket: one type byte, a 32-bit length, the payload.

Both sides treat the other's bytes as hostile: the length is checked before anything is kept, a
message is JSON and must be an object, and nothing is ever unpickled.
"""

from __future__ import annotations

import json
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Message = dict[str, Any]
else:
    Message = dict

MESSAGE = 0  # JSON object
STDOUT = 1
STDERR = 2
PTY = 3
DATA = 4  # bytes of a file, or of standard input
END_OF_DATA = 5

HEADER = struct.Struct(">BI")
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
MAX_CHUNK_BYTES = 256 * 1024
# What fits in one datagram on every kernel's default socket buffer; longer requests follow on
# the connection itself.
MAX_DATAGRAM_BYTES = 32 * 1024

_LIMITS = {
    MESSAGE: MAX_MESSAGE_BYTES,
    STDOUT: MAX_CHUNK_BYTES,
    STDERR: MAX_CHUNK_BYTES,
    PTY: MAX_CHUNK_BYTES,
    DATA: MAX_CHUNK_BYTES,
    END_OF_DATA: 0,
}

Frame = tuple[int, bytes]

# json.dumps and json.loads make and ask a good deal each time, which in a process just forked are
# so many pages to copy.
_to_json = json.JSONEncoder(separators=(",", ":")).encode
_scan = json.JSONDecoder().scan_once  # type: ignore[attr-defined]  # missing in typeshed


class FrameError(ValueError):
    """The peer sent bytes that are not a frame of this protocol."""


def encode(kind: int, payload: bytes) -> bytes:
    if len(payload) > _LIMITS[kind]:
        raise FrameError(f"frame of type {kind} with {len(payload)} bytes is over the limit")
    return HEADER.pack(kind, len(payload)) + payload


def encode_message(message: Message) -> bytes:
    # surrogateescape'd names (files that are not UTF-8) survive as \udcXX escapes: ASCII JSON.
    return encode(MESSAGE, _to_json(message).encode("ascii"))


def decode_message(payload: bytes) -> Message:
    try:
        text = payload.decode("ascii")
        message, end = _scan(text, 0)
    except StopIteration:
        raise FrameError("not a JSON message") from None
    except (ValueError, RecursionError) as error:
        raise FrameError(f"not a JSON message: {error}") from None
    if end != len(text):
        raise FrameError("not a JSON message: there is more behind it")
    if not isinstance(message, dict):
        raise FrameError("a message must be a JSON object")
    return message


class FrameDecoder:
    """Collects bytes and gives back whole frames; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Frames completed by `data`.

        Raises:
            FrameError: an unknown type or a length over the limit; the stream is then unusable.
        """
        buffer = self._buffer
        buffer += data
        frames: list[Frame] = []
        start = 0
        while len(buffer) - start >= HEADER.size:
            kind, length = HEADER.unpack_from(buffer, start)
            limit = _LIMITS.get(kind)
            if limit is None or length > limit:
                raise FrameError(f"frame of type {kind} claims {length} bytes")
            end = start + HEADER.size + length
            if len(buffer) < end:
                break
            frames.append((kind, bytes(buffer[start + HEADER.size : end])))
            start = end
        if start:
            del buffer[:start]
        return frames

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)


def encode_datagram(message: Message) -> bytes:
    """A message alone in a datagram, where the socket itself keeps the boundaries."""
    return _to_json(message).encode("ascii")
