"""The Python that localbox runs under, as sandboxes shall see it: the same packages, same paths."""

from __future__ import annotations

import os
import site
import sys
from dataclasses import dataclass

_BASE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class PythonEnvironment:
    """
    Args:
        executable: the interpreter to exec.
        prefix: the environment's root, whose `bin` is first on the sandbox's PATH.
        roots: every directory that must be visible for it to work, at the same paths.
        sys_path: what a fresh interpreter of it would have, `.pth` directories included.
    """

    executable: str
    prefix: str
    roots: tuple[str, ...]
    sys_path: tuple[str, ...]

    @property
    def path(self) -> str:
        return f"{self.prefix}/bin:{_BASE_PATH}"


def current_environment() -> PythonEnvironment:
    executable = os.environ.get("LOCALBOX_PYTHON") or sys.executable
    roots = [sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix]
    # A venv's bin/python is often a link, and a link to a link; each directory on the way counts.
    roots += [os.path.dirname(os.path.dirname(hop)) for hop in _link_chain(executable)]
    roots += [os.path.realpath(root) for root in roots]
    return PythonEnvironment(
        executable=executable,
        prefix=sys.prefix,
        roots=_outermost(roots),
        sys_path=_fresh_sys_path(),
    )


def _link_chain(path: str) -> list[str]:
    chain = [os.path.abspath(path)]
    while os.path.islink(chain[-1]) and len(chain) < 40:
        target = os.readlink(chain[-1])
        chain.append(os.path.normpath(os.path.join(os.path.dirname(chain[-1]), target)))
    return chain


def _outermost(paths: list[str]) -> tuple[str, ...]:
    """Each path once, none that lies below another, none that the base root shows anyway."""
    kept: list[str] = []
    for path in sorted({os.path.normpath(path) for path in paths}):
        if path in ("/", "/usr", "/usr/local") or path.startswith("/usr/"):
            continue
        if not any(path.startswith(other + "/") for other in kept):
            kept.append(path)
    return tuple(kept)


def _fresh_sys_path() -> tuple[str, ...]:
    """Standard library, then site-packages with the directories their .pth files name.

    Lines of .pth files that are code are left out: what they would do belongs to a program's
    start, and here the interpreter has started long before.
    """
    packages = [path for path in site.getsitepackages() if os.path.isdir(path)]
    standard = [
        path
        for path in sys.path
        if path.startswith((sys.base_prefix, sys.base_exec_prefix))
        and not path.startswith(tuple(packages))
        and "site-packages" not in path
        and "dist-packages" not in path
    ]
    named: list[str] = []
    for directory in packages:
        for name in sorted(os.listdir(directory)):
            if name.endswith(".pth"):
                named += _directories_of(directory, name)
    return tuple(dict.fromkeys([*standard, *packages, *named]))


def _directories_of(directory: str, name: str) -> list[str]:
    try:
        with open(os.path.join(directory, name), encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return []
    paths = (
        os.path.join(directory, line.strip())
        for line in lines
        if line.strip() and not line.startswith(("#", "import ", "import\t"))
    )
    return [os.path.normpath(path) for path in paths if os.path.isdir(path)]
