"""Bodies as the network cuts them: forms, gzip, Connect's envelopes."""

from __future__ import annotations

import asyncio
import gzip
import struct
from collections.abc import AsyncIterator

import pytest

from localbox.server import upload
from localbox.server.connect_rpc import EnvelopeDecoder, envelope, field
from localbox.server.errors import Refusal

_FORM = (
    b'--sep\r\nContent-Disposition: form-data; name="note"\r\n\r\nnot a file\r\n'
    b'--sep\r\nContent-Disposition: form-data; name="file"; filename="/a/\xc3\xa4 b"\r\n'
    b"Content-Type: text/plain\r\n\r\none\r\n--se\r\n-\r\n"
    b'--sep\r\ncontent-disposition: form-data; filename="c"; name="file"\r\n\r\n\r\n--sep--\r\n'
)


async def _cut(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def _files(data: bytes, size: int) -> list[tuple[str, bytes]]:
    form = upload.Form(_cut(data, size), "multipart/form-data; boundary=sep")
    found = []
    while (name := await form.next_file()) is not None:
        found.append((name, b"".join([piece async for piece in form.content()])))
    return found


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_a_form_has_its_files_however_it_is_cut(size: int) -> None:
    files = asyncio.run(_files(_FORM, size))
    assert files == [("/a/ä b", b"one\r\n--se\r\n-"), ("c", b"")]


@pytest.mark.parametrize("end", [b"\r\n-\r\n", b"sep--\r\n"])
def test_a_form_that_breaks_off_is_no_file(end: bytes) -> None:
    cut = _FORM[: _FORM.index(end)]
    with pytest.raises(Refusal, match="breaks off"):
        asyncio.run(_files(cut, 100))


def test_a_form_needs_a_boundary_that_can_be() -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=" + "x" * 1000):
        with pytest.raises(Refusal):
            upload.Form(_cut(b"", 1), kind)


async def _gunzipped(data: bytes, size: int) -> list[bytes]:
    return [piece async for piece in upload._gunzip(_cut(data, size))]


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_gzip_may_have_several_members(size: int) -> None:
    packed = gzip.compress(b"abc" * 100) + gzip.compress(b"def")
    assert b"".join(asyncio.run(_gunzipped(packed, size))) == b"abc" * 100 + b"def"


def test_what_gzip_blows_up_comes_in_pieces() -> None:
    packed = gzip.compress(bytes(20 * upload.PIECE_BYTES))
    pieces = asyncio.run(_gunzipped(packed, len(packed)))
    assert sum(map(len, pieces)) == 20 * upload.PIECE_BYTES
    assert max(map(len, pieces)) <= upload.PIECE_BYTES


def test_envelopes_are_read_however_they_are_cut() -> None:
    data = envelope({"a": 1}) + envelope({"b": "ä\ud800"})
    decoder = EnvelopeDecoder()
    found = [message for byte in data for message in decoder.feed(bytes([byte]))]
    assert found == [{"a": 1}, {"b": "ä\ud800"}]
    assert decoder.pending == 0


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (struct.pack(">BI", 0, 1 << 30), 413),
        (struct.pack(">BI", 1, 2) + b"{}", 501),
        (struct.pack(">BI", 0, 2) + b"[]", 400),
        (struct.pack(">BI", 0, 1) + b"{", 400),
    ],
)
def test_envelopes_that_cannot_be_are_refused(data: bytes, status: int) -> None:
    with pytest.raises(Refusal) as raised:
        EnvelopeDecoder().feed(data)
    assert raised.value.status == status


def test_fields_are_of_their_kind() -> None:
    assert field({"n": "12"}, "n", int, 0) == 12
    assert field({"n": None}, "n", int, 7) == field({}, "n", int, 7) == 7
    for value in (True, 1.5, "x", "-1", []):
        with pytest.raises(Refusal):
            field({"n": value}, "n", int, 0)
