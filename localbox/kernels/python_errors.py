"""What a cell's error looks like to the cell's author: no frames but theirs, no colours."""

from __future__ import annotations

import asyncio
import os
import re
import sysconfig
import traceback
from types import TracebackType
from typing import Any

import IPython
from IPython.core.error import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_OURS = tuple(
    os.path.dirname(os.path.abspath(file)) + os.sep for file in (__file__, IPython.__file__)
)
_LIBRARIES = tuple({*sysconfig.get_paths().values(), "<frozen "})
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CELL_FILE = re.compile(r"<ipython-input-(\d+)-[0-9a-f]+>")


def describe(shell: Any, error: BaseException) -> tuple[str, str, str]:
    """Name, value and traceback."""
    for part in _with_causes(error):
        part.__traceback__ = without_our_frames(part.__traceback__)
    if isinstance(error, asyncio.CancelledError) and shell.interrupted:
        error = KeyboardInterrupt().with_traceback(error.__traceback__)
    name = type(error).__name__
    try:
        value = _value(error)
    except Exception:  # it is the cell's own __str__
        value = f"<{name} has no readable text>"
    try:
        text = _traceback(shell, error)
    except (Exception, KeyboardInterrupt):  # so is what the traceback shows
        text = f"{name}: {value}"
    return name, value, _ANSI.sub("", text)


def _value(error: BaseException) -> str:
    return _CELL_FILE.sub(r"Cell In[\1]", str(error))


def _traceback(shell: Any, error: BaseException) -> str:
    kind, tb = type(error), error.__traceback__
    if isinstance(error, SyntaxError):
        lines = shell.SyntaxTB.structured_traceback(kind, error, traceback.extract_tb(tb))
    elif isinstance(error, UsageError) or tb is None:
        return "".join(traceback.format_exception_only(error)).split("IPython.core.error.")[-1]
    elif any(isinstance(part, BaseExceptionGroup) for part in _with_causes(error)):
        # IPython's own does not show what is in a group.
        return _CELL_FILE.sub(r"Cell In[\1]", "".join(traceback.format_exception(error)))
    elif hasattr(error, "_render_traceback_"):
        lines = error._render_traceback_()
    else:
        lines = shell.InteractiveTB.structured_traceback(kind, error, tb, tb_offset=0)
    return str(shell.InteractiveTB.stb2text(lines))


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, those that led to it, and those in its groups."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        yield part
        waiting += (part.__cause__, part.__context__)
        if isinstance(part, BaseExceptionGroup):
            waiting += part.exceptions


def without_our_frames(tb: TracebackType | None) -> TracebackType | None:
    """Without the frames of IPython and of this package, and the libraries' that those called."""
    kept = []
    after_ours = False
    while tb is not None:
        file = tb.tb_frame.f_code.co_filename
        after_ours = file.startswith(_OURS) or (after_ours and file.startswith(_LIBRARIES))
        if not after_ours:
            kept.append(tb)
        tb = tb.tb_next
    result = None
    for part in reversed(kept):
        result = TracebackType(result, part.tb_frame, part.tb_lasti, part.tb_lineno)
    return result
