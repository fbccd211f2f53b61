"""Where localbox keeps what outlives a program: secrets, volumes, snapshots, templates.

It guards what is kept from other users of this machine, not from other programs of the same user.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from localbox.errors import SandboxException


def data_dir() -> Path:
    """The user's directory for localbox, made if it is not there, readable by nobody else.

    `LOCALBOX_DATA_DIR` if that is set, else `localbox` in `XDG_DATA_HOME` (`~/.local/share`).

    Raises:
        SandboxException: it cannot be made, or other users could change what is in it.
    """
    return _private(_chosen())


def subdirectory(name: str) -> Path:
    """The directory `name` in `data_dir()`, made if it is not there, with mode 0700."""
    return _private(data_dir() / name)


def has_subdirectory(name: str) -> bool:
    """Whether there is anything to find in `subdirectory(name)`; makes nothing."""
    return (_chosen() / name).is_dir()


def write_atomically(host_path: Path, content: bytes) -> None:
    """Replace a file in one step, mode 0600: a reader or a crash sees the old or the new one."""
    # Begins with a dot: whoever lists the directory can tell it from what is finished.
    fd, temporary = tempfile.mkstemp(prefix=".", suffix=".new", dir=host_path.parent)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, host_path)
    except BaseException:
        os.unlink(temporary)
        raise


def _chosen() -> Path:
    chosen = os.environ.get("LOCALBOX_DATA_DIR")
    if chosen:
        return Path(os.path.abspath(chosen))
    base = os.environ.get("XDG_DATA_HOME", "")
    # The specification says that a relative one is to be ignored.
    home = Path(base) if os.path.isabs(base) else Path.home() / ".local" / "share"
    return home / "localbox"


def _private(host_path: Path) -> Path:
    try:
        if not host_path.is_dir():
            host_path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            # Another thread or program may make it at the same moment.
            host_path.mkdir(mode=0o700, exist_ok=True)
        status = host_path.stat()
    except OSError as problem:
        raise SandboxException(
            f"cannot make {host_path}, where localbox keeps its data: {problem.strerror}; "
            "set LOCALBOX_DATA_DIR to a directory you can write"
        ) from problem
    if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SandboxException(
            f"{host_path}, where localbox keeps its data, can be changed by other users; "
            f"make it yours and `chmod go-w` it, or set LOCALBOX_DATA_DIR to another directory"
        )
    return host_path
