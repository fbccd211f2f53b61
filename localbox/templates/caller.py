"""Finds the line of the user's program that a call into localbox came from."""

from __future__ import annotations

import os
import sys
from types import FrameType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def caller_frame() -> FrameType | None:
    """The innermost frame whose file is not localbox's."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        path = os.path.abspath(frame.f_code.co_filename)
        if not path.startswith(_OURS + os.sep):
            return frame
        frame = frame.f_back
    return None


def caller_directory() -> str | None:
    """The directory of the caller's file; for a prompt, where it runs."""
    frame = caller_frame()
    return None if frame is None else os.path.dirname(os.path.abspath(frame.f_code.co_filename))


def caller_line() -> str | None:
    """The caller as "file.py:12", for messages: to keep the frame would keep its variables."""
    frame = caller_frame()
    if frame is None:
        return None
    return f"{os.path.basename(frame.f_code.co_filename)}:{frame.f_lineno}"
