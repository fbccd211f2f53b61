"""Many sandboxes: how many a second, and what one costs that does nothing."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from benchmarks.context import Context
from benchmarks.peers import ENVIRONMENT
from benchmarks.report import Row, Section, compare
from benchmarks.spares import spares
from benchmarks.timing import Subject, interleave


def sections(context: Context) -> Iterator[Section]:
    yield from _throughput(context)
    yield _idle_memory(context)


def _throughput(context: Context) -> Iterator[Section]:
    cores = len(os.sched_getaffinity(0))
    count = context.size(60, 2) * cores

    def one_sandbox() -> None:
        with context.create() as sandbox:
            sandbox.commands.run_python("print(1)")

    ours, bare = "create + run_python + kill", "python -c 'print(1)'"
    with_spares = f"{ours}, spares on"
    with ThreadPoolExecutor(cores) as pool:

        def seconds_each(action: Callable[[], object]) -> Subject:
            def subject() -> float:
                began = time.perf_counter()
                for future in [pool.submit(action) for _ in range(count)]:
                    future.result()
                return (time.perf_counter() - began) / count

            return subject

        def spared() -> float:
            with spares():
                return seconds_each(one_sandbox)()

        subjects = {
            ours: seconds_each(one_sandbox),
            bare: seconds_each(lambda: context.peers.run_python("print(1)")),
            with_spares: spared,
        }
        samples = interleave(subjects, context.rounds(8))
    title = f"Throughput, {cores} threads on {cores} cores"
    for name in (ours, with_spares):
        yield compare(
            title if name == ours else f"{title}, spares on",
            {name: samples[name], bare: samples[bare]},
            unit="per s",
            goals={bare: "2x"},
            note="more is better; p95 is the slow end",
        )
    with context.create() as sandbox:
        sandbox._record.zygote.pool.clear()


def _idle_memory(context: Context) -> Section:
    title = "Memory of one that idles (PSS)"
    count = context.size(20, 2)
    with ExitStack() as stack:
        sandboxes = [stack.enter_context(context.create()) for _ in range(count)]
        zygote = sandboxes[0]._record.zygote.pid
        # The benchmark looks behind the interface here: nothing public says an agent's pid.
        agents = [
            int(sandbox._connection.ask_zygote({"op": "info"})["pid"]) for sandbox in sandboxes
        ]
        peer = stack.enter_context(_idle_python(context))
        try:
            samples = {
                "a sandbox": [float(pss(pid)) for pid in agents],
                "the zygote, once": [float(pss(zygote))],
                "python, waiting for input": [float(pss(peer.pid))],
            }
        except PermissionError:
            why = "agents are closed to /proc, and only root may look all the same"
            return Section(title, "MiB", [Row("a sandbox", missing=why)])
        finally:
            peer.kill()
    ours, bare = (statistics.median(samples[n]) for n in ("a sandbox", "python, waiting for input"))
    rows = [
        Row(name, values, ours / bare if name.startswith("python") else None)
        for name, values in samples.items()
    ]
    return Section(
        title, "MiB", rows, f"{count} sandboxes alive; the kernel's own memory not included"
    )


def _idle_python(context: Context) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [context.peers.python, "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=ENVIRONMENT,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def pss(pid: int) -> int:
    """Of a process, in bytes."""
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise AssertionError("smaps_rollup has no Pss")
