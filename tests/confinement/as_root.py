"""Attacks by root of a sandbox, and its agents as the host sees them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from localbox import Sandbox
from tests import leftovers
from tests.confinement.attack import PRELUDE, host_pids, number_of, status

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user has one id to give")

# chown, dac_override, fowner, kill, setgid, setuid
CAPABILITIES = 0b1110_1011


def ask_root(sandbox: Sandbox, code: str, **options: Any) -> Any:
    """What `answer` is after `code` has run inside, as root."""
    program = f"{PRELUDE}\n{code}\nprint('\\x1e' + json.dumps(answer))"
    sandbox.files.write("/root/attack.py", program, user="root")
    command = "python3 -I -S /root/attack.py"
    result = sandbox.commands.run(command, user="root", **options)
    return json.loads(result.stdout.rpartition("\x1e")[2])


def outcomes(sandbox: Sandbox, *expressions: str) -> list[str]:
    """For each Python call as root, the name of the errno it fails with or "allowed"."""
    attempts = ", ".join(f"outcome(lambda: {expression})" for expression in expressions)
    answer = ask_root(sandbox, f"answer = [{attempts}]")
    assert isinstance(answer, list)
    return answer


def calls(sandbox: Sandbox, attempts: dict[str, tuple[Any, ...]]) -> dict[str, str]:
    """The same for raw system calls."""
    listed = [(name, number_of(name), arguments) for name, arguments in attempts.items()]
    code = f"answer = {{name: call(number, *args) for name, number, args in {listed!r}}}"
    answer = ask_root(sandbox, code)
    assert isinstance(answer, dict)
    return answer


def root_agents(sandbox: Sandbox) -> list[int]:
    """The host's pids of this sandbox's processes whose parent is outside, but for PID 1."""
    first = host_pids(sandbox)[0]
    inside = os.stat(f"/proc/{first}/ns/pid").st_ino
    found = []
    for pid in leftovers.descendants(sandbox._record.zygote.pid):
        if pid == first or status(pid)["PPid"] != status(first)["PPid"]:
            continue
        if os.stat(f"/proc/{pid}/ns/pid").st_ino == inside:
            found.append(pid)
    return found
