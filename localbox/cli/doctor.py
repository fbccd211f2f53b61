"""Finds out which walls stand on this machine by making sandboxes and trying to get out of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import socket
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import localbox
from localbox._sync.sandbox import Sandbox
from localbox.cli import outside, probes
from localbox.cli.finding import Finding, Report
from localbox.errors import SandboxException, WallError
from localbox.policy import MANDATORY_WALLS, OPTIONAL_WALLS, Policy, load_profile, merge_overrides
from localbox.policy.model import Isolation

# Small, so that hitting the limits takes no time.
_DISK_BYTES = 16 << 20
_PIDS = 48
_PROBE_TIMEOUT_S = 30
_NAMESPACES = ("user", "mnt", "pid", "net", "ipc", "uts", "cgroup")
_LIMITS = ("disk-limit", "python-overlay")
_GUEST_SHARE = "/mnt/localbox-doctor"
_NO_FIX = "Nothing known; report it with this table."
_BUG = "Report this: a wall that was built does not hold."


def examine() -> Report:
    """Try everything; what cannot be built is a finding, not an exception."""
    with _bait() as facts:
        # Without the optional walls, so that the others show what they do alone.
        alone = _policy(facts, None)
        mandatory = _try(alone, MANDATORY_WALLS, facts)
        # What keeps these from being tried is in the list above.
        optional = [_try(_policy(facts, wall), (wall,), facts)[-1] for wall in OPTIONAL_WALLS]
        inside = _try(alone, _LIMITS, facts)[-len(_LIMITS) :]
    return Report(
        machine={
            "localbox": localbox.__version__,
            "kernel": os.uname().release,
            "architecture": os.uname().machine,
            "python": sys.version.split()[0],
            "user": "root" if os.geteuid() == 0 else "ordinary",
        },
        mandatory=tuple(mandatory),
        optional=tuple(optional),
        checks=(outside.kernel(), outside.libseccomp(alone), *map(_with_advice, inside)),
    )


@contextlib.contextmanager
def _bait() -> Iterator[dict[str, Any]]:
    """Things on the host that a sandbox must not reach, and the facts that probes compare with."""
    token = uuid.uuid4().hex
    policy = load_profile("default")
    with tempfile.TemporaryDirectory(prefix="localbox-doctor-") as directory:
        share = Path(directory, "share")
        share.mkdir()
        # mkdir and mkfifo obey the umask.
        share.chmod(0o755)
        os.mkfifo(share / "fifo")
        (share / "fifo").chmod(0o666)
        canary = Path(directory, "canary")
        canary.write_text(token, "ascii")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"\0{token}")
            listener.listen()
            yield {
                "token": token,
                "share": str(share),
                "canary": str(canary),
                "fifo": f"{_GUEST_SHARE}/fifo",
                "abstract_socket": f"\0{token}",
                "namespaces": {kind: os.readlink(f"/proc/self/ns/{kind}") for kind in _NAMESPACES},
                "hostname": policy.process.hostname,
                "memory_bytes": policy.resources.memory_bytes,
                "disk_bytes": _DISK_BYTES,
                "pids": _PIDS,
                "python_prefix": sys.prefix,
            }


def _policy(facts: dict[str, Any], wall: str | None) -> Policy:
    """The default profile with small limits, and of the optional walls this one or none."""
    policy = merge_overrides(
        load_profile("default"),
        readonly=[(facts["share"], _GUEST_SHARE)],
        disk=_DISK_BYTES,
        pids=_PIDS,
    )
    require = () if wall is None else (wall,)
    isolation = Isolation(require=require, prefer=(), on_unavailable="fail")
    return dataclasses.replace(policy, isolation=isolation, landlock=wall == "landlock")


def _try(policy: Policy, names: tuple[str, ...], facts: dict[str, Any]) -> list[Finding]:
    """A finding for each name, in that order; before them what else was missing, if anything."""
    try:
        with Sandbox.create(profile=policy) as sandbox:
            return [_probe(sandbox, name, facts) for name in names]
    except WallError as error:
        # Many a fix ends by sending its reader here.
        fix = re.sub(r';? ?see "localbox doctor"\.$', ".", error.fix, flags=re.IGNORECASE)
        culprit = Finding(error.wall, False, error.reason, fix if len(fix) > 1 else _NO_FIX)
    except SandboxException as error:
        culprit = Finding("sandbox", False, str(error), _NO_FIX)
    # What keeps the others from being tried need not be one of them.
    listed = names if culprit.name in names else (culprit.name, *names)
    waiting = f"not tried without {culprit.name}"
    return [culprit if name == culprit.name else Finding(name, None, waiting) for name in listed]


def _probe(sandbox: Sandbox, name: str, facts: dict[str, Any]) -> Finding:
    try:
        result = sandbox.commands.run_python(
            Path(probes.__file__).read_text("utf-8"),
            filename="localbox-doctor",
            args=[name, json.dumps(facts)],
            timeout=_PROBE_TIMEOUT_S,
        )
        verdict = json.loads(result.stdout)
        holds, shown = verdict["holds"] is True, str(verdict["shown"])
    except (SandboxException, ValueError, KeyError, TypeError) as error:
        holds, shown = False, f"the probe did not answer: {error}"
    if holds and name in outside.CHECKS:
        holds, seen = outside.CHECKS[name](_first_pid(sandbox), facts)
        shown = f"{seen}; {shown}"
    return Finding(name, holds, shown, "" if holds else _BUG)


def _first_pid(sandbox: Sandbox) -> int:
    """PID 1 of the sandbox as the host counts."""
    return int(sandbox._connection.ask_zygote({"op": "info"})["pid"])


def _with_advice(finding: Finding) -> Finding:
    """These two are no walls: what to do when they are not there differs."""
    if finding.holds is False and finding.name == "python-overlay":
        advice = "To install packages inside, use `pip install --target ~/packages`, or run "
        advice += "localbox from a virtual environment outside /usr and /tmp."
        return dataclasses.replace(finding, fix=advice)
    return finding
