"""What `localbox doctor` sees from the host: of a sandbox that runs, and of the machine."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from localbox.cli.finding import Finding
from localbox.errors import WallError
from localbox.policy import Policy, seccomp_compile

_OLDEST_KERNEL = (5, 12)
_CGROUPS = Path("/sys/fs/cgroup")

Verdict = tuple[bool, str]


def ids(pid: int, _facts: dict[str, Any]) -> Verdict:
    """Read from here, the map says host ids; read inside it would say those of the zygote."""
    for line in Path(f"/proc/{pid}/uid_map").read_text("ascii").splitlines():
        _inside, first, count = map(int, line.split())
        if first == 0 and count:
            return False, "uid 0 of the host is mapped"
        shown = f"host uids {first}-{first + count - 1}" if count > 1 else f"host uid {first}"
        return True, shown
    return False, "no uid is mapped"


def group(pid: int, facts: dict[str, Any]) -> Verdict:
    """The kernel's own numbers for the group that the sandbox's first process is in."""
    for line in Path(f"/proc/{pid}/cgroup").read_text("ascii").splitlines():
        _number, controllers, path = line.split(":", 2)
        for directory in (_CGROUPS / controllers, _CGROUPS, _CGROUPS / "unified"):
            limit = directory / path.lstrip("/") / "pids.max"
            if "localbox-" in path and limit.exists():
                value = limit.read_text("ascii").strip()
                return value == str(facts["pids"]), f"pids.max {value}"
    return False, "it is in no group of its own"


# For walls that the inside alone cannot prove.
CHECKS: dict[str, Callable[[int, dict[str, Any]], Verdict]] = {
    "user-namespace": ids,
    "cgroup": group,
}


def kernel() -> Finding:
    release = os.uname().release
    major, minor = (int("".join(filter(str.isdigit, part))) for part in release.split(".")[:2])
    if (major, minor) >= _OLDEST_KERNEL:
        return Finding("kernel", True, f"Linux {release}")
    return Finding("kernel", False, f"Linux {release}", "Linux 5.12 or newer is needed.")


def libseccomp(policy: Policy) -> Finding:
    """Compiled anew: sandboxes may live off filters that were compiled and kept long ago."""
    try:
        programs, library = seccomp_compile.build(policy.seccomp, os.uname().machine)
    except WallError as error:
        return Finding("libseccomp", False, error.reason, error.fix)
    return Finding("libseccomp", True, f"{library or 'found'} compiled {len(programs)} filters")
