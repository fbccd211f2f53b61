"""The `localbox` command. Built on the extra `[cli]`, which nothing outside this folder imports."""

from __future__ import annotations

import importlib
import os
import sys


def main() -> None:
    """Entry point of the command."""
    _open_missing_stdio()
    for name in ("typer", "rich"):
        try:
            importlib.import_module(name)
        except ImportError:
            print(
                f'localbox: the command line needs {name}: pip install "localbox[cli]"',
                file=sys.stderr,
            )
            sys.exit(1)
    from localbox.cli.app import app
    from localbox.cli.signals import SignalReceivedError, raise_on_signals

    try:
        raise_on_signals()
        app()
    except SignalReceivedError as received:
        sys.exit(128 + received.number)


def _open_missing_stdio() -> None:
    """Started with 0, 1 or 2 closed, a socket to a sandbox would become standard output."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
