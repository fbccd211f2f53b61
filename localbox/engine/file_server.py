"""Serves one sandbox's files over HTTP on the loopback interface, to who has a signed address.

Threads of the standard library's server, one for each request, started by the forwarder.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from localbox.engine.copying import CHUNK_BYTES
from localbox.engine.file_urls import Signer
from localbox.engine.registry import SandboxRecord
from localbox.engine.uploads import Body, UploadError, file_part
from localbox.errors import (
    AuthenticationException,
    FileNotFoundException,
    InvalidArgumentException,
    NotEnoughSpaceException,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)

_MOST_REQUESTS = 32
# Between two pieces of a request, or of an answer that is not taken.
_PATIENCE_S = 30.0
_LEAVE_S = 1.0
_LEAVE_BYTES = 16 * 1024 * 1024
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (FileNotFoundException, 404),
    (InvalidArgumentException, 400),
    (AuthenticationException, 401),
    (NotEnoughSpaceException, 507),
    (SandboxNotRunningException, 502),
    (TimeoutException, 504),
    (SandboxException, 500),
)


class FileServer:
    """See forwarding.Service."""

    def __init__(self, files: Any, record: SandboxRecord) -> None:
        self.files = files
        self.disk_bytes = record.policy.filesystem.disk_bytes
        self.signer = Signer()
        self._clients: set[socket.socket] = set()

    def accept(self, client: socket.socket) -> None:
        if len(self._clients) >= _MOST_REQUESTS:
            client.close()
            return
        self._clients.add(client)
        thread = threading.Thread(
            target=self._serve, args=(client,), name="localbox-files", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the machine has no more of them
            self._clients.discard(client)
            client.close()

    def end(self) -> None:
        for client in list(self._clients):
            # Wakes its thread, which closes it.
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def abandon(self) -> None:
        for client in self._clients:
            client.close()

    def _serve(self, client: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError):
                server: Any = self
                _Request(client, client.getsockname(), server)
                _take_leave(client)
        finally:
            self._clients.discard(client)
            client.close()


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _PATIENCE_S
    server: Any

    def version_string(self) -> str:
        """What the Server header says."""
        return "localbox"

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: addresses are secrets."""

    def do_GET(self) -> None:
        self._answer("read")

    def do_HEAD(self) -> None:
        self._answer("read")

    def do_POST(self) -> None:
        self._answer("write")

    def _answer(self, operation: str) -> None:
        self.close_connection = True
        try:
            path, user = self._check(operation)
            if operation == "read":
                self._send_file(path, user)
            else:
                self._receive_file(path, user)
        except _RefusedError as refusal:
            self._refuse(refusal.status, str(refusal))
        except UploadError as error:
            self._refuse(400, str(error))
        except tuple(kind for kind, _status in _STATUS) as error:
            status = next(status for kind, status in _STATUS if isinstance(error, kind))
            self._refuse(status, str(error))

    def _check(self, operation: str) -> tuple[str, str | None]:
        """The path and the user of a request that is signed."""
        host, port = self.client_address
        # A page on the web can have its name lead to this machine, but not its Host header.
        if self.headers.get("Host") not in (f"{host}:{port}", f"localhost:{port}"):
            raise _RefusedError(403, "the Host header is not the address of this server")
        url = urlsplit(self.path)
        if url.path != "/files":
            raise _RefusedError(404, "there is nothing but /files here")
        query = parse_qs(url.query, keep_blank_values=True)
        if any(len(values) > 1 for values in query.values()):
            raise _RefusedError(400, "a parameter is there twice")
        path, user, expiration, signature = (
            query.get(name, [""])[0]
            for name in ("path", "username", "signature_expiration", "signature")
        )
        why_not = self.server.signer.why_not(operation, path, user, expiration, signature)
        if why_not is not None:
            raise _RefusedError(401, why_not)
        return path, user or None

    def _send_file(self, path: str, user: str | None) -> None:
        with self.server.files.read(path, format="stream", user=user) as stream:
            size = stream._size()
            start, end = _range(self.headers.get("Range"), size)
            if start is None:
                self.send_response(200)
                start, end = 0, size
            elif start >= end:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{size}")
                start = end = 0
            else:
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
            name = quote(path.rpartition("/")[2], safe="")
            self.send_header("Content-Length", str(end - start))
            self.send_header("Accept-Ranges", "bytes")
            # Never a page: what the guest wrote must not run in a browser as this address's own.
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Content-Disposition", f"attachment; filename*=UTF-8''{name}")
            self.send_header("Connection", "close")
            self.end_headers()
            if self.command == "HEAD":
                return
            stream._skip(start)
            left = end - start
            for chunk in stream:
                # It may have grown; if it shrinks, the client misses something and knows.
                self.wfile.write(chunk[:left])
                left -= len(chunk)
                if left <= 0:
                    break

    def _receive_file(self, path: str, user: str | None) -> None:
        # What does not fit on the disk need not come; a megabyte for what is wrapped around it.
        body = Body(self.rfile, self.headers, self.server.disk_bytes + CHUNK_BYTES)
        pieces: Iterator[bytes] = file_part(body, self.headers.get("Content-Type", ""))
        prefix = "x-metadata-"
        metadata = {
            name[len(prefix) :]: value
            for name, value in self.headers.items()
            if name.lower().startswith(prefix)
        }
        info = self.server.files.write(path, pieces, user=user, metadata=metadata)
        answer: dict[str, object] = {"name": info.name, "type": "file", "path": info.path}
        if info.metadata:
            answer["metadata"] = info.metadata
        self._send_json(200, [answer])

    def _refuse(self, status: int, message: str) -> None:
        self._send_json(status, {"code": status, "message": message})

    def _send_json(self, status: int, value: object) -> None:
        content = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _take_leave(client: socket.socket) -> None:
    """Let the client read the answer: closed with something unread, the connection would reset."""
    client.shutdown(socket.SHUT_WR)
    client.settimeout(_LEAVE_S)
    left = _LEAVE_BYTES
    while left > 0 and (data := client.recv(CHUNK_BYTES)):
        left -= len(data)


class _RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def _range(header: str | None, size: int) -> tuple[int | None, int]:
    """The first and the last-but-one byte asked for; (None, 0) if all are. See RFC 9110, 14.

    A range that begins behind the end is empty; several at once are answered with everything.
    """
    unit, _, text = (header or "").partition("=")
    first, dash, last = text.strip().partition("-")
    if unit.strip() != "bytes" or not dash or "," in text:
        return None, 0
    if not (first or last) or not (first + last).isascii() or not (first + last).isdigit():
        return None, 0
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None, 0
    return int(first), min(size, int(last) + 1) if last else size
