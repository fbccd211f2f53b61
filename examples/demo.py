"""An Excel workbook analysed by cells inside a sandbox: `make demo`.

The data are NOAA's public-domain records of Seattle and San Francisco, as the package
`vega_datasets` ships them: no network is needed. This side writes the workbook, uploads it, runs
the cells of weather_cells.py one after the other, and shows what comes back of each: what it
printed, the text and the data of its result, its pictures.
"""

from __future__ import annotations

import argparse
import base64
import csv
import io
import re
import sys
import time
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from openpyxl import Workbook
from terminal import Terminal

from localbox import Execution, Sandbox, WallError

HERE = Path(__file__).resolve().parent
CELLS = HERE / "weather_cells.py"

# Sheet, file of the package, and what its text columns are.
SHEETS = (
    ("Seattle daily", "seattle-weather.csv", {"date": "%Y/%m/%d", "weather": None}),
    ("Seattle hourly", "seattle-temps.csv", {"date": "%Y/%m/%d %H:%M"}),
    ("San Francisco hourly", "sf-temps.csv", {"date": "%Y/%m/%d %H:%M:%S"}),
)


def make_workbook() -> tuple[bytes, int]:
    """The three tables as an Excel workbook, and how many rows they have."""
    workbook = Workbook(write_only=True)
    rows = 0
    for title, filename, text_columns in SHEETS:
        source = (files("vega_datasets") / "_data" / filename).read_text(encoding="utf-8")
        reader = csv.DictReader(io.StringIO(source))
        sheet = workbook.create_sheet(title)
        sheet.append(list(reader.fieldnames or ()))
        for row in reader:
            sheet.append([_cell(value, text_columns.get(name, 0)) for name, value in row.items()])
            rows += 1
    buffer = io.BytesIO()
    workbook.save(buffer)
    return buffer.getvalue(), rows


def _cell(value: str, kind: str | int | None) -> str | float | datetime:
    if kind is None:
        return value
    if isinstance(kind, str):
        return datetime.strptime(value, kind)  # noqa: DTZ007 (local time, as the station wrote it)
    return float(value)


def read_cells() -> list[tuple[str, str]]:
    """Title and code of each cell; `# %%` begins one, as editors have it."""
    parts = re.split(r"^# %% (.+)\n", CELLS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2], strict=True))


class ExcelAnalyzer:
    """The founding document's analyzer: a workbook goes in; text, data and pictures come out."""

    def __init__(self, terminal: Terminal, output: Path) -> None:
        self._terminal = terminal
        self._output = output
        self.pictures: list[Path] = []

    def analyze(self, sandbox: Sandbox, workbook: bytes) -> bool:
        """Run every cell in one context; False if one of them failed."""
        terminal = self._terminal
        sandbox.files.write("weather.xlsx", workbook)
        context = sandbox.create_code_context(cwd="/home/user")
        terminal.say(f"uploaded weather.xlsx; a {context.language} context waits for cells")
        for title, code in read_cells():
            terminal.head(title)
            began = time.monotonic()
            execution = sandbox.run_code(
                code,
                context=context,
                on_stdout=lambda message: terminal.out(message.line),
                on_stderr=lambda message: terminal.out(message.line, error=True),
            )
            took = time.monotonic() - began
            if execution.error is not None:
                terminal.out(execution.error.traceback + "\n", error=True)
                return False
            self._show(execution, title)
            terminal.say(f"cell {execution.execution_count} took {took:.2f} s")
        return True

    def _show(self, execution: Execution, title: str) -> None:
        for result in execution.results:
            if result.png:
                name = re.sub(r"[^a-z]+", "-", title.lower().partition(",")[0]).strip("-")
                path = self._output / f"{name}.png"
                path.write_bytes(base64.b64decode(result.png))
                self.pictures.append(path)
                self._terminal.say(f"{path.name}, {path.stat().st_size / 1024:,.0f} KiB")
            elif result.data:
                self._terminal.table(result.data)
            elif result.is_main_result and result.text:
                self._terminal.out(result.text + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description="Analyse an Excel workbook inside a sandbox.")
    parser.add_argument("--output", type=Path, default=HERE.parent / "demo-output")
    output = parser.parse_args().output.absolute()
    output.mkdir(parents=True, exist_ok=True)
    terminal = Terminal()

    terminal.say("writing the workbook, outside ...")
    workbook, rows = make_workbook()
    (output / "weather.xlsx").write_bytes(workbook)
    terminal.say(f"{rows:,} rows in {len(SHEETS)} sheets, {len(workbook) / 1024:,.0f} KiB")

    terminal.say("creating a sandbox with numpy, pandas and matplotlib loaded ...")
    try:
        sandbox = Sandbox.create(profile="data-analysis")
    except WallError as error:
        terminal.out(f"No sandbox here: {error}\n", error=True)
        return 1
    analyzer = ExcelAnalyzer(terminal, output)
    with sandbox:
        terminal.say(f"sandbox {sandbox.sandbox_id} runs")
        if not analyzer.analyze(sandbox, workbook):
            return 1
        terminal.head("What stood between those cells and this machine")
        terminal.out(f"{sandbox.isolation}\n")
    terminal.say("sandbox killed; nothing of it is left")
    terminal.head("What is left here")
    for path in (output / "weather.xlsx", *analyzer.pictures):
        terminal.out(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
