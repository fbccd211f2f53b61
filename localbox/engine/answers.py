"""Answers of the zygote and of agents that are errors, as the exceptions E2B would raise."""

from __future__ import annotations

import errno
from typing import Any

from localbox.engine.remedies import remedy
from localbox.errors import (
    AuthenticationException,
    FileNotFoundException,
    InvalidArgumentException,
    NotEnoughSpaceException,
    NotFoundException,
    ProtocolError,
    SandboxException,
    ServiceBusyException,
    TimeoutException,
    VolumeException,
    VolumeNotFoundException,
    WallError,
)
from localbox.protocol.frames import MESSAGE, Frame, FrameError, Message, decode_message

_EXCEPTIONS: dict[str, type[Exception]] = {
    "not_found": NotFoundException,
    "file_not_found": FileNotFoundException,
    "invalid_argument": InvalidArgumentException,
    "unauthenticated": AuthenticationException,
    "no_space": NotEnoughSpaceException,
    "deadline_exceeded": TimeoutException,
    "busy": ServiceBusyException,
    "refused": InvalidArgumentException,
    "volume": VolumeException,
    "volume_not_found": VolumeNotFoundException,
}


def to_exception(error: Any) -> Exception:
    """The exception for the `error` of an answer; its sender may be hostile: only texts count."""
    if not isinstance(error, dict):
        return ProtocolError("the answer has an error that is not an object")
    text = str(error.get("message", "no message"))
    kind, number = str(error.get("kind")), error.get("errno")
    if not isinstance(number, int):
        number = None
    if kind == "wall":
        wall = str(error.get("wall"))
        name = errno.errorcode.get(number, "") if number is not None else ""
        reason = f"{name}, {text}" if name and name not in text else text
        return WallError(wall, reason, remedy(wall, number), errno=number)
    return _EXCEPTIONS.get(kind, SandboxException)(text)


def read_answer(frame: Frame) -> Message:
    """The message of a frame that should be one.

    Raises:
        ProtocolError: it is not.
        Exception: what the peer reported as an error.
    """
    kind, payload = frame
    if kind != MESSAGE:
        raise ProtocolError(f"a message was due and a frame of type {kind} came")
    try:
        message = decode_message(payload)
    except FrameError as error:
        raise ProtocolError(str(error)) from None
    if "error" in message:
        raise to_exception(message["error"])
    return message
