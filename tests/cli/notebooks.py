"""Notebooks for tests, and what is in those that come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat

v4 = nbformat.v4


def make(path: Path, *sources: str, metadata: dict[str, Any] | None = None) -> Path:
    """A notebook with these code cells, whose ids are c1, c2 ..."""
    notebook = v4.new_notebook(metadata=metadata or {})
    notebook.cells = [
        v4.new_code_cell(source, id=f"c{number}") for number, source in enumerate(sources, 1)
    ]
    nbformat.write(notebook, path)
    return path


def read(path: Path) -> Any:
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    return notebook


def outputs(path: Path) -> list[list[Any]]:
    """For each code cell, what its outputs say."""
    cells = read(path).cells
    return [
        [_summary(output) for output in cell.outputs] for cell in cells if cell.cell_type == "code"
    ]


def _summary(output: Any) -> tuple[str, ...]:
    if output.output_type == "stream":
        return output.name, output.text
    if output.output_type == "error":
        return "error", output.ename, output.evalue
    return output.output_type, output.data.get("text/plain")
