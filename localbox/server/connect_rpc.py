"""The Connect protocol with its JSON codec: one message, a stream out, or a stream in.

https://connectrpc.com/docs/protocol; no compression and no GET, as E2B's SDKs use it. An error in
a stream is its last frame: by then the status 200 has long been sent.
"""

from __future__ import annotations

import asyncio
import json
import logging
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from localbox.server.auth import served_of, user_of
from localbox.server.bodies import MOST_BYTES, read_body, read_json
from localbox.server.errors import HANDLED, Refusal, connect_body
from localbox.server.state import Served
from localbox.server.streaming import until_disconnect

Message = dict[str, Any]
T = TypeVar("T")

_ENVELOPE = struct.Struct(">BI")
_COMPRESSED = 0x01
_END_OF_STREAM = 0x02
_STREAM_TYPE = "application/connect+json"
_UNARY_TYPE = "application/json"
# No deadline is longer than the protocol's ten digits of milliseconds.
_DEADLINE_DIGITS = 10
_log = logging.getLogger("localbox.server")


@dataclass(frozen=True)
class Call:
    """One call of a procedure.

    Attributes:
        message: what was sent; of a stream in, nothing.
        user: whom it shall run as; None for the sandbox's own.
        timeout_s: the client's deadline from now; None for none.
        keepalive_s: how long a stream out may be silent; None for as long as it likes.
    """

    served: Served
    message: Message
    user: str | None
    timeout_s: float | None
    keepalive_s: float | None


Unary = Callable[[Call], Awaitable[Message]]
# Yields bytes that `envelope` made, one or several.
StreamOut = Callable[[Call], AsyncGenerator[bytes, None]]
StreamIn = Callable[[Call, AsyncIterator[Message]], Awaitable[Message]]


def unary(path: str, procedure: Unary) -> Route:
    async def endpoint(request: Request) -> Response:
        _check_type(request, _UNARY_TYPE)
        served = await served_of(request)
        call = _call(request, served, await read_json(request))
        if call.timeout_s is not None:
            return _unary_answer(await _in_time(call, procedure(call)))
        # Without a deadline the client's going is all that ends a call that does not end.
        answers: list[Message] = []

        async def answering() -> None:
            answers.append(await procedure(call))

        await until_disconnect(request.receive, answering())
        return _unary_answer(answers[0] if answers else {})

    return Route(path, endpoint, methods=["POST"])


def stream_out(path: str, procedure: StreamOut, *, keepalive: bytes) -> Route:
    """
    Args:
        keepalive: what is sent after a silence; never before the first message.
    """

    async def endpoint(request: Request) -> Response:
        _check_type(request, _STREAM_TYPE)
        served = await served_of(request)
        decoder = EnvelopeDecoder()
        messages = decoder.feed(await read_body(request))
        if len(messages) != 1 or decoder.pending:
            raise Refusal(400, "a call with a stream for an answer has one message")
        call = _call(request, served, messages[0])
        return _StreamAnswer(procedure(call), keepalive, call.keepalive_s)

    return Route(path, endpoint, methods=["POST"])


def stream_in(path: str, procedure: StreamIn) -> Route:
    async def endpoint(request: Request) -> Response:
        _check_type(request, _STREAM_TYPE)
        call = _call(request, await served_of(request), {})
        try:
            answer = await _in_time(call, procedure(call, _messages(request)))
        except HANDLED as error:
            content = _last_envelope(error)
        except ClientDisconnect:
            content = b""  # to nobody
        else:
            content = envelope(answer) + _last_envelope(None)
        return Response(content, media_type=_STREAM_TYPE)

    return Route(path, endpoint, methods=["POST"])


def envelope(message: Message, flags: int = 0) -> bytes:
    return raw_envelope(_encode(message), flags)


def raw_envelope(content: bytes, flags: int = 0) -> bytes:
    """For content that is JSON already."""
    return _ENVELOPE.pack(flags, len(content)) + content


class EnvelopeDecoder:
    """Collects bytes and gives back whole messages; keeps at most one that is not."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of an unfinished message."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """
        Raises:
            Refusal: they are no messages.
        """
        self._buffer += data
        messages = []
        start = 0
        while len(self._buffer) - start >= _ENVELOPE.size:
            flags, length = _ENVELOPE.unpack_from(self._buffer, start)
            if length > MOST_BYTES:
                raise Refusal(413, f"a message is longer than {MOST_BYTES} bytes")
            if flags & _COMPRESSED:
                raise Refusal(501, "compressed messages are not understood here")
            end = start + _ENVELOPE.size + length
            if len(self._buffer) < end:
                break
            messages.append(_to_message(bytes(self._buffer[start + _ENVELOPE.size : end])))
            start = end
        del self._buffer[:start]
        return messages


def field(message: Message, name: str, kind: type[T], default: T) -> T:
    """A field of a message; `default` if it is not there, or null.

    Raises:
        Refusal: it is of another kind.
    """
    value = message.get(name)
    if value is None:
        return default
    # JSON of protobuf may write a number as a string.
    if kind is int and isinstance(value, str) and value.isascii() and value.isdigit():
        return kind(value[:20])  # type: ignore[call-arg]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Refusal(400, f"field {name!r} must be {kind.__name__}, not {value!r:.100}")
    return value


class _StreamAnswer(Response):
    """Envelopes as they are made. Waits where the client does not read, and so does the guest."""

    def __init__(
        self, envelopes: AsyncGenerator[bytes, None], keepalive: bytes, keepalive_s: float | None
    ) -> None:
        super().__init__(media_type=_STREAM_TYPE)
        del self.headers["content-length"]
        self._envelopes = envelopes
        self._keepalive = keepalive
        self._keepalive_s = keepalive_s
        self._last_sent_at = 0.0
        # A keepalive must not come in the middle of what the other task sends.
        self._turn = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await until_disconnect(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        headers = self.raw_headers
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        beating: asyncio.Task[None] | None = None
        end = _last_envelope(None)
        try:
            async with aclosing(self._envelopes) as envelopes:
                async for content in envelopes:
                    await self._send(send, content)
                    if beating is None and self._keepalive_s is not None:
                        beating = asyncio.create_task(self._beat(send, self._keepalive_s))
        except HANDLED as error:
            end = _last_envelope(error)
        except Exception as error:  # noqa: BLE001 (the client is told that there was one)
            _log.exception("a stream has ended with an error nobody expected")
            end = _last_envelope(error)
        finally:
            if beating is not None:
                beating.cancel()
                await asyncio.wait((beating,))
        await send({"type": "http.response.body", "body": end, "more_body": False})

    async def _send(self, send: Send, content: bytes) -> None:
        async with self._turn:
            await send({"type": "http.response.body", "body": content, "more_body": True})
            # Between a quick guest and a quick client nothing else waits, and all others would.
            await asyncio.sleep(0)
        self._last_sent_at = asyncio.get_running_loop().time()

    async def _beat(self, send: Send, interval_s: float) -> None:
        loop = asyncio.get_running_loop()
        while True:
            silence_s = loop.time() - self._last_sent_at
            if silence_s < interval_s:
                await asyncio.sleep(interval_s - silence_s)
            else:
                await self._send(send, self._keepalive)


async def _messages(request: Request) -> AsyncIterator[Message]:
    decoder = EnvelopeDecoder()
    async for data in request.stream():
        for message in decoder.feed(data):
            yield message
    if decoder.pending:
        raise Refusal(400, "the stream breaks off in a message")


async def _in_time(call: Call, answer: Awaitable[Message]) -> Message:
    try:
        async with asyncio.timeout(call.timeout_s):
            return await answer
    except TimeoutError:
        raise Refusal(504, f"there was no answer within {call.timeout_s:g} s") from None


def _call(request: Request, served: Served, message: Message) -> Call:
    timeout_ms = request.headers.get("connect-timeout-ms")
    if timeout_ms is not None and not (timeout_ms.isascii() and timeout_ms.isdigit()):
        raise Refusal(400, "Connect-Timeout-Ms is no number of milliseconds")
    keepalive = request.headers.get("keepalive-ping-interval", "")
    keepalive_s = float(keepalive) if keepalive.isascii() and keepalive.isdigit() else 0.0
    return Call(
        served=served,
        message=message,
        user=user_of(request),
        timeout_s=int(timeout_ms[:_DEADLINE_DIGITS]) / 1000 if timeout_ms else None,
        keepalive_s=keepalive_s or None,
    )


def _check_type(request: Request, expected: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != expected:
        raise Refusal(415, f"the content type here is {expected}, not {given or 'none'!r}")


def _unary_answer(message: Message) -> Response:
    return Response(_encode(message), media_type=_UNARY_TYPE)


def _encode(message: Message) -> bytes:
    # All ASCII: what a guest makes of a text need not be UTF-8.
    return json.dumps(message, separators=(",", ":")).encode()


def _last_envelope(error: Exception | None) -> bytes:
    return envelope({} if error is None else {"error": connect_body(error)}, _END_OF_STREAM)


def _to_message(content: bytes) -> Message:
    try:
        message = json.loads(content)
    except (ValueError, RecursionError):
        raise Refusal(400, "a message is not JSON") from None
    if not isinstance(message, dict):
        raise Refusal(400, "a message is not a JSON object")
    return message
