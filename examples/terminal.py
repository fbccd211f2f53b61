"""Shows the demo's progress and tables, with rich where it is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

try:
    from rich import box
    from rich.console import Console
    from rich.table import Table
except ImportError:
    Console = None  # type: ignore[assignment,misc]


class Terminal:
    def __init__(self) -> None:
        self._began = time.monotonic()
        # On anything but a terminal rich leaves colours out; soft_wrap keeps lines whole there.
        self._console = Console(highlight=False, soft_wrap=True) if Console else None

    def say(self, text: str) -> None:
        """A line of ours, with the time since the start."""
        self.out(f"{time.monotonic() - self._began:6.2f} s  {text}\n", style="dim")

    def head(self, text: str) -> None:
        self.out(f"\n{text}\n", style="bold")

    def out(self, text: str, *, error: bool = False, style: str | None = None) -> None:
        """Text as it is: what comes from a sandbox is no markup."""
        if self._console is not None:
            self._console.out(text, end="", style="red" if error else style, highlight=False)
        else:
            (sys.stderr if error else sys.stdout).write(text)

    def table(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """A result's data: a list of values for each column."""
        texts = [[_text(value) for value in values] for values in columns.values()]
        rows = list(zip(*texts, strict=True))
        if self._console is not None:
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
            for name, values in columns.items():
                is_text = all(isinstance(value, str) for value in values)
                table.add_column(name, justify="left" if is_text else "right")
            for row in rows:
                table.add_row(*row)
            self._console.print(table, markup=False)
            return
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        for row in (tuple(columns), *rows):
            cells = (f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True))
            sys.stdout.write("  ".join(cells) + "\n")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.1f}".removesuffix(".0") if value >= 1000 else f"{value:.1f}"
    return "" if value is None else str(value)
