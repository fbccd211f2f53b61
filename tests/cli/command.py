"""The real command in a process of its own, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
ARGV = (sys.executable, "-m", "localbox.cli")
# A test waits for events; this only bounds a wait for one that never comes.
PATIENCE_S = 50


def environment(**more: str) -> dict[str, str]:
    # As wide as in a CI log, whatever terminal the tests run in.
    return {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", **more}


def localbox(*words: str, stdin: bytes | None = None, **options: Any) -> Any:
    """Run to the end; stdin is empty unless given."""
    options.setdefault("env", environment())
    return subprocess.run(
        [*ARGV, *words],
        input=stdin or b"",
        capture_output=True,
        timeout=PATIENCE_S,
        check=False,
        **options,
    )


def start(*words: str, **options: Any) -> subprocess.Popen[bytes]:
    """Start with pipes on all three."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
    return subprocess.Popen([*ARGV, *words], env=environment(), **pipes)


def complaint(result: Any) -> str:
    """The one line on stderr that an error is."""
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, result.stderr
    return str(lines[0])


def without_module(name: str, directory: Path) -> dict[str, str]:
    """The variable with which the command does not find this module."""
    (directory / f"{name}.py").write_text("raise ImportError")
    return {"PYTHONPATH": f"{directory}:{ROOT}"}
