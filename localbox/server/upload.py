"""The body of an upload as it comes: raw, gzipped, or as a form with one or more files.

Nothing is collected but one piece, and the headers of a form's part.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import AsyncIterator

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header
from starlette.requests import Request

from localbox.server.errors import Refusal

# What h11 hands on is small; each piece costs the sandbox a thread's turn.
PIECE_BYTES = 1024 * 1024
_HEADER_BYTES = 16 * 1024


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """The body, decompressed.

    Raises:
        Refusal: it is encoded in another way, or broken.
    """
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in ("", "identity"):
        async for data in request.stream():
            if data:
                yield data
    elif encoding == "gzip":
        async for data in _gunzip(request.stream()):
            yield data
    else:
        raise Refusal(415, f"Content-Encoding {encoding!r:.50} is not understood here: use gzip")


async def _gunzip(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    try:
        async for data in stream:
            left = data
            while left:
                # A little gzip may be very much content: one piece at a time.
                yield decoder.decompress(left, PIECE_BYTES)
                left = decoder.unconsumed_tail
                if decoder.eof and decoder.unused_data:
                    # RFC 1952 lets several follow one another.
                    left, decoder = decoder.unused_data, zlib.decompressobj(wbits=31)
        yield decoder.flush()
    except zlib.error as error:
        raise Refusal(400, f"the body is not gzip: {error}") from None
    if not decoder.eof:
        raise Refusal(400, "the body breaks off")


async def in_pieces(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, in pieces worth a system call."""
    collected = bytearray()
    async for data in stream:
        collected += data
        if len(collected) >= PIECE_BYTES:
            yield bytes(collected)
            collected.clear()
    if collected:
        yield bytes(collected)


class Form:
    """multipart/form-data; its parts are read one after the other, each to its end."""

    def __init__(self, body: AsyncIterator[bytes], content_type: str) -> None:
        """
        Raises:
            Refusal: it has no boundary.
        """
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise Refusal(400, "a form needs a boundary")
        self._body = body
        # Headers of a part that begins, content, or None for the end of a part.
        self._events: deque[dict[str, str] | bytes | None] = deque()
        self._headers: dict[str, str] = {}
        self._header = (bytearray(), bytearray())
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": lambda: self._events.append(None),
                },
                max_header_size=_HEADER_BYTES,
            )
        except FormParserError as error:
            raise Refusal(400, f"the form cannot be read: {error}") from None

    async def next_file(self) -> str | None:
        """The file name of the next part named "file"; None after the last."""
        while (event := await self._next()) is not _THE_END:
            if isinstance(event, dict):
                disposition = event.get("content-disposition", "").encode("latin-1")
                options = parse_options_header(disposition)[1]
                if options.get(b"name") == b"file":
                    return options.get(b"filename", b"").decode("utf-8", "replace")
        return None

    async def content(self) -> AsyncIterator[bytes]:
        """Of the part that `next_file` found.

        Raises:
            Refusal: the form breaks off.
        """
        while (event := await self._next()) is not None:
            if not isinstance(event, bytes):
                raise Refusal(400, "the form breaks off")
            yield event

    async def _next(self) -> dict[str, str] | bytes | None:
        while not self._events:
            data = await anext(self._body, b"")
            if not data:
                return _THE_END
            try:
                self._parser.write(data)
            except FormParserError as error:
                raise Refusal(400, f"the form cannot be read: {error}") from None
        return self._events.popleft()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def _on_header_end(self) -> None:
        name, value = self._header
        # latin-1 keeps every byte.
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        self._events.append(self._headers)
        self._headers = {}

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(bytes(data[start:end]))


_THE_END: dict[str, str] = {}
