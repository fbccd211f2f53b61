"""Bodies of uploads: however they are cut in pieces, and whatever is wrong with them."""

from __future__ import annotations

import io
from email.message import Message

import pytest

from localbox import NotEnoughSpaceException
from localbox.engine.uploads import Body, UploadError, file_part

FORM = (
    b"ignored\r\n--b\r\n"
    b'Content-Disposition: form-data; name="text"\r\n\r\n--x\r\n'
    b"--b\r\n"
    b'content-disposition: form-data; filename="f"; name=file\r\n'
    b"Content-Type: text/plain\r\n\r\n"
    b"one\r\n--two\r\n-\r\n\r\n--b\r\n"
    b'Content-Disposition: form-data; name="file"\r\n\r\nsecond\r\n--b--\r\n'
)


class Slow(io.BytesIO):
    """Gives a few bytes at a time."""

    def __init__(self, content: bytes, at_a_time: int) -> None:
        super().__init__(content)
        self._at_a_time = at_a_time

    def read1(self, size: int | None = -1) -> bytes:
        return super().read1(self._at_a_time if size in (None, -1) else min(size, self._at_a_time))


def upload(
    content: bytes, at_a_time: int = 1 << 20, most_bytes: int = 10_000, **headers: str
) -> bytes:
    message = Message()
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    body = Body(Slow(content, at_a_time), message, most_bytes)  # type: ignore[arg-type]
    return b"".join(file_part(body, headers.get("Content_Type", "")))


def upload_form(content: bytes, at_a_time: int = 1 << 20) -> bytes:
    return upload(
        content,
        at_a_time,
        Content_Length=str(len(content)),
        Content_Type='multipart/form-data; boundary="b"',
    )


@pytest.mark.parametrize("at_a_time", [1, 2, 3, 5, 7, 100])
def test_the_file_of_a_form_is_found_however_it_comes(at_a_time: int) -> None:
    assert upload_form(FORM, at_a_time) == b"one\r\n--two\r\n-\r\n"


def test_a_file_in_a_form_may_be_empty() -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\n'
    assert upload_form(head + b"\r\n--b--\r\n", 1) == b""


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--b--\r\n",
        FORM.replace(b"name=file", b"name=none").replace(b'name="file"', b""),
        FORM[:150],
        FORM[:-20],
        b"x" * 200_000,
        b"--b\r\n" + b"x" * 200_000,
    ],
    ids=range(7),
)
def test_a_form_that_is_none_is_an_error(content: bytes) -> None:
    if content == FORM[:-20]:
        assert upload_form(content)  # what breaks off is behind the file
        return
    with pytest.raises(UploadError):
        upload(
            content,
            most_bytes=1 << 20,
            Content_Length=str(len(content)),
            Content_Type="multipart/form-data; boundary=b",
        )


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 71}"]
)
def test_a_form_needs_a_boundary(content_type: str) -> None:
    with pytest.raises(UploadError, match="boundary"):
        upload(b"x", Content_Length="1", Content_Type=content_type)


def test_a_plain_body_ends_at_its_length() -> None:
    assert upload(b"12345next request", Content_Length="5") == b"12345"


@pytest.mark.parametrize("at_a_time", [1, 2, 100])
def test_chunks_are_put_together(at_a_time: int) -> None:
    content = b"3\r\nabc\r\nA;extension=1\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nmore"
    assert upload(content, at_a_time, Transfer_Encoding="chunked") == b"abc0123456789"


@pytest.mark.parametrize(
    ("content", "headers"),
    [
        (b"", {}),
        (b"x", {"Content_Length": "-1"}),
        (b"x", {"Content_Length": "٣"}),
        (b"x", {"Content_Length": "10001"}),
        (b"x", {"Content_Length": "2"}),
        (b"0\r\n\r\n", {"Transfer_Encoding": "gzip"}),
        (b"0\r\n\r\n", {"Transfer_Encoding": "chunked", "Content_Length": "5"}),
        (b"-3\r\nabc\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (b"\r\nabc\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (b"3\r\nabcd\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (b"3\r\nab", {"Transfer_Encoding": "chunked"}),
        (b"2711\r\n" + b"x" * 10001 + b"\r\n0\r\n\r\n", {"Transfer_Encoding": "chunked"}),
        (b"f" * 9000, {"Transfer_Encoding": "chunked"}),
    ],
    ids=range(13),
)
def test_a_body_that_is_not_as_announced_is_an_error(
    content: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises((UploadError, NotEnoughSpaceException)):
        upload(content, **headers)
