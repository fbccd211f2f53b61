"""The profiles that come with localbox, and where they are."""

from __future__ import annotations

import functools
from pathlib import Path

from localbox.errors import PolicyError

BASE = "default"  # the one profile that stands on no other
_SYSCALLS = "syscalls"


@functools.cache
def directory() -> Path:
    """Where the shipped profiles are: in the package, or beside it in a source checkout."""
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "profiles", package.parent / "profiles"):
        if (candidate / f"{BASE}.yaml").is_file():
            return candidate
    raise PolicyError(f"localbox's profiles are not in {package}; install localbox again")


def shipped_profiles() -> list[str]:
    """Names that `load_profile` and `Sandbox.create(profile=...)` know."""
    return list(_names())


@functools.cache
def _names() -> tuple[str, ...]:
    # Every Sandbox.create looks its profile up, and a directory takes long to read.
    stems = (file.stem for file in directory().glob("*.yaml"))
    return tuple(sorted(stem for stem in stems if stem != _SYSCALLS))


@functools.cache
def shipped_file(name: str) -> Path:
    """Return the file of a shipped profile."""
    return directory() / f"{name}.yaml"


def syscalls_file() -> Path:
    """Return the table of system call groups."""
    return shipped_file(_SYSCALLS)
