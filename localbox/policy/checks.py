"""What each value of a policy may be; every check raises ValueError with the reason.

They run in the constructors of model.py, so that a Policy built by hand is held to the same
rules as one from a YAML file.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from localbox.errors import PolicyError
from localbox.policy.units import MAX_BYTES

# The sandbox brings its own; a mount over one of these would undo a wall or break the guest.
_OWN_TREES = ("/proc", "/sys", "/dev")
_OWN_FILES = frozenset({
    "/",
    "/etc",
    "/etc/group",
    "/etc/gshadow",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/machine-id",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/profile",
    "/etc/shadow",
})  # fmt: skip
_HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_MODULE = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_MAX_PATH = 4095


class FieldError(PolicyError):
    """A PolicyError that knows its key, so that reading YAML can add the file and line."""

    def __init__(self, section: str, key: str, problem: str) -> None:
        super().__init__(f"{section}.{key}: {problem}" if section else f"{key}: {problem}")
        self.key = key
        self.problem = problem


@contextmanager
def field_of(section: str, key: str) -> Iterator[None]:
    """Turn the ValueErrors of checks into a FieldError."""
    try:
        yield
    except ValueError as error:
        raise FieldError(section, key, str(error)) from error


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "memory"?`, or nothing where no known word is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return f'; did you mean "{by_lower[near[0]]}"?' if near else ""


def one_of(word: object, known: Iterable[str], what: str) -> None:
    """Require one of a few words."""
    known = list(known)
    if word not in known:
        raise ValueError(
            f"{word!r} is no {what}{did_you_mean(str(word), known)} (known: {', '.join(known)})"
        )


def words(value: object, what: str) -> None:
    """Require a tuple of distinct strings without NUL."""
    if not isinstance(value, tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"expected a tuple of {what}, not {value!r}")
    for item in value:
        if not item or "\0" in item:
            raise ValueError(f"{item!r} is none of {what}")
    if len(set(value)) != len(value):
        twice = next(item for item in value if value.count(item) > 1)
        raise ValueError(f"{twice!r} is listed twice")


def tuple_of(value: object, kind: type) -> None:
    """Require a tuple of one class, from callers who build a policy by hand."""
    if not isinstance(value, tuple) or not all(isinstance(item, kind) for item in value):
        raise ValueError(f"expected a tuple of {kind.__name__}, not {value!r}")


def whole_number(value: object, least: int, what: str, most: int = MAX_BYTES) -> None:
    """Require an int in a range. True and False are ints to Python, not to a reader."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number of {what}, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{value} {what} is outside {least} to {most}")


def seconds(value: object, least: float) -> None:
    """Require a finite time of at least `least` seconds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected seconds, not {value!r}")
    # A year: longer is a mistake of unit, and NaN compares false to everything.
    if not least <= value <= 366 * 86400:
        raise ValueError(f"{value} s is outside {least} s to a year")


def absolute_path(path: object) -> None:
    """Require an absolute path in its shortest form, so that comparing prefixes is safe."""
    if not isinstance(path, str) or not path.startswith("/"):
        raise ValueError(f"{path!r} is no absolute path")
    if "\0" in path or len(path) > _MAX_PATH:
        raise ValueError(f"{path[:80]!r} holds a NUL or is longer than {_MAX_PATH} characters")
    # "//" at the start is kept by normpath (POSIX lets it mean something else).
    normal = posixpath.normpath("/" + path.lstrip("/"))
    if ".." in path.split("/") or path != normal:
        raise ValueError(f"{path!r} is not in its shortest form; write {normal!r}")


def mount_destination(path: object) -> None:
    """Require a guest path that may be covered by something of the host's."""
    absolute_path(path)
    assert isinstance(path, str)
    if path in _OWN_FILES:
        raise ValueError(f"{path!r} is the sandbox's own and cannot be covered")
    _outside_own_trees(path)


def mount_source(path: object) -> None:
    """Require a host path whose subtree does not bring the host's processes and devices along."""
    absolute_path(path)
    assert isinstance(path, str)
    if path == "/":
        raise ValueError("'/' is the whole machine; name the directories that are needed")
    _outside_own_trees(path)


def _outside_own_trees(path: str) -> None:
    for tree in _OWN_TREES:
        if path == tree or path.startswith(tree + "/"):
            raise ValueError(f"{path!r}: {tree} is the sandbox's own and cannot be shared")


def boolean(value: object) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, not {value!r}")


def hostname(name: object) -> None:
    """Require one label of a host name (RFC 1123)."""
    if not isinstance(name, str) or not _HOSTNAME.fullmatch(name):
        raise ValueError(f"{name!r} is no host name: letters, digits and '-', at most 63")


def environment(pairs: object) -> None:
    """Require (name, value) pairs that execve(2) can carry."""
    if not isinstance(pairs, tuple):
        raise ValueError(f"expected a tuple of pairs, not {pairs!r}")
    names = []
    for pair in pairs:
        if not (
            isinstance(pair, tuple)
            and len(pair) == 2
            and isinstance(pair[0], str)
            and isinstance(pair[1], str)
        ):
            raise ValueError(f"{pair!r} is no pair of strings")
        name, value = pair
        if not name or "=" in name or "\0" in name:
            raise ValueError(f"{name!r} cannot name an environment variable")
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL")
        names.append(name)
    words(tuple(names), "environment variables")


def modules(names: object) -> None:
    """Require dotted names of Python modules."""
    words(names, "module names")
    assert isinstance(names, tuple)
    for name in names:
        if not _MODULE.fullmatch(name):
            raise ValueError(f"{name!r} is no module name")
