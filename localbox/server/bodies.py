"""Bodies that are read as a whole: JSON, and no longer than it may be."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from localbox.server.errors import Refusal

# Code of a cell and input of a process are the longest there is in JSON.
MOST_BYTES = 16 << 20


async def read_json(request: Request, at_most: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a request's body; an empty body is an empty object.

    Raises:
        Refusal: 400, it is none; 413, it is too long.
    """
    body = await read_body(request, at_most)
    if not body:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refusal(400, "the body is not a JSON object")
    return found


def string_in(body: Mapping[str, Any], name: str) -> str:
    """
    Raises:
        Refusal: 400, there is no string by that name.
    """
    found = body.get(name)
    if not isinstance(found, str):
        raise Refusal(400, f"{name} must be a string")
    return found


async def read_body(request: Request, at_most: int = MOST_BYTES) -> bytes:
    """All of it.

    Raises:
        Refusal: 413, it is too long.
    """
    parts = []
    length = 0
    async for part in request.stream():
        length += len(part)
        if length > at_most:
            raise Refusal(413, f"the body is longer than {at_most} bytes")
        parts.append(part)
    return b"".join(parts)
