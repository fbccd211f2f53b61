"""Seccomp -> BPF programs, compiled once per policy and machine and then read from a cache.

The programs are loaded in order with seccomp(2), and all of them are asked about every call: the
strictest answer holds. As yet there is one.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import re
from pathlib import Path

from localbox.errors import WallError
from localbox.policy import seccomp_cache
from localbox.policy.model import Seccomp

# What a compiled filter depends on besides the policy; part of the cache's key, so that no
# version of localbox ever loads what another compiled.
_SOURCES = (
    "seccomp.py",
    "seccomp_compile.py",
    "seccomp_oci.py",
    "seccomp_rules.py",
    "syscall_names.py",
)
_MACHINES = ("x86_64", "aarch64")


@functools.lru_cache(maxsize=64)
def compile_filters(seccomp: Seccomp) -> tuple[bytes, ...]:
    """Compile to arrays of struct sock_filter, in the order in which to load them.

    Raises:
        WallError: libseccomp is missing, or this is a machine without a table of calls.
    """
    machine = os.uname().machine
    if machine not in _MACHINES:
        raise WallError(
            "seccomp",
            f"no filter is known for the architecture {machine}",
            f"Use one of {' and '.join(_MACHINES)}.",
        )
    key = _key(seccomp, machine)
    programs = seccomp_cache.read(key) if key else None
    if programs is None:
        from localbox.policy import seccomp_compile

        programs, library = seccomp_compile.build(seccomp, machine)
        if key and library:
            seccomp_cache.write(key, programs, library)
    return programs


def _key(seccomp: Seccomp, machine: str) -> str | None:
    """Digest everything the programs depend on; None where that cannot be known."""
    sources = _sources_digest()
    if sources is None:
        return None
    inputs: dict[str, object] = {
        "machine": machine,
        "sources": sources,
        "permitted": sorted(seccomp.permitted()),
        "enosys": sorted(seccomp.enosys),
        "kill": sorted(seccomp.kill),
        "deny": sorted(seccomp.deny),
        "rules": sorted(seccomp.rules),
    }
    if seccomp.profile is not None:
        # Only these depend on the kernel: `minKernel` is OCI's.
        inputs = {
            "machine": machine,
            "sources": sources,
            "profile": seccomp.profile_json,
            "kernel": kernel_version(),
        }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


@functools.cache
def _sources_digest() -> str | None:
    digest = hashlib.sha256()
    here = Path(__file__).parent
    try:
        for name in _SOURCES:
            digest.update((here / name).read_bytes())
    except OSError:  # installed without sources
        return None
    return digest.hexdigest()


def kernel_version() -> tuple[int, int]:
    """Return the running kernel's version, such as (6, 1)."""
    match = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(match[1]), int(match[2])) if match else (5, 12)
