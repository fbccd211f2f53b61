"""Runs the cells of a notebook in order, and writes it with what they gave."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from localbox import ExecutionError, Result
from localbox.cli.cells import CellEnd, CellSession, CellSettings, Record
from localbox.cli.execution import print_json
from localbox.cli.failures import complain
from localbox.cli.figures import Figures
from localbox.cli.notebook import Outputs, write_notebook
from localbox.cli.signals import SignalReceivedError


@dataclass(frozen=True)
class NotebookRun:
    """
    Args:
        notebook: with nbformat's attributes; its cells get their outputs.
        output: where to write it.
        figures: where to save pictures besides, if anywhere.
        as_json: print one JSON object at the end instead of words for people.
    """

    notebook: Any
    output: str
    settings: CellSettings
    figures: Figures | None = None
    as_json: bool = False


def execute_notebook(run: NotebookRun) -> int:
    """Run it to its end; returns the exit code, which is 0 if no cell failed that may not."""
    cells = [cell for cell in run.notebook.cells if _is_to_run(cell)]
    # Before the first runs: what is in the file afterwards is of one run.
    for cell in run.notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    exit_code, records = 0, []
    with CellSession(run.settings) as session:
        try:
            for number, cell in enumerate(cells, 1):
                _show_progress(f"cell {number} of {len(cells)}")
                listener = _Listener(run.figures)
                end = _run_cell(session, cell, listener)
                if run.as_json:
                    records.append(listener.record.as_dict(end))
                if end.error is None or "raises-exception" in _tags(cell):
                    continue
                exit_code = exit_code or end.exit_code
                if not run.as_json:
                    _show_failure(end.error, f"cell {number} of {len(cells)}")
                if not run.settings.keep_going:
                    break
        finally:
            # Also when a signal or the sandbox's end cuts it short: hours may be in it.
            _show_progress("")
            write_notebook(run.notebook, run.output)
            if not run.as_json:
                print(f"wrote {run.output}", file=sys.stderr)
    if run.as_json:
        print_json({"cells": records, "output": run.output, "exit_code": exit_code})
    return exit_code


class _Listener:
    """Into the notebook, into the record, and figures into files."""

    def __init__(self, figures: Figures | None) -> None:
        self.outputs = Outputs()
        self.record = Record()
        self._figures = figures

    def take_output(self, text: str, *, error: bool) -> None:
        self.outputs.take_output(text, error=error)
        self.record.take_output(text, error=error)

    def take_result(self, result: Result) -> None:
        self.outputs.take_result(result)
        self.record.take_result(result)
        if self._figures is not None:
            self._figures.save(result)

    def take_error(self, error: ExecutionError) -> None:
        self.outputs.take_error(error)
        self.record.take_error(error)


def _run_cell(session: CellSession, cell: Any, listener: _Listener) -> CellEnd:
    count = None
    try:
        end = session.run(cell.source, listener)
        count = end.count
        return end
    except SignalReceivedError:
        listener.take_error(ExecutionError("KeyboardInterrupt", "", ""))
        raise
    finally:
        cell.execution_count = count
        cell.outputs = listener.outputs.finish(count)


def _is_to_run(cell: Any) -> bool:
    if cell.cell_type != "code" or not cell.source.strip():
        return False
    return "skip-execution" not in _tags(cell)


def _tags(cell: Any) -> Any:
    return cell.metadata.get("tags", ())


def _show_failure(error: ExecutionError, where: str) -> None:
    _show_progress("")
    if error.traceback:
        print(error.traceback.rstrip("\n"), file=sys.stderr)
    complain(f"{where} failed: {error.name}: {error.value}")


def _show_progress(text: str) -> None:
    """On a line that the next one replaces."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
