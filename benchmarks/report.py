"""What was measured, as text for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.timing import p50, p95

# From what is measured (seconds, bytes) to what is shown.
_UNITS: dict[str, Callable[[float], float]] = {
    "ms": lambda seconds: seconds * 1000,
    # Of seconds for each: so p95 is the slow end here too.
    "per s": lambda seconds: 1 / seconds,
    # Of seconds for each byte.
    "MB/s": lambda seconds: 1 / seconds / 1e6,
    "MiB": lambda size: size / (1 << 20),
}


@dataclass(frozen=True)
class Row:
    """One subject.

    Args:
        ratio: of localbox's median to this peer's; None for localbox itself.
        goal: what the ratio, or the figure itself, is meant to be. Never asserted.
        missing: why there are no samples.
    """

    name: str
    samples: list[float] = field(default_factory=list)
    ratio: float | None = None
    goal: str = ""
    missing: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    unit: str
    rows: list[Row]
    note: str = ""


def compare(
    title: str,
    samples: Mapping[str, list[float]],
    *,
    unit: str = "ms",
    goals: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
    note: str = "",
) -> Section:
    """The first subject is localbox; each of the others gets localbox's ratio to it."""
    goals = goals or {}
    ours = next(iter(samples))
    shown = _UNITS[unit]
    rows = [
        Row(
            name,
            values,
            None if name == ours else shown(p50(samples[ours])) / shown(p50(values)),
            goals.get(name, ""),
        )
        for name, values in samples.items()
    ]
    rows += [Row(name, missing=why) for name, why in (missing or {}).items()]
    return Section(title, unit, rows, note)


def as_text(section: Section) -> Iterator[str]:
    yield ""
    yield section.title
    width = max(34, *(len(row.name) for row in section.rows))
    unit = section.unit
    yield f"  {'':{width}} {'p50 ' + unit:>11} {'p95 ' + unit:>11} {'localbox/it':>12}  goal"
    for row in section.rows:
        if row.missing:
            yield f"  {row.name:{width}} not measured: {row.missing}"
            continue
        middle, high = (_number(_UNITS[unit](f(row.samples))) for f in (p50, p95))
        ratio = "" if row.ratio is None else _ratio(row.ratio)
        yield f"  {row.name:{width}} {middle:>11} {high:>11} {ratio:>12}  {row.goal}".rstrip()
    if section.note:
        yield f"  ({section.note})"


def as_markdown(section: Section) -> Iterator[str]:
    """For docs/benchmarks.md: ratios and goals, with the unit once."""
    shown = _UNITS[section.unit]
    yield ""
    yield f"| {section.title} | p50, {section.unit} | p95 | localbox/it | goal |"
    yield "|---|--:|--:|--:|--:|"
    for row in section.rows:
        if row.missing:
            yield f"| {row.name} | not measured: {row.missing} | | | |"
            continue
        middle, high = (_number(shown(f(row.samples))) for f in (p50, p95))
        ratio = "" if row.ratio is None else _ratio(row.ratio)
        yield f"| {row.name} | {middle} | {high} | {ratio} | {row.goal} |"


def as_json(section: Section) -> dict[str, Any]:
    shown = _UNITS[section.unit]
    return {
        "title": section.title,
        "unit": section.unit,
        "note": section.note,
        "rows": [
            {
                "name": row.name,
                "n": len(row.samples),
                "p50": shown(p50(row.samples)) if row.samples else None,
                "p95": shown(p95(row.samples)) if row.samples else None,
                "ratio": row.ratio,
                "goal": row.goal,
                "missing": row.missing,
            }
            for row in section.rows
        ],
    }


def _ratio(value: float) -> str:
    return f"{value:.2f}x" if value >= 0.1 else f"{value:.2g}x"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
