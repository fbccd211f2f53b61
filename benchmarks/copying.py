"""A large file into a sandbox and out again, against a plain file."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.context import Context
from benchmarks.report import Section, compare
from benchmarks.timing import Subject, interleave, timed

_TMPFS = "/dev/shm"


def sections(context: Context) -> Iterator[Section]:
    size = context.size(100_000_000, 100_000)
    data = os.urandom(size)
    directories = {"a plain file in the temp directory": tempfile.gettempdir()}
    missing = {}
    on_tmpfs = "a plain file on tmpfs"
    free = os.statvfs(_TMPFS) if os.path.isdir(_TMPFS) else None
    if free is not None and free.f_bavail * free.f_frsize > 2 * size:
        # First: a sandbox's disk is a tmpfs too, so this is the peer to look at.
        directories = {on_tmpfs: _TMPFS, **directories}
    else:
        missing[on_tmpfs] = f"less than {2 * size >> 20} MiB free in {_TMPFS}"

    plain = {
        name: Path(tempfile.mkdtemp(dir=directory, prefix="localbox-bench-")) / "data"
        for name, directory in directories.items()
    }
    title = f"{size / 1e6:g} MB"
    goals = {on_tmpfs: "1.10x"}
    try:
        with context.create() as sandbox:
            writes: dict[str, Subject] = {
                "files.write": _onto_nothing(
                    lambda: sandbox.files.write("data", data),
                    lambda: sandbox.files.remove("data"),
                )
            }
            for name, path in plain.items():
                writes[name] = _onto_nothing(
                    lambda path=path: path.write_bytes(data),  # type: ignore[misc]
                    lambda path=path: path.unlink(missing_ok=True),  # type: ignore[misc]
                )
            samples = interleave(writes, context.rounds(15))
            yield compare(f"Writing {title}", samples, goals=goals, missing=missing)

            reads: dict[str, Subject] = {
                "files.read(format='bytes')": timed(
                    lambda: sandbox.files.read("data", format="bytes")
                )
            }
            for name, path in plain.items():
                reads[name] = timed(path.read_bytes)
            samples = interleave(reads, context.rounds(15))
            yield compare(f"Reading {title}", samples, goals=goals, missing=missing)
    finally:
        for path in plain.values():
            path.unlink(missing_ok=True)
            path.parent.rmdir()


def _onto_nothing(write: Callable[[], object], remove: Callable[[], object]) -> Subject:
    """Times `write` alone, each time of a file that is not there yet; the last one stays."""
    measure = timed(write)

    def subject() -> float:
        remove()
        return measure()

    return subject
