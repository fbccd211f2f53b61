"""The body of an upload, as pieces: raw, in chunks, or as the one file of a form.

Everything is read once and in pieces; lengths and limits come from headers and are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import Message
from io import BufferedIOBase

from localbox.errors import NotEnoughSpaceException

PIECE_BYTES = 256 * 1024
_LINE_BYTES = 8 * 1024
# Headers of a part, or form fields before the file.
_PREAMBLE_BYTES = 64 * 1024


class UploadError(Exception):
    """The request's body is not what its headers say."""


class Body:
    """The bytes of a request's body, however they are framed."""

    def __init__(self, stream: BufferedIOBase, headers: Message, most_bytes: int) -> None:
        """
        Raises:
            UploadError: neither a length nor chunks.
            NotEnoughSpaceException: more than `most_bytes`.
        """
        self._stream = stream
        self._left_in_all = most_bytes
        encoding = headers.get("Transfer-Encoding", "").strip().lower()
        length = headers.get("Content-Length", "").strip()
        self._chunked = encoding == "chunked"
        self._left = 0
        self._at_end = False
        if encoding and (not self._chunked or length):
            raise UploadError(f"Transfer-Encoding {encoding!r} is not understood here")
        if not self._chunked:
            if not (length.isascii() and length.isdigit()):
                raise UploadError("Content-Length, or Transfer-Encoding: chunked, is needed")
            self._left = int(length)
            if self._left > most_bytes:
                raise _too_much(length)

    def read(self) -> bytes:
        """The next piece; empty at the end.

        Raises:
            UploadError: it breaks off.
            NotEnoughSpaceException: it is longer than allowed.
        """
        if self._chunked and not self._left and not self._at_end:
            self._next_chunk()
        if not self._left:
            return b""
        # What is there, and not all that was asked for: a slow client's bytes are written too.
        piece = self._stream.read1(min(self._left, PIECE_BYTES))
        if not piece:
            raise UploadError("the body is shorter than announced")
        self._left -= len(piece)
        if self._chunked and not self._left and self._line() != b"":
            raise UploadError("a chunk is longer than announced")
        return piece

    def _next_chunk(self) -> None:
        size = self._line().partition(b";")[0].strip()
        try:
            if not size.isalnum():
                raise ValueError
            self._left = int(size, 16)
        except ValueError:
            raise UploadError("a chunk begins without its length") from None
        self._left_in_all -= self._left
        if self._left_in_all < 0:
            raise _too_much("these")
        if not self._left:
            self._at_end = True
            while self._line():
                pass

    def _line(self) -> bytes:
        line = self._stream.readline(_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise UploadError("the body is shorter than announced, or a line of it too long")
        return line.rstrip(b"\r\n")


def _too_much(count: str) -> NotEnoughSpaceException:
    return NotEnoughSpaceException(
        f"{count} bytes are more than the sandbox's disk holds; it is limited by filesystem.disk "
        "of the profile"
    )


def file_part(body: Body, content_type: str) -> Iterator[bytes]:
    """The content of the one file: the body itself or, of a form, its part named "file".

    Raises:
        UploadError: a form without it.
    """
    headers = Message()
    headers["Content-Type"] = content_type or "application/octet-stream"
    if headers.get_content_type() != "multipart/form-data":
        return iter(body.read, b"")
    boundary = headers.get_boundary()
    if not boundary or len(boundary) > 70 or not boundary.isascii():
        raise UploadError("a form needs a boundary of at most 70 characters")
    form = _Form(body, boundary.encode())
    form.find_file()
    return form.content()


class _Form:
    """multipart/form-data, RFC 7578; a look-ahead of one delimiter is all that is kept."""

    def __init__(self, body: Body, boundary: bytes) -> None:
        self._body = body
        self._delimiter = b"\r\n--" + boundary
        # The first delimiter has no line before it.
        self._buffer = b"\r\n"

    def find_file(self) -> None:
        self._skip_to(self._delimiter)
        while True:
            # After a delimiter: "--" at the end of all, else the headers of a part.
            self._fill(2)
            if self._buffer[:2] == b"--":
                raise UploadError('the form has no part named "file"')
            head = self._skip_to(b"\r\n\r\n").decode("utf-8", "replace")
            if _name_of(head) == "file":
                return
            self._skip_to(self._delimiter)

    def content(self) -> Iterator[bytes]:
        while True:
            at = self._buffer.find(self._delimiter)
            if at >= 0:
                if at:
                    yield self._buffer[:at]
                self._buffer = self._buffer[at + len(self._delimiter) :]
                return
            keep = len(self._delimiter) - 1
            if len(self._buffer) > keep:
                yield self._buffer[:-keep]
                self._buffer = self._buffer[-keep:]
            self._more()

    def _skip_to(self, mark: bytes) -> bytes:
        while (at := self._buffer.find(mark)) < 0:
            if len(self._buffer) > _PREAMBLE_BYTES:
                raise UploadError("the form has too much before its file")
            self._more()
        skipped, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
        return skipped

    def _fill(self, count: int) -> None:
        while len(self._buffer) < count:
            self._more()

    def _more(self) -> None:
        piece = self._body.read()
        if not piece:
            raise UploadError("the form breaks off")
        self._buffer += piece


def _name_of(head: str) -> str | None:
    for line in head.split("\r\n"):
        name, _, value = line.partition(":")
        if name.strip().lower() == "content-disposition":
            headers = Message()
            headers["Content-Disposition"] = value.strip()
            found = headers.get_param("name", header="content-disposition")
            return found if isinstance(found, str) else None
    return None
