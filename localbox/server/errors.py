"""What localbox raises, as E2B's API tells it: HTTP status, Connect code, JSON body, in one table.

Handlers raise; `app.py` answers with `answer_to`. Only streams that have begun need `connect_body`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from localbox import errors


class Refusal(Exception):
    """The server itself says no, before any sandbox is asked."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or _CODE_OF_STATUS.get(status, "unknown")


class NotYet(Refusal):
    """A part of E2B's API that this server does not have."""

    def __init__(self, what: str) -> None:
        super().__init__(501, f"localbox serve does not have this yet: {what}")


class SandboxGone(Exception):
    """No sandbox of this server has that id, or it has ended."""

    def __init__(self, sandbox_id: str) -> None:
        super().__init__(f"sandbox {sandbox_id} not found")
        self.sandbox_id = sandbox_id


@dataclass(frozen=True)
class Fault:
    """An error as the protocol has it."""

    status: int
    code: str
    message: str


# The most special first.
_TABLE: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.SandboxNotRunningException, 502, "unavailable"),
    (errors.SandboxUnreachableException, 502, "unavailable"),
    (errors.TimeoutException, 504, "deadline_exceeded"),
    (errors.InvalidArgumentException, 400, "invalid_argument"),
    (errors.NotEnoughSpaceException, 507, "resource_exhausted"),
    (errors.NotFoundException, 404, "not_found"),
    (errors.TemplateException, 400, "invalid_argument"),
    (errors.RateLimitException, 429, "resource_exhausted"),
    (errors.GuestUnresponsiveException, 409, "aborted"),
    (errors.AuthenticationException, 401, "unauthenticated"),
    (errors.ServiceBusyException, 503, "unavailable"),
    (errors.SecretNotFoundException, 404, "not_found"),
    (errors.VolumeException, 400, "invalid_argument"),
    (errors.SecretException, 400, "invalid_argument"),
    (errors.BuildException, 400, "invalid_argument"),
    (errors.SandboxException, 500, "internal"),
    (TypeError, 400, "invalid_argument"),
)

# Registered with the application; everything else is a bug, and a 500 without its text.
HANDLED: tuple[type[Exception], ...] = (
    Refusal,
    SandboxGone,
    errors.SandboxException,
    errors.AuthenticationException,
    errors.ServiceBusyException,
    errors.BuildException,
    errors.VolumeException,
    errors.SecretException,
)

_CODE_OF_STATUS = {
    400: "invalid_argument",
    401: "unauthenticated",
    403: "permission_denied",
    404: "not_found",
    409: "already_exists",
    413: "resource_exhausted",
    415: "unimplemented",
    429: "resource_exhausted",
    501: "unimplemented",
    502: "unavailable",
    504: "deadline_exceeded",
    507: "resource_exhausted",
}

# The SDK asks again after these, unless told not to: nothing here gets better by asking.
_RETRIED = {429, 502, 503, 504}


def fault_of(error: BaseException) -> Fault:
    """What a client is told about it."""
    if isinstance(error, Refusal):
        return Fault(error.status, error.code, str(error))
    if isinstance(error, SandboxGone):
        return Fault(502, "unavailable", "The sandbox was not found")
    for kind, status, code in _TABLE:
        if isinstance(error, kind):
            return Fault(status, code, str(error))
    return Fault(500, "internal", "internal error of localbox serve; see its log")


def connect_body(error: BaseException) -> dict[str, str]:
    """For a Connect answer or the last frame of a stream."""
    fault = fault_of(error)
    return {"code": fault.code, "message": fault.message}


def answer_to(request: Request, error: Exception) -> Response:
    """The whole answer, in the form the route's clients read."""
    path = request.url.path
    fault = fault_of(error)
    if fault.status == 502 and not _is_control(path):
        return gone_response(_id_of(error, request))
    if isinstance(error, (SandboxGone, errors.SandboxNotRunningException)):
        # On the control plane a sandbox that is not there is no gateway's trouble.
        return _json(404, {"code": 404, "message": str(error)})
    if path.startswith(("/process.Process/", "/filesystem.Filesystem/")):
        return _json(fault.status, {"code": fault.code, "message": fault.message})
    body: dict[str, Any] = {"code": fault.status, "message": fault.message}
    if isinstance(error, errors.GuestUnresponsiveException):
        body["error_code"] = error.code
    return _json(fault.status, body)


def gone_response(sandbox_id: str) -> Response:
    """As E2B's proxy answers for a sandbox that has ended; the SDK looks for "was not found"."""
    return _json(
        502, {"sandboxId": sandbox_id, "message": "The sandbox was not found", "code": 502}
    )


def _json(status: int, body: Mapping[str, Any]) -> JSONResponse:
    headers = {"Should-Retry": "false"} if status in _RETRIED else None
    return JSONResponse(body, status, headers)


def _is_control(path: str) -> bool:
    return path.startswith(("/v2/", "/v3/", "/sandboxes", "/snapshots", "/templates", "/volume"))


def _id_of(error: Exception, request: Request) -> str:
    if isinstance(error, SandboxGone):
        return error.sandbox_id
    return request.headers.get("e2b-sandbox-id", "")
