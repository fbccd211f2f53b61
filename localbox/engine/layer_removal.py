"""Removes trees that guests have made, whatever they are called, allow, link to or contain."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

# A copier that has not yet noticed that nobody waits for it may still make files in there.
_PATIENCE_S = 2.0


def remove_tree(host_path: Path) -> None:
    """Remove a tree that a guest has made: any names, any modes, any depth; follows no link."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            _empty(host_path)
            host_path.rmdir()
            return
        except FileNotFoundError:
            # Somebody else is removing it too.
            if not host_path.exists():
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            # The next program to sweep tries again.
            return
        time.sleep(0.01)


def _empty(host_path: Path) -> None:
    # What lies deeper is moved up first, so that no depth needs a descriptor or a long path.
    pending = [host_path]
    while pending:
        directory = pending.pop()
        os.chmod(directory, stat.S_IRWXU)
        with os.scandir(directory) as entries:
            children = [(entry.path, entry.is_dir(follow_symlinks=False)) for entry in entries]
        for path, is_directory in children:
            if not is_directory:
                os.unlink(path)
                continue
            os.chmod(path, stat.S_IRWXU)
            if directory == host_path:
                pending.append(Path(path))
            else:
                moved = host_path / f".moved-{os.urandom(8).hex()}"
                os.rename(path, moved)
                pending.append(moved)
        if directory != host_path:
            directory.rmdir()
