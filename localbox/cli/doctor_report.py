"""What `localbox doctor` prints: a table for people, JSON for machines."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from localbox.cli.finding import Finding, Report

# Goes up when a key changes its meaning or goes away, not when one comes.
_SCHEMA = 1
# Where nobody says how wide: wide enough that no wall's name is broken.
_WIDTH = 120
_STANDS = {True: ("yes", "green"), False: ("NO", "bold red"), None: ("?", "yellow")}


def print_table(report: Report) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH)
    machine = report.machine
    console.print(
        f"localbox {machine['localbox']} on Linux {machine['kernel']} {machine['architecture']}, "
        f"Python {machine['python']}, as {machine['user']} user"
    )
    table = Table(show_edge=False, pad_edge=False)
    table.add_column("wall", no_wrap=True)
    table.add_column("stands")
    table.add_column("how it was shown", ratio=1, overflow="fold")
    if any(finding.fix for finding in (*report.mandatory, *report.optional, *report.checks)):
        table.add_column("fix", ratio=1, overflow="fold")
    for findings in (report.mandatory, report.optional, report.checks):
        for finding in findings:
            word, style = _STANDS[finding.holds]
            # Text, because what a sandbox or the kernel says may hold rich's own markup.
            cells = [Text(finding.name), Text(word, style), Text(finding.shown), Text(finding.fix)]
            table.add_row(*cells[: len(table.columns)])
        table.add_section()
    console.print(table)
    console.print(_summary(report))


def to_json(report: Report) -> str:
    def as_dict(finding: Finding, **more: Any) -> dict[str, Any]:
        return {
            "name": finding.name,
            "stands": finding.holds,
            **more,
            "shown": finding.shown,
            "fix": finding.fix,
        }

    content = {
        "schema": _SCHEMA,
        "ok": report.ok,
        "machine": report.machine,
        "walls": [
            *(as_dict(finding, mandatory=True) for finding in report.mandatory),
            *(as_dict(finding, mandatory=False) for finding in report.optional),
        ],
        "checks": [as_dict(finding) for finding in report.checks],
    }
    return json.dumps(content, indent=2)


def _summary(report: Report) -> Text:
    if not report.ok:
        return Text("Not every mandatory wall holds here: see the fixes above.", "bold red")
    missing = [finding.name for finding in report.optional if not finding.holds]
    if missing:
        return Text(f"All mandatory walls hold. Not to be had here: {', '.join(missing)}.", "green")
    return Text("All walls hold.", "green")
