"""`get_signature`: what E2B's servers want to see in the address of a file.

Programs that talk to such a server sign with it. The addresses that `download_url` and
`upload_url` give here are signed already, with a key that stays in this program.
"""

from __future__ import annotations

import base64
import hashlib
import time
from typing import Literal, TypedDict

Operation = Literal["read", "write"]


class Signature(TypedDict):
    """A signature, and when it expires in seconds since 1970, None for never."""

    signature: str
    expiration: int | None


def get_signature(
    path: str,
    operation: Operation,
    user: str | None,
    envd_access_token: str | None,
    expiration_in_seconds: int | None = None,
) -> Signature:
    """Sign an operation on a file, version 1.

    Args:
        path: in the sandbox.
        user: None for the sandbox's own.
        envd_access_token: the sandbox's.
        expiration_in_seconds: from now; None for never.

    Raises:
        ValueError: no token.
    """
    if not envd_access_token:
        raise ValueError("get_signature: envd_access_token is empty; without it nothing is signed")
    parts = [path, operation, user or "", envd_access_token]
    expiration = None
    if expiration_in_seconds is not None:
        expiration = int(time.time()) + expiration_in_seconds
        parts.append(str(expiration))
    digest = hashlib.sha256(":".join(parts).encode()).digest()
    text = base64.b64encode(digest).decode().rstrip("=")
    return {"signature": f"v1_{text}", "expiration": expiration}
