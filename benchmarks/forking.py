"""Forks and snapshots: what they cost, and what that has to do with the size of the files."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.context import Context
from benchmarks.report import Section, compare
from benchmarks.timing import Subject, interleave, timed
from localbox import Sandbox

_MB = 1000 * 1000
_FORKS = 10


def sections(context: Context) -> Iterator[Section]:
    small, large = 5 * _MB, context.size(500, 10) * _MB
    with _own_data_directory() as data, ExitStack() as stack:

        def source(size: int, *, from_layer: bool) -> Sandbox:
            """A sandbox with that many bytes, which it has written or was made with."""
            fresh = stack.enter_context(context.create())
            fresh.set_timeout(3600)
            fresh.commands.run(f"head -c {size} /dev/urandom > data", timeout=300)
            if not from_layer:
                return fresh
            snapshot = fresh.create_snapshot()
            fresh.kill()
            return stack.enter_context(Sandbox.create(snapshot.snapshot_id, timeout=3600))

        kinds = {"from a snapshot": True, "just written": False}
        sources = {
            f"fork(count={_FORKS}), {size // _MB} MB {kind}": source(size, from_layer=from_layer)
            for kind, from_layer in kinds.items()
            for size in (large, small)
        }
        yield from _forks(context, data, sources)
        yield _snapshots(context, data, source(large, from_layer=False), large)


def _forks(context: Context, data: Path, sources: dict[str, Sandbox]) -> Iterator[Section]:
    growth: dict[str, list[float]] = {name: [] for name in sources}

    def forked(name: str) -> Subject:
        def subject() -> float:
            before = _disk_bytes(data)
            began = time.perf_counter()
            forks = [made for made in sources[name].fork(600, _FORKS) if isinstance(made, Sandbox)]
            seconds = time.perf_counter() - began
            growth[name].append(_disk_bytes(data) - before)
            assert len(forks) == _FORKS
            for made in forks:
                made.kill()
            return seconds

        return subject

    def ten_new() -> float:
        began = time.perf_counter()
        made = [context.create() for _ in range(_FORKS)]
        seconds = time.perf_counter() - began
        for sandbox in made:
            sandbox.kill()
        return seconds

    new = f"{_FORKS} new sandboxes, empty"
    subjects = {name: forked(name) for name in sources}
    samples = interleave({**subjects, new: ten_new}, context.rounds(8))
    yield compare(
        "Forking", samples, goals={list(sources)[1]: "1x, for it grows with nothing that is there"}
    )
    yield compare("Disk that forks take", growth, unit="MiB", note="all of a call's forks together")


def _snapshots(context: Context, data: Path, sandbox: Sandbox, size: int) -> Section:
    """Against what copying the same bytes costs, to the disk and back."""
    kept: list[str] = []
    outside = data / "outside"
    outside.write_bytes(os.urandom(size))

    def snapshot() -> None:
        kept.append(sandbox.create_snapshot().snapshot_id)

    def copy() -> None:
        shutil.copyfile(outside, data / "copy")
        with (data / "copy").open("rb") as file:
            os.fsync(file.fileno())

    def create() -> float:
        began = time.perf_counter()
        made = Sandbox.create(kept[-1], timeout=60)
        seconds = time.perf_counter() - began
        made.kill()
        return seconds

    def cleaned(action: Callable[[], object]) -> Subject:
        def subject() -> float:
            seconds = timed(action)()
            for old in kept[:-1]:
                Sandbox.delete_snapshot(old)
            del kept[:-1]
            return seconds

        return subject

    title = f"Snapshots of {size // _MB} MB"
    subjects = {
        "create_snapshot()": cleaned(snapshot),
        "create(snapshot_id)": create,
        "cp and fsync, outside": timed(copy),
    }
    return compare(title, interleave(subjects, context.rounds(8)))


@contextmanager
def _own_data_directory() -> Iterator[Path]:
    before = os.environ.get("LOCALBOX_DATA_DIR")
    # Not in a data directory that is there: what is in it is its owner's. The filesystem is that
    # of temporary files; on a tmpfs the disk is memory.
    with TemporaryDirectory(prefix="localbox-peers-") as directory:
        os.environ["LOCALBOX_DATA_DIR"] = f"{directory}/data"
        Path(directory, "data").mkdir(mode=0o700)
        try:
            yield Path(directory, "data")
        finally:
            if before is None:
                del os.environ["LOCALBOX_DATA_DIR"]
            else:
                os.environ["LOCALBOX_DATA_DIR"] = before


def _disk_bytes(directory: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in directory.rglob("*"))
