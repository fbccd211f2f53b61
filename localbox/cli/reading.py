"""Reads cells that a person types on a terminal."""

from __future__ import annotations

import os
import select
import signal
import sys
from typing import Protocol

from localbox.cli.completeness import is_complete, next_indent


class Reader(Protocol):
    def read(self, number: int) -> str:
        """The next cell.

        Raises:
            EOFError: the person has had enough (Ctrl-D).
            KeyboardInterrupt: they have thought better of what they typed (Ctrl-C).
        """


def make_reader(language: str) -> Reader:
    """With prompt_toolkit, if it is installed and there is a terminal it can draw on."""
    if os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb":
        try:
            return _EditingReader(language)
        except ImportError:
            pass
    return _LineReader(language)


class _EditingReader:
    """Several lines are edited together; the history is that of this session."""

    def __init__(self, language: str) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

        keys = KeyBindings()

        @keys.add("enter")
        def _run_or_go_on(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            at_end = not buffer.document.text_after_cursor.strip()
            if at_end and is_complete(buffer.text.rstrip(" "), language):
                buffer.validate_and_handle()
            else:
                buffer.insert_text("\n" + next_indent(buffer.document.text_before_cursor, language))

        @keys.add("escape", "enter")
        def _run(event: KeyPressEvent) -> None:
            event.current_buffer.validate_and_handle()

        @keys.add("tab")
        def _indent(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("    ")

        self._session: PromptSession[str] = PromptSession(
            multiline=True,
            key_bindings=keys,
            prompt_continuation=lambda width, _line, _wraps: "...: ".rjust(width),
        )

    def read(self, number: int) -> str:
        return self._session.prompt([("ansigreen", f"In [{number}]: ")])


class _LineReader:
    """Line by line, for terminals that cannot move their cursor."""

    def __init__(self, language: str) -> None:
        self._language = language

    def read(self, number: int) -> str:
        prompt = f"In [{number}]: "
        code = _read_line(prompt)
        while not is_complete(code, self._language):
            code += "\n" + _read_line("...: ".rjust(len(prompt))).rstrip()
        return code


def _read_line(prompt: str) -> str:
    """As input(), but for signals that come just before it waits: it would go on waiting.

    Raises:
        EOFError
    """
    print(prompt, end="", file=sys.stderr, flush=True)
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    before = signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    try:
        # A terminal has something to be read when a whole line is there. A signal's handler runs,
        # and raises, after select has returned for it.
        while sys.stdin.fileno() not in select.select([sys.stdin.fileno(), woken], [], [])[0]:
            os.read(woken, 512)
    finally:
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(waker)
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.removesuffix("\n")
