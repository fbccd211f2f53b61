"""Runs the cells of a source file, one after the other, and shows what they give."""

from __future__ import annotations

from dataclasses import dataclass

from localbox import ExecutionError
from localbox.cli.cells import Cell, CellSession, CellSettings, Record
from localbox.cli.execution import OUTPUT_CLOSED, print_json
from localbox.cli.failures import complain
from localbox.cli.figures import Figures
from localbox.cli.showing import Screen
from localbox.cli.streaming import OutputClosedError


@dataclass(frozen=True)
class CellsRun:
    """
    Args:
        name: of the source, for people.
        as_json: print one JSON object at the end instead of what the cells give as it comes.
    """

    cells: list[Cell]
    name: str
    settings: CellSettings
    figures: Figures
    as_json: bool = False


def execute_cells(run: CellsRun) -> int:
    """Run them to their end; returns the exit code, which is 0 if none failed."""
    exit_code, records = 0, []
    screen = Screen(run.figures)
    with CellSession(run.settings) as session:
        try:
            for number, cell in enumerate(run.cells, 1):
                listener = Record() if run.as_json else screen
                end = session.run(cell.code, listener)
                if isinstance(listener, Record):
                    records.append(listener.as_dict(end))
                if end.error is None:
                    continue
                exit_code = exit_code or end.exit_code
                if not run.as_json and len(run.cells) > 1:
                    _say_where(run, number, end.error)
                if not run.settings.keep_going:
                    break
        except OutputClosedError:
            return OUTPUT_CLOSED
    if run.as_json:
        print_json({"cells": records, "exit_code": exit_code})
    return exit_code


def _say_where(run: CellsRun, number: int, error: ExecutionError) -> None:
    """Tracebacks count lines from the beginning of their cell."""
    line = run.cells[number - 1].line
    complain(
        f"cell {number} of {len(run.cells)}, which begins on line {line} of {run.name}, failed: "
        f"{error.name}: {error.value}"
    )
