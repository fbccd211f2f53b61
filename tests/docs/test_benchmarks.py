"""The benchmarks run and report every row. What the figures are is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run_benchmarks(*arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


@pytest.mark.timeout(180)
def test_a_smoke_run_measures_every_row_or_says_why_not() -> None:
    sections = ("starting", "running", "copying", "many", "forking")
    report = json.loads(run_benchmarks("--quick", "--json", *sections))
    assert {"processor", "cores", "kernel", "python"} <= set(report["machine"])
    rows = {row["name"]: row for section in report["sections"] for row in section["rows"]}
    for name in (
        "create + run_python",
        "python -c 'print(1)'",
        "bubblewrap + python",
        "kill()",
        "import localbox, on top",
        "commands.run('true')",
        "bash -lc true, outside",
        "inside",
        "outside",
        "files.write",
        "files.read(format='bytes')",
        "create + run_python + kill",
        "a sandbox",
        "fork(count=10), 5 MB just written",
        "create_snapshot()",
    ):
        row = rows[name]
        assert row["missing"] or (row["n"] >= 2 and row["p95"] is not None), row
    peer = rows["python -c 'print(1)'"]
    assert peer["ratio"] is not None
    assert peer["goal"] != ""


@pytest.mark.slow
@pytest.mark.timeout(600)  # the first run installs ipykernel
def test_the_interpreter_is_measured_against_ipykernel_or_says_why_not() -> None:
    report = json.loads(run_benchmarks("--quick", "--json", "interpreter"))
    sections = {section["title"]: section["rows"] for section in report["sections"]}
    assert len(sections) == len(report["sections"]) >= 1
    for title, rows in sections.items():
        for row in rows:
            assert row["missing"] or row["p50"] > 0, (title, row)
        peers = [row for row in rows if "ipykernel" in row["name"] and not row["missing"]]
        assert all(row["ratio"] is not None for row in peers), title


def test_the_table_shows_ratios_and_goals() -> None:
    table = run_benchmarks("--quick", "running")
    assert "localbox/it" in table
    outside = next(line for line in table.splitlines() if line.split()[:1] == ["outside"])
    assert outside.endswith("1.03x")


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        run_benchmarks("nonsense")
    assert caught.value.returncode == 2
