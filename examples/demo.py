"""Real weather data, analysed inside a sandbox: `make demo`.

The data are NOAA's public-domain records of Seattle and San Francisco, as the package
`vega_datasets` ships them: no network is needed. This side only writes the workbook and moves
files; everything that reads the data is in weather_analysis.py and runs inside.
"""

from __future__ import annotations

import csv
import io
import sys
import time
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from openpyxl import Workbook
from rich.console import Console

from localbox import CommandExitException, Sandbox, WallError

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "demo-output"
PICTURE = "seattle-weather.png"

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


def main() -> int:
    # On anything but a terminal rich leaves colours out; soft_wrap keeps lines whole there.
    console = Console(highlight=False, soft_wrap=True)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.2f} s[/]  {text}")

    say("writing the workbook, outside ...")
    workbook, rows = make_workbook()
    say(f"{rows:,} rows in {len(SHEETS)} sheets, {len(workbook) / 1024:,.0f} KiB")

    say("creating a sandbox with pandas and matplotlib loaded ...")
    try:
        sandbox = Sandbox.create(profile="data-analysis")
    except WallError as error:
        console.print(f"[bold red]No sandbox here:[/] {error}", markup=True)
        return 1
    with sandbox:
        say(f"sandbox {sandbox.sandbox_id} runs")
        sandbox.files.write("weather.xlsx", workbook)
        say("uploaded weather.xlsx; analysing it, inside ...")
        console.print()
        try:
            sandbox.commands.run_python(
                (HERE / "weather_analysis.py").read_text(encoding="utf-8"),
                filename="weather_analysis.py",
                args=["weather.xlsx", PICTURE],
                on_stdout=lambda text: console.out(text, end="", highlight=False),
                on_stderr=lambda text: console.out(text, end="", style="red", highlight=False),
            )
        except CommandExitException as error:
            console.print(f"\n[bold red]The analysis failed[/] with exit code {error.exit_code}.")
            return 1
        console.print()
        picture = sandbox.files.read(PICTURE, format="bytes")
        OUTPUT.mkdir(exist_ok=True)
        (OUTPUT / PICTURE).write_bytes(picture)
        (OUTPUT / "weather.xlsx").write_bytes(workbook)
        say(f"downloaded the picture, {len(picture) / 1024:,.0f} KiB")

        console.print("\n[bold]What stood between that code and this machine[/]\n")
        # Plain text: a wall's detail is no markup.
        console.out(str(sandbox.isolation), highlight=False)
        console.print()
    say("sandbox killed; nothing of it is left")
    console.print(f"\n[bold]Picture:[/]  {OUTPUT / PICTURE}")
    console.print(f"[bold]Workbook:[/] {OUTPUT / 'weather.xlsx'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
