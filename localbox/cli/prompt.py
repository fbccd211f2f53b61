"""The prompt of `localbox code` on a terminal: cells are typed, run and shown one by one."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from localbox import __version__
from localbox.cli.cells import CellSession, CellSettings
from localbox.cli.execution import OUTPUT_CLOSED
from localbox.cli.figures import Figures
from localbox.cli.reading import Reader, make_reader
from localbox.cli.showing import Screen
from localbox.cli.streaming import OutputClosedError

_FAREWELLS = {"exit", "quit", "exit()", "quit()"}


def converse(settings: CellSettings, figures: Figures) -> int:
    """Run cells until the person has had enough; returns the exit code."""
    with CellSession(settings) as session, _interrupts():
        _say(
            f"localbox {__version__}: {settings.language} in a sandbox of its own. "
            "Ctrl-C interrupts a cell, Ctrl-D ends the session."
        )
        prompt = _Prompt(session, Screen(figures, numbered=True), make_reader(settings.language))
        while True:
            try:
                prompt.take_turn()
            except KeyboardInterrupt:
                prompt.note_interrupt()
            except EOFError:
                _say("")
                return 0
            except OutputClosedError:
                return OUTPUT_CLOSED


class _Prompt:
    def __init__(self, session: CellSession, screen: Screen, reader: Reader) -> None:
        self._session = session
        self._screen = screen
        self._reader = reader
        self._number = 1
        self._is_running = False

    def take_turn(self) -> None:
        code = self._reader.read(self._number)
        if not code.strip():
            return
        if code.strip() in _FAREWELLS:
            raise EOFError
        self._screen.begin(self._number)
        self._is_running = True
        end = self._session.run(code, self._screen)
        self._is_running = False
        self._screen.end_line()
        # A context that had to start anew counts from one again.
        self._number = (end.count or self._number) + 1

    def note_interrupt(self) -> None:
        if self._is_running:
            self._is_running = False
            self._number += 1
            # The terminal has shown ^C.
            self._screen.take_output("\n", error=True)
            self._screen.complain("KeyboardInterrupt")
        else:
            _say("")


@contextmanager
def _interrupts() -> Iterator[None]:
    """Ctrl-C is for the cell here, and no end of the program."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _say(text: str) -> None:
    """To the person, and not into what reads our standard output."""
    print(text, file=sys.stderr, flush=True)
