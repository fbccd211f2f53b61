"""How long it takes until a sandbox has done something, and where the time goes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import localbox
from benchmarks.context import Context
from benchmarks.peers import ENVIRONMENT, run
from benchmarks.report import Row, Section, compare
from benchmarks.spares import from_spare
from benchmarks.timing import Subject, interleave, timed
from localbox import Sandbox

CODE = "print(1)"
_BARE = f"python -c '{CODE}'"
_BUBBLEWRAP = "bubblewrap + python"
_SPARE = "create + run_python, from a spare"


def sections(context: Context) -> Iterator[Section]:
    yield from _create_to_first_result(context)
    yield _breakdown(context)
    yield from _data_stack(context)
    yield _first_in_a_program(context)
    yield _imports(context)


def _create_to_first_result(context: Context) -> Iterator[Section]:
    peers = context.peers
    subjects: dict[str, Subject] = {
        "create + run_python": lambda: _create_and_run(context),
        _BARE: timed(lambda: peers.run_python(CODE)),
    }
    missing = {}
    if peers.bubblewrap:
        subjects[_BUBBLEWRAP] = timed(lambda: peers.run_bubblewrapped(CODE))
    else:
        missing[_BUBBLEWRAP] = peers.why_no_bubblewrap
    yield compare(
        "Create to first result",
        interleave(subjects, context.rounds(200)),
        goals={_BARE: "0.45x", _BUBBLEWRAP: "0.35x"},
        missing=missing,
        note="no spare, zygote running; every subject until its program has ended",
    )
    # By itself: a spare that lives while the zygote forks another shares pages with it, and each
    # page either writes is then copied. Without a pool there is none.
    with from_spare(context.create, lambda sandbox: sandbox.commands.run_python(CODE)) as subject:
        samples = interleave({_SPARE: subject, _BARE: subjects[_BARE]}, context.rounds(100))
    yield compare(
        "Create to first result, from a spare",
        samples,
        goals={_BARE: "0.03x"},
        note="a program's third sandbox and later ones, if a spare had the time to get ready",
    )


def _create_and_run(context: Context) -> float:
    began = time.perf_counter()
    sandbox = context.create()
    sandbox.commands.run_python(CODE)
    took = time.perf_counter() - began
    sandbox.kill()
    return took


def _breakdown(context: Context) -> Section:
    """Each step of a short life by itself, with another program before it as above."""
    steps: dict[str, list[float]] = {}
    for number in range(-1, context.rounds(100)):
        # A sandbox made right after another meets a kernel that is still awake for it.
        context.peers.run_python(CODE)
        laps = _life(context)
        if number >= 0:
            for name, took in laps.items():
                steps.setdefault(name, []).append(took)
    rows = [Row(name, samples) for name, samples in steps.items()]
    return Section("Where the time goes, step by step", "ms", rows)


def _life(context: Context) -> dict[str, float]:
    laps = {}
    before = time.perf_counter()

    def lap(name: str) -> None:
        nonlocal before
        laps[name] = time.perf_counter() - before
        before = time.perf_counter()

    sandbox = context.create()
    lap("Sandbox.create()")
    sandbox.commands.run_python(CODE)
    lap("first commands.run_python")
    sandbox.commands.run_python(CODE)
    lap("second commands.run_python")
    sandbox.commands.run("true")
    lap("commands.run('true')")
    sandbox.files.write("a", b"")
    lap("files.write of an empty file")
    sandbox.is_running()
    lap("is_running(): one exchange")
    sandbox.kill()
    lap("kill()")
    return laps


def _data_stack(context: Context) -> Iterator[Section]:
    title = "With numpy, pandas and pyplot at hand"
    code = "import numpy, pandas, matplotlib.pyplot; print(pandas.Series([1]).sum())"
    try:
        Sandbox.create(profile="data-analysis").kill()
    except localbox.InvalidArgumentException as error:
        yield Section(title, "ms", [Row("data-analysis", missing=str(error))])
        return

    def create() -> Sandbox:
        return Sandbox.create(profile="data-analysis")

    def ours() -> float:
        began = time.perf_counter()
        sandbox = create()
        sandbox.commands.run_python(code)
        took = time.perf_counter() - began
        sandbox.kill()
        return took

    # The clean environment does not have them, so this peer is the one they are installed in.
    peer = "python importing the same"
    with from_spare(create, lambda sandbox: sandbox.commands.run_python(code)) as subject:
        samples = interleave(
            {
                "create + run_python, data-analysis": ours,
                peer: timed(lambda: run([sys.executable, "-c", code])),
                _SPARE: subject,
            },
            context.rounds(8),
        )
    spare = {_SPARE: samples.pop(_SPARE)}
    yield compare(title, samples, goals={peer: "0.013x (1/75)"}, note="no spare")
    yield compare(f"{title}, from a spare", {**spare, peer: samples[peer]})


def _first_in_a_program(context: Context) -> Section:
    """What a script pays that makes a single sandbox: imports and the zygote's start included."""
    program = (
        "from localbox import Sandbox\n"
        "with Sandbox.create() as sandbox: sandbox.commands.run_python('print(1)')"
    )
    environment = _with_localbox()
    subjects = {
        "a program with one sandbox": timed(
            lambda: run([sys.executable, "-c", program], environment)
        ),
        _BARE: timed(lambda: context.peers.run_python(CODE)),
    }
    return compare(
        "A whole program, from its start to its end",
        interleave(subjects, context.rounds(20)),
    )


def _imports(context: Context) -> Section:
    """The same interpreter and environment each time, so the difference is the import."""
    environment = _with_localbox()

    def python(code: str) -> Subject:
        return timed(lambda: run([sys.executable, "-c", code], environment))

    samples = interleave(
        {
            "bare": python("pass"),
            "import localbox": python("import localbox"),
            "from localbox import Sandbox": python("from localbox import Sandbox"),
        },
        context.rounds(40),
    )
    over = {
        name: [a - b for a, b in zip(samples[name], samples["bare"], strict=True)]
        for name in ("import localbox", "from localbox import Sandbox")
    }
    return Section(
        "Imports",
        "ms",
        [
            Row("python -c pass", samples["bare"]),
            Row("import localbox, on top", over["import localbox"], goal="60 ms"),
            Row("from localbox import Sandbox, on top", over["from localbox import Sandbox"]),
        ],
    )


def _with_localbox() -> dict[str, str]:
    package = str(Path(localbox.__file__).parent.parent)
    # A virtual environment is found by its interpreter; PYTHONPATH serves a checkout.
    return {**ENVIRONMENT, "PYTHONPATH": package, "HOME": os.environ.get("HOME", "/")}
