"""Signed addresses of files in sandboxes: who may read or write which one, and until when.

The server is in file_server.py and is imported when the first address is asked for.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from typing import TYPE_CHECKING, Any, Literal, cast

from localbox.engine import forwarding
from localbox.engine.entries import check_path
from localbox.errors import InvalidArgumentException

if TYPE_CHECKING:
    from localbox.engine.registry import SandboxRecord

Operation = Literal["read", "write"]


class Signer:
    """Signs and checks the addresses of one sandbox, with a key that never leaves the program."""

    def __init__(self) -> None:
        self._key = os.urandom(32)

    def sign(self, operation: str, path: str, user: str, expiration: str) -> str:
        # As JSON, so that no two quadruples are one text.
        text = json.dumps([operation, path, user, expiration]).encode()
        return "v1_" + hmac.new(self._key, text, "sha256").hexdigest()

    def why_not(
        self, operation: str, path: str, user: str, expiration: str, signature: str
    ) -> str | None:
        """Why this request is not let through; None if it is."""
        expected = self.sign(operation, path, user, expiration)
        # Bytes, for compare_digest takes no text beyond ASCII.
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            return "the signature is missing or wrong"
        if expiration and int(expiration) < time.time():
            return "the signature has expired"
        return None


def file_url(
    record: SandboxRecord,
    files: Any,
    operation: Operation,
    path: str,
    user: str | None,
    use_signature_expiration: int | None,
) -> str:
    """An address at which the file can be read or written until it, or the sandbox, expires.

    Args:
        files: of a synchronous Sandbox, to serve it with.
        use_signature_expiration: seconds from now; None for as long as the sandbox lives.

    Raises:
        InvalidArgumentException: the path or the expiration cannot be.
        SandboxNotRunningException: the sandbox has ended.
    """
    from urllib.parse import quote, urlencode

    from localbox.engine.file_server import FileServer

    try:
        check_path(path).encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentException(f"path {path!r} cannot be in an address: {error}") from None
    expires_in = use_signature_expiration
    if expires_in is not None and (isinstance(expires_in, bool) or not isinstance(expires_in, int)):
        raise InvalidArgumentException(
            f"use_signature_expiration is a number of seconds, an int, not {expires_in!r}"
        )
    if user is not None and not isinstance(user, str):
        raise InvalidArgumentException(f"user must be a str, not {user!r}")
    address, service = forwarding.serve(record, lambda: FileServer(files, record))
    expiration = "" if expires_in is None else str(int(time.time()) + expires_in)
    query = {"path": path}
    if user:
        query["username"] = user
    signer = cast(FileServer, service).signer
    query["signature"] = signer.sign(operation, path, user or "", expiration)
    if expiration:
        query["signature_expiration"] = expiration
    return f"http://{address}/files?{urlencode(query, quote_via=quote)}"
