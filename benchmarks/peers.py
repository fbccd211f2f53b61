"""Whom localbox is compared with: a clean interpreter, bare and under bubblewrap."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

# No variables of ours, which could slow the peer down or speed it up.
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": "/"}


@dataclass(frozen=True)
class Peers:
    """
    Args:
        python: the interpreter of a virtual environment with nothing in it. A pyenv shim, or an
            environment with heavy .pth files, would flatter us.
        bubblewrap: the command line that runs what follows under bubblewrap; empty without it.
        why_no_bubblewrap: set when there is none.
    """

    python: str
    bubblewrap: tuple[str, ...]
    why_no_bubblewrap: str

    def run_python(self, code: str) -> bytes:
        return run([self.python, "-c", code])

    def run_bubblewrapped(self, code: str) -> bytes:
        return run([*self.bubblewrap, self.python, "-c", code])


def run(command: list[str], environment: dict[str, str] | None = None) -> bytes:
    return subprocess.run(
        command,
        env=environment or ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=True,
    ).stdout


@contextmanager
def make_peers() -> Iterator[Peers]:
    """A virtual environment of the interpreter this runs under, for as long as the block lasts."""
    with TemporaryDirectory(prefix="localbox-peers-") as directory:
        venv = Path(directory) / "venv"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(venv)], check=True)
        python = str(venv / "bin" / "python")
        command, why = _bubblewrap(venv)
        peers = Peers(python, command, why)
        if command:
            try:
                peers.run_bubblewrapped("print(1)")
            except subprocess.CalledProcessError as error:
                why = f"bubblewrap fails here with exit code {error.returncode}"
                peers = Peers(python, (), why)
        yield peers


def _bubblewrap(venv: Path) -> tuple[tuple[str, ...], str]:
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return (), "bubblewrap is not installed"
    command = [bwrap, "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev"]
    for path in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(path):
            command += ["--symlink", os.readlink(path), path]
        elif os.path.isdir(path):
            command += ["--ro-bind", path, path]
    command += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--tmpfs", "/tmp"]
    # The interpreter may live outside /usr, and the link to it elsewhere again.
    needed = {str(venv), os.path.realpath(sys.base_prefix), sys.base_prefix}
    for path in sorted(needed):
        if not path.startswith("/usr"):
            command += ["--ro-bind", path, path]
    return tuple(command), ""
