"""How E2B reads a path: `~` and relative paths are the home directory's."""

from __future__ import annotations

import os


def resolve_path(path: str, home: str) -> str:
    """The absolute path; `..` is left to the kernel, which alone knows where links lead.

    Raises:
        ValueError: `~name`, or a NUL byte.
    """
    if "\0" in path:
        raise ValueError("a path cannot contain a NUL byte")
    if path == "~":
        return home
    if path.startswith("~/"):
        return os.path.join(home, path[2:])
    if path.startswith("~"):
        raise ValueError(f"path {path!r}: only the sandbox user's own '~' is understood")
    return os.path.join(home, path)
