"""A kernel that tells what warming up the Python kernel has left behind; for the fake host."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from localbox.kernels import python

_changes: list[str] = []


def _holdings() -> dict[str, Any]:
    return {
        "descriptors": sorted(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "children": open(f"/proc/self/task/{os.getpid()}/children").read(),
        "__main__": id(sys.modules["__main__"]),
        "streams": [id(stream) for stream in (sys.stdin, sys.stdout, sys.stderr)],
        "hooks": [sys.excepthook, sys.displayhook],
        "environment": dict(os.environ),
        "directory": os.getcwd(),
    }


def warm_up() -> None:
    before = _holdings()
    python.warm_up()
    after = _holdings()
    _changes[:] = [name for name, value in before.items() if after[name] != value]


class _Teller:
    def execute(self, _cell: Any) -> None:
        os.write(1, f"{', '.join(_changes) or 'same'}\n".encode())


def start_kernel(_port: Any, _language: str) -> _Teller:
    return _Teller()
