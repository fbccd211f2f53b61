"""Runs attack code inside a sandbox and brings back what the kernel said to it."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any, NoReturn

import pyseccomp
import pytest

from localbox import Sandbox
from localbox.policy import Policy, load_profile, merge_overrides
from tests import leftovers

x86_64_only = pytest.mark.skipif(platform.machine() != "x86_64", reason="x86-64 numbers")

PRELUDE = """
import ctypes, errno, json, os, socket, stat, struct, sys
libc = ctypes.CDLL(None, use_errno=True)

def outcome(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except OSError as error:
        return errno.errorcode[error.errno]
    return "allowed"

def call(number, *args):
    ctypes.set_errno(0)
    words = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    if libc.syscall(ctypes.c_long(number), *words) == -1:
        return errno.errorcode[ctypes.get_errno()]
    return "allowed"
"""


def ask(sandbox: Sandbox, code: str, **options: Any) -> Any:
    """What `answer` is after `code` has run inside, in a forked interpreter."""
    result = sandbox.commands.run_python(
        f"{PRELUDE}\n{code}\nprint('\\x1e' + json.dumps(answer))", **options
    )
    return json.loads(result.stdout.rpartition("\x1e")[2])


def outcome(sandbox: Sandbox, expression: str) -> str:
    """The name of the errno that a Python call inside fails with, or "allowed"."""
    answer = ask(sandbox, f"answer = outcome(lambda: {expression})")
    assert isinstance(answer, str)
    return answer


def call(sandbox: Sandbox, name: str, *args: object) -> str:
    """The name of the errno that a raw system call inside fails with, or "allowed"."""
    words = ", ".join(map(repr, args))
    answer = ask(sandbox, f"answer = call({number_of(name)}, {words})")
    assert isinstance(answer, str)
    return answer


def number_of(name: str) -> int:
    number = pyseccomp.resolve_syscall(pyseccomp.system_arch(), name)
    if number < 0:
        pytest.skip(f"this machine has no system call {name}")
    return int(number)


def lacking(feature: str) -> NoReturn:
    """Skip for want of a kernel feature; where CI promises a machine with all of them, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"this kernel has no {feature}")
    pytest.skip(f"this kernel has no {feature}")


def policy(profile: str = "default", **overrides: Any) -> Policy:
    return merge_overrides(load_profile(profile), **overrides)


def lines(sandbox: Sandbox, command: str) -> list[str]:
    return sandbox.commands.run(command).stdout.splitlines()


def host_pids(sandbox: Sandbox) -> list[int]:
    """The pids on this machine of everything in the sandbox, its PID 1 first."""
    info = sandbox._connection.ask_zygote({"op": "info"})
    return [info["pid"], *sorted(leftovers.descendants(info["pid"]))]


def status(pid: int) -> dict[str, str]:
    """The fields of /proc/PID/status, on the host."""
    return parse_status(Path(f"/proc/{pid}/status").read_text("utf-8"))


def parse_status(text: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in text.splitlines())
    return {name: value.strip() for name, _, value in pairs}
