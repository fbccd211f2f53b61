"""Who may ask what: the API key, each sandbox's token, signed addresses, the sandbox's user."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from typing import Literal

from starlette.requests import HTTPConnection, Request

from localbox.server.errors import Refusal
from localbox.server.state import Served, State


def state_of(request: HTTPConnection) -> State:
    """What this request's server has."""
    state: State = request.app.state.localbox
    return state


def require_api_key(request: HTTPConnection) -> State:
    """For the control plane.

    Raises:
        Refusal: 401, no key or another one.
    """
    state = state_of(request)
    given = request.headers.get("x-api-key", "")
    if not given:
        given = bearer_of(request)
    if not same(given, state.api_key):
        raise Refusal(401, "the API key is not this server's: see E2B_API_KEY of `localbox env`")
    return state


async def named_sandbox(request: Request) -> tuple[State, Served]:
    """For the control plane: the sandbox that the path names.

    Raises:
        Refusal: 401, as `require_api_key`.
        SandboxGone: it has ended or never was.
    """
    state = require_api_key(request)
    return state, await state.find(request.path_params["sandbox_id"])


def bearer_of(request: HTTPConnection) -> str:
    """The token in `Authorization: Bearer`, "" if there is none."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else ""


def same(given: str, expected: str) -> bool:
    """Whether two secrets are the same, in a time that does not tell where they differ."""
    # As bytes: compare_digest takes no strings beyond ASCII, and a client may send any.
    return hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode())


async def served_of(request: HTTPConnection, *, with_token: bool = True) -> Served:
    """The sandbox a request is for.

    Args:
        with_token: for routes on which the SDK sends the sandbox's token. Elsewhere its id, which
            cannot be guessed, is all there is.

    Raises:
        SandboxGone: it has ended or never was.
        Refusal: 401, another token.
    """
    served = await state_of(request).find(sandbox_id_of(request))
    given = request.headers.get("x-access-token", "")
    # A token that is given is the right one, needed or not.
    if (with_token or given) and not same(given, served.token):
        raise Refusal(401, "the access token is not this sandbox's")
    return served


def sandbox_id_of(request: HTTPConnection) -> str:
    """From its header, or from the host name "{port}-{id}.localhost"; "" if neither names one."""
    named = request.headers.get("e2b-sandbox-id")
    if named is not None:
        return named
    label = request.headers.get("host", "").partition(".")[0]
    port, _, sandbox_id = label.partition("-")
    return sandbox_id if port.isdecimal() else ""


async def served_of_file(
    request: HTTPConnection, operation: Literal["read", "write"], path: str
) -> Served:
    """The sandbox of a request to /files, which has its token or a signature made with it.

    Args:
        path: as the client wrote it.

    Raises:
        SandboxGone: it has ended or never was.
        Refusal: 401, neither fits.
    """
    signature = request.query_params.get("signature")
    if signature is None:
        return await served_of(request)
    expiration = request.query_params.get("signature_expiration")
    user = request.query_params.get("username")
    sandbox_id = sandbox_id_of(request)
    state = state_of(request)
    candidates = [await state.find(sandbox_id)] if sandbox_id else [*state.sandboxes.values()]
    for served in candidates:
        if same(signature, _signature(path, operation, user, served.token, expiration)):
            break
    else:
        raise Refusal(401, "the signature is not this sandbox's for that path, user and operation")
    if expiration is not None and _has_passed(expiration):
        raise Refusal(401, "signature is already expired")
    return await state.find(served.sandbox_id)


def user_of(request: HTTPConnection) -> str | None:
    """Whom an RPC shall run as: the name in `Authorization: Basic`, None if there is none.

    Raises:
        Refusal: 401, the header is no such thing.
    """
    header = request.headers.get("authorization")
    if header is None:
        return None
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        raise Refusal(401, "the user is named by Authorization: Basic")
    try:
        name = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        raise Refusal(401, "the user in Authorization cannot be read") from None
    return name or None


def _signature(
    path: str, operation: str, user: str | None, token: str, expiration: str | None
) -> str:
    """As localbox.signature makes it, but with the moment it expires instead of the time left."""
    parts = [path, operation, user or "", token]
    if expiration is not None:
        parts.append(expiration)
    digest = hashlib.sha256(":".join(parts).encode("utf-8", "surrogateescape")).digest()
    return "v1_" + base64.b64encode(digest).decode().rstrip("=")


def _has_passed(expiration: str) -> bool:
    try:
        return int(expiration) < time.time()
    except ValueError:
        raise Refusal(401, "signature_expiration is no number of seconds") from None
