"""Metadata where the file system keeps no user attributes: a tmpfs before Linux 6.6."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from localbox.guest import metadata


@pytest.fixture
def _no_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> NoReturn:
        raise OSError(errno.ENOTSUP, "not supported")

    monkeypatch.setattr(os, "setxattr", refuse)
    monkeypatch.setattr(metadata, "_remembered", {})


def write(path: Path, notes: dict[str, str]) -> None:
    with path.open("w") as file:
        metadata.write(file.fileno(), notes)


def read(path: Path) -> dict[str, str] | None:
    return metadata.read(str(path), path.lstat())


@pytest.mark.usefixtures("_no_attributes")
def test_metadata_is_remembered_and_follows_the_file(tmp_path: Path) -> None:
    write(tmp_path / "a", {"k": "v"})
    write(tmp_path / "b", {})
    (tmp_path / "a").rename(tmp_path / "c")
    assert read(tmp_path / "c") == {"k": "v"}
    assert read(tmp_path / "b") is None
    write(tmp_path / "c", {"k": "w"})
    assert read(tmp_path / "c") == {"k": "w"}


@pytest.mark.usefixtures("_no_attributes")
def test_only_so_much_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "_REMEMBERED", 3)
    for number in range(5):
        write(tmp_path / str(number), {"n": str(number)})
    assert [read(tmp_path / str(number)) for number in range(5)] == [
        None,
        None,
        {"n": "2"},
        {"n": "3"},
        {"n": "4"},
    ]
