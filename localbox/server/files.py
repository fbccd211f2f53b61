"""GET and POST /files, and what else envd tells without RPC: /health, /envs, /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import zlib
from collections.abc import AsyncIterator
from urllib.parse import quote

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from localbox._async.filesystem import AsyncFileStreamReader
from localbox.models import WriteInfo
from localbox.server.auth import served_of, served_of_file
from localbox.server.errors import Refusal, SandboxGone
from localbox.server.state import Served
from localbox.server.streaming import until_disconnect
from localbox.server.upload import PIECE_BYTES, Form, body_of, in_pieces

_METADATA = "x-metadata-"
_METADATA_BYTES = 4096
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# How long a client may go on sending what is not wanted any more before it is hung up on.
_LEAVE_S = 5.0


async def _health(request: Request) -> Response:
    served = await served_of(request, with_token=False)
    if not await served.sandbox.is_running():
        raise SandboxGone(served.sandbox_id)
    return Response(status_code=204)


async def _envs(request: Request) -> Response:
    return JSONResponse(dict((await served_of(request)).envs))


async def _metrics(request: Request) -> Response:
    served = await served_of(request)
    *_, now = await served.sandbox.get_metrics()
    return JSONResponse(
        {
            "ts": int(now.timestamp.timestamp()),
            "cpu_count": now.cpu_count,
            "cpu_used_pct": now.cpu_used_pct,
            "mem_total": now.mem_total,
            "mem_used": now.mem_used,
            "mem_cache": now.mem_cache,
            "disk_used": now.disk_used,
            "disk_total": now.disk_total,
        }
    )


async def _read(request: Request) -> Response:
    path = _path(request)
    served = await served_of_file(request, "read", path)
    user = request.query_params.get("username") or None
    stream = await served.sandbox.files.read(path, "stream", user)
    return _Download(request, stream, path)


async def _write(request: Request) -> Response:
    path = request.query_params.get("path", "")
    served = await served_of_file(request, "write", path)
    metadata = _metadata(request)
    content_type = request.headers.get("content-type", "")
    body = body_of(request)
    try:
        if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
            written = await _write_form(request, served, Form(body, content_type), metadata)
        else:
            written = [await _write_one(request, served, _path(request), body, metadata)]
    except ClientDisconnect:
        return Response(status_code=400)  # to nobody
    except Exception:
        # An answer before the end of the request is taken for a broken connection.
        with contextlib.suppress(TimeoutError, ClientDisconnect, RuntimeError):
            async with asyncio.timeout(_LEAVE_S):
                async for _ in request.stream():
                    pass
        raise
    return JSONResponse([_described(info) for info in written])


async def _write_form(
    request: Request, served: Served, form: Form, metadata: dict[str, str] | None
) -> list[WriteInfo]:
    path = request.query_params.get("path")
    written: list[WriteInfo] = []
    while (filename := await form.next_file()) is not None:
        if path and written:
            raise Refusal(400, "several files are named by their parts; leave out path")
        if not (path or filename):
            raise Refusal(400, "a file of the form has no filename, and there is no path")
        target = path or filename
        written.append(await _write_one(request, served, target, form.content(), metadata))
    if not written:
        raise Refusal(400, 'the form has no part named "file"')
    return written


async def _write_one(
    request: Request,
    served: Served,
    path: str,
    content: AsyncIterator[bytes],
    metadata: dict[str, str] | None,
) -> WriteInfo:
    user = request.query_params.get("username") or None
    files = served.sandbox.files
    pieces = in_pieces(content)
    first = await anext(pieces, b"")
    second = await anext(pieces, b"") if len(first) >= PIECE_BYTES else b""
    if not second:
        # In one go, without a thread, and not at all where it does not fit.
        return await files.write(path, first, user, metadata=metadata)

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        yield second
        async for piece in pieces:
            yield piece

    return await files.write(path, all_pieces(), user, metadata=metadata)


class _Download(Response):
    """A file as it is read: all of it, a range of it, or gzipped."""

    def __init__(self, request: Request, stream: AsyncFileStreamReader, path: str) -> None:
        size = stream._size()
        headers = {
            # Never a page: what a guest wrote must not run in this origin.
            "content-type": "application/octet-stream",
            "content-disposition": f"inline; filename*=UTF-8''{quote(path.rpartition('/')[2])}",
            "accept-ranges": "bytes",
            "x-content-type-options": "nosniff",
            "vary": "accept-encoding",
        }
        status, start, end = 200, 0, size
        wanted = _wanted_range(request.headers.get("range", ""), size)
        # Of clients that ask for no more than that: most name it among others, by default.
        self._gzip = not wanted and request.headers.get("accept-encoding", "").strip() == "gzip"
        if wanted:
            start, end = wanted
            status = 206 if start < end else 416
            shown = f"{start}-{end - 1}" if start < end else "*"
            headers["content-range"] = f"bytes {shown}/{size}"
        if self._gzip:
            headers["content-encoding"] = "gzip"
        else:
            headers["content-length"] = str(end - start)
        super().__init__(status_code=status, headers=headers)
        if self._gzip:
            del self.headers["content-length"]
        self._stream = stream
        self._left = 0 if request.method == "HEAD" else end - start
        stream._skip(start)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._stream:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            if self._left <= PIECE_BYTES:
                await self._send_all(send)
            else:
                await until_disconnect(receive, self._send_all(send))

    async def _send_all(self, send: Send) -> None:
        encoder = zlib.compressobj(level=1, wbits=31) if self._gzip else None
        # Not more than was promised, though the file may have grown.
        while self._left > 0 and (piece := (await anext(self._stream, b""))[: self._left]):
            self._left -= len(piece)
            if encoder is not None:
                piece = await asyncio.to_thread(encoder.compress, piece)
            if piece:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        last = encoder.flush() if encoder is not None else b""
        await send({"type": "http.response.body", "body": last, "more_body": False})


def _wanted_range(header: str, size: int) -> tuple[int, int] | None:
    """Start and end of the one range asked for; None for the whole. RFC 9110, section 14.

    An end that is not after the start says that there is nothing to send.
    """
    match = _RANGE.fullmatch(header.strip())
    # Several ranges, or what is no range, may be answered with everything.
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        return max(size - int(last), 0), size
    end = min(int(last) + 1, size) if last else size
    if last and int(last) < int(first):
        return None
    return int(first), end


def _path(request: Request) -> str:
    path = request.query_params.get("path", "")
    if not path:
        raise Refusal(400, "the query needs a path")
    return path


def _metadata(request: Request) -> dict[str, str] | None:
    """What the headers say the file's metadata shall be; none of them leaves it as it is."""
    metadata = {
        name[len(_METADATA) :]: value
        for name, value in request.headers.items()
        if name.startswith(_METADATA)
    }
    if sum(map(len, itertools.chain(*metadata.items()))) > _METADATA_BYTES:
        raise Refusal(400, f"metadata may have {_METADATA_BYTES} bytes in all")
    return metadata or None


def _described(info: WriteInfo) -> dict[str, object]:
    described: dict[str, object] = {"path": info.path, "name": info.name, "type": "file"}
    if info.metadata:
        described["metadata"] = info.metadata
    return described


routes = [
    Route("/health", _health, methods=["GET"]),
    Route("/envs", _envs, methods=["GET"]),
    Route("/metrics", _metrics, methods=["GET"]),
    Route("/files", _read, methods=["GET"]),
    Route("/files", _write, methods=["POST"]),
]
