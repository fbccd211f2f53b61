"""What runs inside against the same outside: commands, arithmetic, system calls."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.context import Context
from benchmarks.peers import run
from benchmarks.report import Section, compare
from benchmarks.timing import Subject, interleave, timed
from localbox import Sandbox

_TIMED = """
import time
began = time.perf_counter()
{work}
print(time.perf_counter() - began)
"""
_ARITHMETIC = """
total = 0
for number in range({count}):
    total += number * number % 7
"""
_SYSTEM_CALLS = """
import os
for _ in range({count}):
    os.stat("/usr")
"""


def sections(context: Context) -> Iterator[Section]:
    with context.create() as sandbox:
        yield _commands(context, sandbox)
        count = context.size(2_000_000, 1000)
        yield _inside_and_outside(
            context,
            sandbox,
            "Arithmetic in Python",
            _ARITHMETIC.format(count=count),
            {"outside": "1.03x"},
            "timed by the program itself, without its start",
        )
        count = context.size(100_000, 100)
        yield _inside_and_outside(
            context,
            sandbox,
            f"System calls: {count:,} x os.stat",
            _SYSTEM_CALLS.format(count=count),
            {},
            "each passes the seccomp filter, and a kernel as Landlock leaves it",
        )


def _commands(context: Context, sandbox: Sandbox) -> Section:
    subjects: dict[str, Subject] = {
        "commands.run('true')": timed(lambda: sandbox.commands.run("true")),
        "bash -lc true, outside": timed(lambda: run(["/bin/bash", "-lc", "true"])),
        "bash -c true, outside": timed(lambda: run(["/bin/bash", "-c", "true"])),
    }
    return compare(
        "A command in a running sandbox",
        interleave(subjects, context.rounds(100)),
        note="each login reads its own /etc/profile; the sandbox's has one line",
    )


def _inside_and_outside(
    context: Context,
    sandbox: Sandbox,
    title: str,
    work: str,
    goals: dict[str, str],
    note: str,
) -> Section:
    code = _TIMED.format(work=work)
    subjects: dict[str, Subject] = {
        "inside": lambda: float(sandbox.commands.run_python(code).stdout),
        "outside": lambda: float(context.peers.run_python(code)),
    }
    return compare(title, interleave(subjects, context.rounds(25)), goals=goals, note=note)
