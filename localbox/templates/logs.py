"""What a build says while it runs, and how that looks on a terminal."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TextIO

__all__ = [
    "LogEntry",
    "LogEntryEnd",
    "LogEntryLevel",
    "LogEntryStart",
    "default_build_logger",
]

LogEntryLevel = Literal["debug", "info", "warn", "error"]

_ORDER = {"debug": 0, "info": 1, "warn": 2, "error": 3}
# Names, all of one width, and how they are coloured (ECMA-48, SGR).
_LABELS = {
    "debug": ("DEBUG", "90"),
    "info": ("INFO ", "36"),
    "warn": ("WARN ", "33"),
    "error": ("ERROR", "31"),
}
_CLEAR_LINE = "\x1b[2K\r"
_SPINNER = "⣾⣽⣻⢿⡿⣟⣯⣷"
_SPINNER_INTERVAL_S = 0.15
# ECMA-48: control strings up to their terminator; control sequences; other escapes of two
# characters. Build output is a guest's, and must not move the cursor of whoever watches.
_ESCAPES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f]).*?(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)


def strip_escapes(text: str) -> str:
    """`text` without what a terminal would obey instead of show."""
    return _ESCAPES.sub("", text)


@dataclass
class LogEntry:
    """One line of a build's log; escape sequences are taken out of the message."""

    timestamp: datetime
    level: LogEntryLevel
    message: str

    def __post_init__(self) -> None:
        self.message = strip_escapes(self.message)

    def __str__(self) -> str:
        return f"[{self.timestamp.isoformat()}] [{self.level}] {self.message}"


@dataclass
class LogEntryStart(LogEntry):
    """The first entry of a build."""

    level: LogEntryLevel = field(default="debug", init=False)


@dataclass
class LogEntryEnd(LogEntry):
    """The last entry of a build, however it went."""

    level: LogEntryLevel = field(default="debug", init=False)


class DefaultBuildLogger:
    """Prints entries with the time since the start; on a terminal, a line below them moves."""

    def __init__(
        self, min_level: LogEntryLevel | None = None, stream: TextIO | None = None
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._least = _ORDER[min_level or "info"]
        self._started_at = time.monotonic()
        self._frame = 0
        self._stop: threading.Event | None = None
        # The moving line is drawn by a thread of its own.
        self._lock = threading.Lock()

    def logger(self, log: LogEntry) -> None:
        """Takes one entry; give this to `on_build_logs`."""
        if isinstance(log, LogEntryStart):
            self._start_spinner()
        elif isinstance(log, LogEntryEnd):
            self._stop_spinner()
        elif _ORDER[log.level] >= self._least:
            label, color = _LABELS[log.level]
            line = (
                f"{self._elapsed():<5} | {self._in('2', log.timestamp.strftime('%H:%M:%S'))} "
                f"{self._in(color, label)} {log.message}"
            )
            with self._lock:
                self._write(f"{_CLEAR_LINE if self._is_terminal else ''}{line}\n")
                self._draw_spinner()

    def _elapsed(self) -> str:
        return f"{time.monotonic() - self._started_at:.1f}s"

    def _in(self, style: str, text: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._is_terminal else text

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def _start_spinner(self) -> None:
        self._started_at = time.monotonic()
        if not self._is_terminal:
            return
        stop = self._stop = threading.Event()

        def spin() -> None:
            while not stop.wait(_SPINNER_INTERVAL_S):
                with self._lock:
                    self._draw_spinner()

        threading.Thread(target=spin, name="localbox-build-timer", daemon=True).start()

    def _stop_spinner(self) -> None:
        stop, self._stop = self._stop, None
        if stop is not None:
            stop.set()
            with self._lock:
                self._write(_CLEAR_LINE)

    def _draw_spinner(self) -> None:
        if self._stop is None:
            return
        self._frame += 1
        spinner = _SPINNER[self._frame % len(_SPINNER)]
        self._write(f"{_CLEAR_LINE}{spinner} Building {self._elapsed()}")


def default_build_logger(
    min_level: LogEntryLevel | None = None,
) -> Callable[[LogEntry], None]:
    """A function for `on_build_logs` that prints what it is given.

    Args:
        min_level: the least level to show, "info" if not given.
    """
    return DefaultBuildLogger(min_level).logger
