"""What an idle interpreter with numpy, pandas and pyplot costs in memory, and each further one.

PSS shares a page among all who have it, so a sandbox alone says little: what its zygote has
imported is counted half for it. Two figures are fair, and both are given: how much more memory the
machine needs for each further sandbox, zygotes' changes included, and the share of each when all
there is, zygotes and all, is divided among them.
"""

from __future__ import annotations

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from benchmarks.context import Context
from benchmarks.many import pss
from benchmarks.notebook_peer import NotebookKernel
from benchmarks.report import Row, Section
from localbox import Sandbox
from localbox.engine import registry

_PROFILE = "data-analysis"
_PATIENCE_S = 10.0
_CELL = "import numpy, pandas, matplotlib.pyplot\n1+1"


def sections(context: Context, python: str, why_none: str, home: str) -> Iterator[Section]:
    """
    Args:
        python: the interpreter ipykernel is installed for; empty if there is none.
        why_none: set when there is none.
        home: for its kernels.
    """
    title = "Idle, with numpy, pandas and pyplot (PSS)"
    count = context.size(20, 2)
    try:
        ours = {name: _Sandboxes(count, prepare) for name, prepare in _STATES.items()}
    except PermissionError:
        why = "kernels are closed to /proc, and only root may look all the same"
        yield Section(title, "MiB", [Row("a sandbox", missing=why)])
        return
    theirs = _totals(context.size(5, 2), lambda: _notebook(python, home)) if python else []

    for state, sandboxes in ours.items():
        yield _against(
            f"{title}: one more, {state}",
            Row("each further sandbox", _steps(sandboxes.totals)),
            {
                "ipykernel, alone": (theirs[:1], "0.05x (1/20)"),
                "each further ipykernel": (_steps(theirs), ""),
            },
            why_none,
            f"the growth of all processes together, zygotes included, from 1 to {count} sandboxes",
        )
    used = ours[_USED]
    yield _against(
        f"{title}: zygotes included, {_USED}",
        Row(f"one of {count} sandboxes, its share", [used.totals[-1] / count]),
        {
            "ipykernel, alone": (theirs[:1], ""),
            f"one of {len(theirs)} ipykernels, its share": (
                [t / len(theirs) for t in theirs[-1:]],
                "",
            ),
        },
        why_none,
        "all processes together, divided by how many there are",
    )
    yield Section(
        f"{title}: what it consists of",
        "MiB",
        [Row(name, values) for name, values in used.parts.items()],
        "with 1 and with more; page tables are the kernel's and in none of the figures above",
    )


def _run_a_cell(sandbox: Sandbox) -> None:
    assert sandbox.run_code(_CELL).text == "2"


def _make_context(sandbox: Sandbox) -> None:
    sandbox.create_code_context()


_USED = "after a cell"
# How far a sandbox has come before it is idle. What it is to have of numpy and the others is there
# from the start; ipykernel has to run a cell for that.
_STATES: dict[str, Callable[[Sandbox], None]] = {
    "just created": lambda _sandbox: None,
    "with a context": _make_context,
    _USED: _run_a_cell,
}


class _Sandboxes:
    """Memory of sandboxes as more of them are created.

    Args:
        count: of sandboxes.
        prepare: what is done with each before it is idle.

    Attributes:
        totals: of all processes, with 1, 2, ... sandboxes.
    """

    def __init__(self, count: int, prepare: Callable[[Sandbox], None]) -> None:
        self.totals: list[float] = []
        self.parts: dict[str, list[float]] = {}
        with ExitStack() as stack:
            sandboxes: list[Sandbox] = []
            for number in range(1, count + 1):
                sandboxes.append(stack.enter_context(Sandbox.create(profile=_PROFILE)))
                prepare(sandboxes[-1])
                self._measure(sandboxes, in_parts=number in (1, count))

    def _measure(self, sandboxes: list[Sandbox], *, in_parts: bool) -> None:
        zygote = sandboxes[0]._record.zygote
        zygotes = [zygote.pid, zygote.kernels().pid]
        agents = [_agent(sandbox) for sandbox in sandboxes]
        kernels = [pid for sandbox in sandboxes for pid in _kernels(sandbox)]
        known = {*zygotes, *agents, *kernels}
        everybody = {pid: float(pss(pid)) for pid in _once_alone(known, zygotes)}
        self.totals.append(sum(everybody.values()))
        if not in_parts:
            return
        rest = everybody.keys() - known
        parts = {
            "agent": [everybody[pid] for pid in agents],
            "kernel": [everybody[pid] for pid in kernels],
            "zygote of the sandboxes": [everybody[zygotes[0]]],
            "zygote of the kernels": [everybody[zygotes[1]]],
            "other processes": [sum(everybody[pid] for pid in rest)] if rest else [],
            "page tables of agent and kernel": [
                float(_page_tables(a) + _page_tables(k))
                for a, k in zip(agents, kernels, strict=False)
            ],
        }
        count = len(sandboxes)
        self.parts |= {f"with {count}: {name}": values for name, values in parts.items() if values}


def _against(
    title: str, ours: Row, theirs: dict[str, tuple[list[float], str]], why_none: str, note: str
) -> Section:
    rows = [ours]
    for name, (values, goal) in theirs.items():
        if values:
            ratio = statistics.median(ours.samples) / statistics.median(values)
            rows.append(Row(name, values, ratio, goal))
    if why_none:
        rows.append(Row("ipykernel", missing=why_none))
    return Section(title, "MiB", rows, note)


def _notebook(python: str, home: str) -> NotebookKernel:
    kernel = NotebookKernel(python, home)
    assert kernel.execute(_CELL).text == "2"
    return kernel


def _totals(count: int, start: Callable[[], NotebookKernel]) -> list[float]:
    """Of all processes, with 1, 2, ... kernels."""
    with ExitStack() as stack:
        kernels: list[NotebookKernel] = []
        totals = []
        for _ in range(count):
            kernels.append(start())
            stack.callback(kernels[-1].stop)
            pids = _with_descendants([kernel.pid for kernel in kernels])
            totals.append(float(sum(pss(pid) for pid in pids)))
        return totals


def _steps(totals: list[float]) -> list[float]:
    return [after - before for before, after in itertools.pairwise(totals)]


# The benchmark looks behind the interface here: nothing public says whose process is which.
def _agent(sandbox: Sandbox) -> int:
    return int(sandbox._connection.ask_zygote({"op": "info"})["pid"])


def _kernels(sandbox: Sandbox) -> list[int]:
    kernels = [record.kernel for record in registry.contexts_of(sandbox._record).all()]
    return [kernel.pid for kernel in kernels if kernel is not None]


def _once_alone(known: set[int], zygotes: list[int]) -> set[int]:
    """Everything the zygotes have forked, when what they were killing before is gone."""
    deadline = time.monotonic() + _PATIENCE_S
    while (found := set(_with_descendants(zygotes))) != known and time.monotonic() < deadline:
        time.sleep(0.01)
    return found


def _with_descendants(pids: list[int]) -> list[int]:
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    parent = int(file.read().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(name))
    found = list(pids)
    for pid in found:
        found += children.get(pid, [])
    return found


def _page_tables(pid: int) -> int:
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("VmPTE:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("status has no VmPTE")
