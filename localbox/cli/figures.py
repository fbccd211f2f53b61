"""Saves pictures that a cell shows as files for people to open."""

from __future__ import annotations

import base64
import binascii
import itertools
import os

from localbox import Result
from localbox.cli.failures import complain

# In the order of preference: one file for each picture.
_SUFFIXES = {"png": "png", "jpeg": "jpg", "svg": "svg", "pdf": "pdf"}


class Figures:
    """Files NAME-1.png, NAME-2.png ... in a directory; those that are there are left alone."""

    def __init__(self, directory: str, name: str) -> None:
        self._directory = directory
        self._name = name

    def save(self, result: Result) -> str | None:
        """The path of the picture of this result; None if it has none that could be saved."""
        for kind, suffix in _SUFFIXES.items():
            if content := result[kind]:
                return self._write(content, kind, suffix)
        return None

    def _write(self, content: str, kind: str, suffix: str) -> str | None:
        try:
            data = content.encode() if kind == "svg" else base64.b64decode(content)
            return self._write_new(data, suffix)
        except (binascii.Error, ValueError) as error:
            complain(f"a figure was not saved: its {kind} cannot be read: {error}")
        except OSError as error:
            complain(f"a figure was not saved in {self._directory or '.'}: {error.strerror}")
        return None

    def _write_new(self, data: bytes, suffix: str) -> str:
        for number in itertools.count(1):
            path = os.path.join(self._directory, f"{self._name}-{number}.{suffix}")
            try:
                with open(path, "xb") as file:
                    file.write(data)
                return path
            except FileExistsError:
                continue
        raise AssertionError("there is always another number")
