"""localbox.protocol.frames: whatever the pieces, frames come out whole; nonsense never gets in."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localbox.protocol import frames
from localbox.protocol.frames import FrameDecoder, FrameError

KINDS = [frames.MESSAGE, frames.STDOUT, frames.STDERR, frames.PTY, frames.DATA]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(
    sent=st.lists(st.tuples(st.sampled_from(KINDS), st.binary(max_size=300)), max_size=8),
    cuts=st.lists(st.integers(1, 50), min_size=1),
)
def test_frames_survive_any_cutting(sent: list[tuple[int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(frames.encode(kind, payload) for kind, payload in sent)
    decoder = FrameDecoder()
    got: list[tuple[int, bytes]] = []
    start, turn = 0, 0
    while start < len(stream):
        end = start + cuts[turn % len(cuts)]
        got += decoder.feed(stream[start:end])
        start, turn = end, turn + 1
    assert got == sent
    assert decoder.pending == 0


@given(st.binary(max_size=100))
def test_any_bytes_are_frames_or_an_error(data: bytes) -> None:
    decoder = FrameDecoder()
    try:
        got = decoder.feed(data)
    except FrameError:
        return
    used = sum(frames.HEADER.size + len(payload) for _kind, payload in got)
    assert used + decoder.pending == len(data)


@given(st.dictionaries(st.text(), json_values))
def test_messages_come_back_as_they_were(message: frames.Message) -> None:
    ((kind, payload),) = FrameDecoder().feed(frames.encode_message(message))
    assert kind == frames.MESSAGE
    assert frames.decode_message(payload) == message
    assert frames.decode_message(frames.encode_datagram(message)) == message


def test_names_that_are_not_utf8_survive() -> None:
    message = {"name": b"caf\xe9".decode("utf-8", "surrogateescape")}
    payload = frames.encode_message(message)[frames.HEADER.size :]
    payload.decode("ascii")
    assert frames.decode_message(payload) == message


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"7",
        b'"text"',
        b"null",
        b"{",
        b"{'a': 1}",
        b"\xff",
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'{"n": ' + b"9" * 10_000 + b"}",
    ],
    ids=lambda payload: payload[:8].hex(),
)
def test_what_is_no_object_is_an_error(payload: bytes) -> None:
    with pytest.raises(FrameError):
        frames.decode_message(payload)


@pytest.mark.parametrize(
    ("kind", "length"),
    [
        (6, 0),
        (255, 0),
        (frames.MESSAGE, frames.MAX_MESSAGE_BYTES + 1),
        (frames.STDOUT, frames.MAX_CHUNK_BYTES + 1),
        (frames.DATA, 0xFFFFFFFF),
        (frames.END_OF_DATA, 1),
    ],
)
def test_a_bad_header_is_refused_before_its_payload_is_kept(kind: int, length: int) -> None:
    decoder = FrameDecoder()
    with pytest.raises(FrameError):
        decoder.feed(frames.HEADER.pack(kind, length))


@pytest.mark.parametrize("kind", [*KINDS, frames.END_OF_DATA])
def test_what_may_be_sent_may_be_received(kind: int) -> None:
    limit = frames._LIMITS[kind]
    assert FrameDecoder().feed(frames.encode(kind, bytes(limit))) == [(kind, bytes(limit))]
    with pytest.raises(FrameError):
        frames.encode(kind, bytes(limit + 1))


def test_a_frame_before_a_bad_one_is_not_given_out_twice() -> None:
    decoder = FrameDecoder()
    good = frames.encode(frames.STDOUT, b"x")
    assert decoder.feed(good + good[:3]) == [(frames.STDOUT, b"x")]
    assert decoder.feed(good[3:]) == [(frames.STDOUT, b"x")]


def test_a_message_is_plain_json() -> None:
    payload = frames.encode_message({"op": "ping"})[frames.HEADER.size :]
    assert json.loads(payload) == {"op": "ping"}
