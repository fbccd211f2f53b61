"""Shows what cells give to people: output as it comes, results as text, tables and pictures."""

from __future__ import annotations

import io
import json
import os

from rich.console import Console
from rich.text import Text

from localbox import ExecutionError, Result
from localbox.cli.figures import Figures
from localbox.cli.streaming import write_all
from localbox.cli.tables import table_of

# Where nobody says how wide.
_WIDTH = 120
_STDOUT, _STDERR = 1, 2


class Screen:
    """Standard output and error, for the cells of one context.

    Args:
        numbered: mark main results as IPython does.
    """

    def __init__(self, figures: Figures, *, numbered: bool = False) -> None:
        self._figures = figures
        self._numbered = numbered
        self._number = 0
        self._line_is_open = {_STDOUT: False, _STDERR: False}
        self._one_terminal = os.isatty(_STDOUT) and os.isatty(_STDERR)

    def begin(self, number: int) -> None:
        """A cell begins, which will have this number."""
        self._number = number

    def take_output(self, text: str, *, error: bool) -> None:
        self._write(_STDERR if error else _STDOUT, text)

    def take_result(self, result: Result) -> None:
        self.end_line(_STDOUT)
        label = f"Out[{self._number}]: " if self._numbered and result.is_main_result else ""
        self._write(_STDOUT, self._as_text(result, label))

    def take_error(self, error: ExecutionError) -> None:
        text = error.traceback.rstrip("\n")
        if not text:
            text = ": ".join(part for part in (error.name, error.value) if part)
        self.complain(text)

    def complain(self, text: str) -> None:
        self.end_line(_STDOUT)
        self.end_line(_STDERR)
        self._write(_STDERR, text + "\n")

    def end_line(self, fd: int = _STDOUT) -> None:
        """Begin a new line if something stands on the last one."""
        if self._line_is_open[fd]:
            self._write(fd, "\n")

    def _as_text(self, result: Result, label: str) -> str:
        table = table_of(result, self._console().width)
        if table is not None:
            console = self._console()
            if label:
                console.print(Text(label.rstrip(), "red"))
            for part in table:
                console.print(part)
            return _printed(console)
        if path := self._figures.save(result):
            return f"{label}{path}\n"
        text = result.markdown or result.latex or result.text
        if text is None:
            text = json.dumps(result.json) if result.json is not None else _formats(result)
        console = self._console()
        console.print(Text(label, "red"), end="")
        # As in IPython: what has several lines begins on one of its own.
        return _printed(console) + ("\n" if label and "\n" in text else "") + f"{text}\n"

    def _console(self) -> Console:
        """Prints into a text, as for the terminal that our standard output is."""
        if os.isatty(_STDOUT):
            return Console(
                file=io.StringIO(),
                force_terminal=True,
                width=os.get_terminal_size(_STDOUT).columns or None,
                highlight=False,
            )
        return Console(file=io.StringIO(), width=_WIDTH, highlight=False)

    def _write(self, fd: int, text: str) -> None:
        if not text:
            return
        write_all(fd, text.encode("utf-8", "replace"))
        is_open = not text.endswith("\n")
        for shown in self._line_is_open if self._one_terminal else (fd,):
            self._line_is_open[shown] = is_open


def _printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _formats(result: Result) -> str:
    return f"<{', '.join(result.formats()) or 'nothing'}>"
