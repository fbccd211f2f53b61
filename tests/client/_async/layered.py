"""What tests of snapshots and forks look at in their data directory."""

from __future__ import annotations

import os
from pathlib import Path


def layers_in(data: Path) -> list[str]:
    """Everything that takes up space in there."""
    names = os.listdir(data / "layers") if (data / "layers").exists() else []
    return sorted(name for name in names if name != "lock")


def disk_bytes(directory: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in directory.rglob("*"))


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))
