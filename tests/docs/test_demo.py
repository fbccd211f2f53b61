"""`make demo` shows what it says: the walls, tables, text and pictures of a real workbook."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What `make demo` installs.
for name in ("IPython", "openpyxl", "pandas", "seaborn", "vega_datasets"):
    pytest.importorskip(name)

# The demo runs in the time of whichever test comes first.
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    output = tmp_path_factory.mktemp("demo")
    done = subprocess.run(
        [sys.executable, "-W", "error", "examples/demo.py", "--output", str(output)],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout, output


def test_the_demo_prints_what_the_cells_printed_and_their_results(demo: tuple[str, Path]) -> None:
    shown = demo[0].splitlines()
    printed = [line for line in shown if line.startswith("Seattle daily ")]
    assert "1,461 rows, 01 Jan 2012 to 31 Dec 2015" in printed[0]
    assert any(line.startswith("Rain follows rain: 67%") for line in shown)
    # The data of a DataFrame, as a row of the table.
    (july,) = (line.split() for line in shown if line.split()[:1] == ["Jul"])
    assert july[1:5] == ["12.0", "2.8", "26.0", "14.2"]
    # Nothing in the tables is cut or wrapped.
    assert "…" not in demo[0]


def test_the_demo_says_which_walls_stood(demo: tuple[str, Path]) -> None:
    walls = [line.split() for line in demo[0].splitlines() if line.startswith(("yes", "NO"))]
    assert ["yes", "private-root"] in [wall[:2] for wall in walls]
    assert ["yes", "seccomp"] in [wall[:2] for wall in walls]


def test_the_demo_saves_the_pictures_and_says_where(demo: tuple[str, Path]) -> None:
    shown, output = demo
    assert (output / "weather.xlsx").read_bytes().startswith(b"PK")
    pictures = sorted(output.glob("*.png"))
    assert len(pictures) == 2
    for picture in pictures:
        assert f"\n{picture}\n" in shown
        header = picture.read_bytes()[:24]
        assert header.startswith(b"\x89PNG\r\n")
        width, height = struct.unpack(">II", header[16:])
        assert width > 1000
        assert height > 500
