"""What a test could leave behind: descriptors, processes, mounts, cgroups and directories.

Looks only at what belongs to this process, for others may run sandboxes on the same machine.
"""

from __future__ import annotations

import gc
import os
import select
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from localbox.engine import zygote_process

# Far longer than the kernel needs to reap, far shorter than what would stay for good.
PATIENCE_S = 10.0


def wait_until(
    condition: Callable[[], object], what: str = "", within_s: float = PATIENCE_S
) -> None:
    """Return as soon as `condition()` is true; fail if it does not become so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what or f"{condition} stayed false for {within_s} s"
        time.sleep(0.005)


def wait_for_end(pidfd: int) -> None:
    """Return when that process has ended; fail if it does not."""
    ready, _, _ = select.select([pidfd], [], [], PATIENCE_S)
    assert ready, f"a process that should end is still there after {PATIENCE_S} s"


@dataclass(frozen=True)
class Holdings:
    """All that this process holds at one moment."""

    descriptors: frozenset[tuple[int, str]]
    processes: frozenset[int]
    mounts: frozenset[str]
    cgroups: frozenset[str]
    directories: frozenset[str]

    def beyond(self, earlier: Holdings) -> dict[str, list[object]]:
        """What is there now and was not `earlier`, by kind."""
        fields = ("descriptors", "processes", "mounts", "cgroups", "directories")
        gained = {name: sorted(getattr(self, name) - getattr(earlier, name)) for name in fields}
        return {name: values for name, values in gained.items() if values}


def holdings() -> Holdings:
    """Zygotes and the sockets to them are not counted: they are for the whole process."""
    zygotes = [
        zygote
        for pair in zygote_process._zygotes.values()
        for zygote in (pair, pair._kernels)
        if zygote is not None
    ]
    return Holdings(
        descriptors=frozenset(_descriptors({zygote.rendezvous.fileno() for zygote in zygotes})),
        processes=frozenset(descendants(os.getpid()) - {zygote.pid for zygote in zygotes}),
        mounts=frozenset(Path("/proc/self/mountinfo").read_text("utf-8").splitlines()),
        cgroups=frozenset(_cgroups({zygote.pid for zygote in zygotes})),
        directories=frozenset(
            name
            for name in os.listdir(tempfile.gettempdir())
            # The benchmarks', which may run beside the tests.
            if "localbox" in name and not name.startswith("localbox-peers-")
        ),
    )


def check_nothing_new(before: Holdings) -> None:
    """Fail with a list of what has come since `before` and does not go by itself."""
    gc.collect()
    new: dict[str, list[object]] = {}

    def nothing() -> bool:
        nonlocal new
        new = holdings().beyond(before)
        return not new

    try:
        wait_until(nothing)
    except AssertionError:
        described = {**new}
        if "processes" in new:
            described["processes"] = [f"{pid}: {_command(pid)}" for pid in new["processes"]]
        raise AssertionError(f"left behind: {described}") from None


def _descriptors(apart_from: set[int]) -> set[tuple[int, str]]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) not in apart_from:
                found.add((int(name), os.readlink(f"/proc/self/fd/{name}")))
        except FileNotFoundError:
            continue  # the descriptor of the listing itself
    return found


def descendants(root_pid: int) -> set[int]:
    found: set[int] = set()
    pending = [root_pid]
    while pending:
        for child in _children(pending.pop()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def _children(pid: int) -> list[int]:
    children: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            text = Path(f"/proc/{pid}/task/{task}/children").read_text("ascii")
            children += map(int, text.split())
    except (FileNotFoundError, ProcessLookupError):
        pass
    return children


def _cgroups(zygote_pids: set[int]) -> set[str]:
    prefixes = tuple(f"localbox-{pid}-" for pid in zygote_pids)
    return {
        os.path.join(parent, name)
        for parent, names, _files in os.walk("/sys/fs/cgroup")
        for name in names
        if name.startswith(prefixes)
    }


def _command(pid: object) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode("utf-8", "replace") or "(a zombie)"
    except FileNotFoundError:
        return "(gone)"
