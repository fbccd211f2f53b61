"""Cells in a sandbox against cells in ipykernel: starting, running, drawing, printing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks import interpreter_memory
from benchmarks.context import Context
from benchmarks.notebook_peer import NoPeerError, NotebookKernel, notebook_home, notebook_python
from benchmarks.report import Row, Section, compare
from benchmarks.spares import from_spare
from benchmarks.timing import Subject, interleave
from localbox import InvalidArgumentException, Sandbox

CELL = "1+1"
DATA_PROFILE = "data-analysis"
IMPORTS = "import numpy, pandas, matplotlib.pyplot"
_INLINE = "%matplotlib inline"
_FIGURE = """
import pandas as pd
table = pd.DataFrame({"rain": [120, 85, 95, 60], "sun": [50, 90, 140, 190]}, index=list("abcd"))
table.plot(title="by month");
"""
_PRINT = "for _ in range({lines}):\n    print('x' * 99)"
_LINE_BYTES = 100
_DATA_NOTE = "numpy, pandas and pyplot are preloaded in the profile; ipykernel imports them"


@dataclass(frozen=True)
class Bench:
    """
    Args:
        python: the interpreter ipykernel is installed for; empty if there is none.
        why_none: set when there is none.
    """

    context: Context
    python: str
    why_none: str
    home: str

    def kernel(self) -> NotebookKernel:
        return NotebookKernel(self.python, self.home)

    def compare(
        self,
        title: str,
        ours: tuple[str, Subject],
        theirs: tuple[str, Subject],
        *,
        rounds: int,
        goal: str = "",
        unit: str = "ms",
        note: str = "",
    ) -> Section:
        (section,) = self.compare_each({title: ours}, theirs, rounds, goal, unit, note)
        return section

    def compare_each(
        self,
        ours: Mapping[str, tuple[str, Subject]],
        theirs: tuple[str, Subject],
        rounds: int,
        goal: str,
        unit: str = "ms",
        note: str = "",
    ) -> list[Section]:
        """A section for each of ours, by title, all against the same samples of theirs."""
        peer, missing = dict([theirs]), {}
        if not self.python:
            peer, missing = {}, {theirs[0]: self.why_none}
        samples = interleave(dict(ours.values()) | peer, self.context.rounds(rounds))
        return [
            compare(
                title,
                {name: samples[name] for name in (mine, *peer)},
                unit=unit,
                goals={theirs[0]: goal},
                missing=missing,
                note=note,
            )
            for title, (mine, _subject) in ours.items()
        ]


def sections(context: Context) -> Iterator[Section]:
    try:
        with context.create() as sandbox:
            _run(sandbox, CELL)
    except InvalidArgumentException as error:
        yield Section("Cells", "ms", [Row("run_code", missing=str(error))])
        return
    try:
        python, why = notebook_python(quick=context.quick), ""
    except NoPeerError as error:
        python, why = "", str(error)
    with notebook_home() as home:
        bench = Bench(context, python, why, home)
        yield from _create(bench, "Create to the first result of a cell", context.profile, CELL, 20)
        yield from _running(bench)
        try:
            Sandbox.create(profile=DATA_PROFILE).kill()
        except InvalidArgumentException as error:
            yield Section("With data", "ms", [Row(DATA_PROFILE, missing=str(error))])
            return
        title = "With numpy, pandas and pyplot"
        yield from _create(bench, title, DATA_PROFILE, f"{IMPORTS}\n{CELL}", 10, _DATA_NOTE)
        yield _first_figure(bench, counts_start=True)
        yield _first_figure(bench, counts_start=False)
        yield _warm(bench, "A warm cell, with numpy, pandas and pyplot", DATA_PROFILE, IMPORTS)
        yield from interpreter_memory.sections(bench.context, python, why, home)


def _run(sandbox: Sandbox, code: str) -> str | None:
    """Run a cell that is expected to work, or it would not be a measurement."""
    execution = sandbox.run_code(code)
    assert execution.error is None, execution.error
    return execution.text


def _create(
    bench: Bench, title: str, profile: str | None, code: str, rounds: int, note: str = ""
) -> Iterator[Section]:
    def create() -> Sandbox:
        return Sandbox.create(profile=profile)

    def use(sandbox: Sandbox) -> None:
        text = _run(sandbox, code)
        assert text == "2", text

    def ours() -> float:
        began = time.perf_counter()
        sandbox = create()
        use(sandbox)
        took = time.perf_counter() - began
        sandbox.kill()
        return took

    def theirs() -> float:
        began = time.perf_counter()
        kernel = bench.kernel()
        text = kernel.execute(code).text
        took = time.perf_counter() - began
        kernel.stop()
        assert text == "2", text
        return took

    with from_spare(create, use) as spare:
        yield from bench.compare_each(
            {
                f"{title}, no spare": (f"create + run_code('{CELL}')", ours),
                f"{title}, from a spare": (f"create + run_code('{CELL}'), from a spare", spare),
            },
            (f"ipykernel, started for '{CELL}'", theirs),
            rounds,
            "0.01x (1/100)",
            note=note or "both zygotes running; kill() and shutdown are not part of it",
        )


def _first_figure(bench: Bench, *, counts_start: bool) -> Section:
    """A figure in a kernel that has just started, as PNG in the result."""

    def lap(began: float, ready: float) -> float:
        return time.perf_counter() - (began if counts_start else ready)

    def ours() -> float:
        began = time.perf_counter()
        sandbox = Sandbox.create(profile=DATA_PROFILE)
        if not counts_start:
            _run(sandbox, CELL)
        ready = time.perf_counter()
        execution = sandbox.run_code(_FIGURE)
        took = lap(began, ready)
        sandbox.kill()
        assert any(result.png for result in execution.results), execution.error
        return took

    def theirs() -> float:
        began = time.perf_counter()
        kernel = bench.kernel()
        if not counts_start:
            kernel.execute(CELL)
        ready = time.perf_counter()
        output = kernel.execute(_INLINE + _FIGURE)
        took = lap(began, ready)
        kernel.stop()
        assert output.png
        return took

    if counts_start:
        title = "From nothing to the first pandas figure"
    else:
        title = "The first pandas figure of a running kernel"
    return bench.compare(
        title,
        ("run_code, data-analysis", ours),
        ("ipykernel, %matplotlib inline", theirs),
        rounds=10,
        note=f"{_DATA_NOTE} in the cell; ours also reads the chart's data out of the figure",
    )


def _warm(bench: Bench, title: str, profile: str | None, first: str) -> Section:
    """A cell in a kernel that has run some before."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox.create(profile=profile))
        _run(sandbox, first)
        peer = _peer(bench, stack)
        if peer is not None:
            peer.execute(first)
        return bench.compare(
            title,
            (f"run_code('{CELL}')", _timed(lambda: _run(sandbox, CELL))),
            (f"ipykernel, execute '{CELL}'", _timed(lambda: peer and peer.execute(CELL), peer)),
            rounds=300,
            goal="0.1x (1/10)",
            note="from the request until the kernel is known to be idle again",
        )


def _running(bench: Bench) -> Iterator[Section]:
    context = bench.context
    yield _warm(bench, "A warm cell", context.profile, CELL)
    with ExitStack() as stack:
        sandbox = stack.enter_context(context.create())
        _run(sandbox, "total = 0")
        peer = _peer(bench, stack)
        if peer is not None:
            peer.execute("total = 0")

        count = context.size(1000, 5)
        cells = [f"total += {number}\ntotal" for number in range(count)]
        yield bench.compare(
            f"{count:,} small cells, one after the other",
            ("run_code", _timed(lambda: [_run(sandbox, cell) for cell in cells])),
            (
                "ipykernel",
                _timed(lambda: peer and [peer.execute(cell) for cell in cells], peer),
            ),
            rounds=3,
            note="milliseconds for all of them",
        )
        yield _streaming(bench, sandbox, peer)
        yield _restarting(bench, sandbox, peer)


def _streaming(bench: Bench, sandbox: Sandbox, peer: NotebookKernel | None) -> Section:
    lines = bench.context.size(1_000_000, 1000)
    size = lines * _LINE_BYTES
    code = _PRINT.format(lines=lines)
    received = 0

    def count(message: object) -> None:
        nonlocal received
        received += len(str(message))

    def ours() -> float:
        nonlocal received
        received = 0
        began = time.perf_counter()
        execution = sandbox.run_code(code, on_stdout=count)
        took = time.perf_counter() - began
        assert execution.error is None, execution.error
        assert received == size, f"{size} printed, {received} received"
        return took / size

    def theirs() -> float:
        assert peer is not None
        began = time.perf_counter()
        characters = peer.execute(code).stream_characters
        took = time.perf_counter() - began
        assert characters == size, f"{size} printed, {characters} received"
        return took / size

    return bench.compare(
        f"{size / 1e6:g} MB printed in lines of {_LINE_BYTES} bytes",
        ("run_code(on_stdout=...)", ours),
        ("ipykernel, stream messages", theirs),
        rounds=3,
        unit="MB/s",
        note="more is better; p95 is the slow end; ours keeps the text in the Execution too",
    )


def _restarting(bench: Bench, sandbox: Sandbox, peer: NotebookKernel | None) -> Section:
    default = sandbox.list_code_contexts()[0]

    def ours() -> None:
        sandbox.restart_code_context(default)
        _run(sandbox, CELL)

    def theirs() -> None:
        assert peer is not None
        peer.restart()
        peer.execute(CELL)

    return bench.compare(
        "Restart to the first result",
        (f"restart_code_context + '{CELL}'", _timed(ours)),
        (f"ipykernel, restart now + '{CELL}'", _timed(theirs)),
        rounds=10,
    )


def _peer(bench: Bench, stack: ExitStack) -> NotebookKernel | None:
    if not bench.python:
        return None
    kernel = bench.kernel()
    stack.callback(kernel.stop)
    return kernel


def _timed(action: Callable[[], object], peer: NotebookKernel | None = None) -> Subject:
    def subject() -> float:
        began = time.perf_counter()
        action()
        took = time.perf_counter() - began
        if peer is not None:
            # Not timed: a client may read the replies whenever it likes.
            peer.forget_replies()
        return took

    return subject
