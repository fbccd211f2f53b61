"""Where lasting data lies, and that other users cannot get at it."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from localbox.engine import data_dir as module
from localbox.engine.data_dir import data_dir, subdirectory, write_atomically
from localbox.errors import SandboxException


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("LOCALBOX_DATA_DIR", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_in_the_home_directory_unless_said_otherwise(tmp_path: Path):
    assert data_dir() == tmp_path / "home/.local/share/localbox"
    assert mode_of(data_dir()) == 0o700


def test_the_desktop_variable_moves_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_dir() == tmp_path / "xdg/localbox"


def test_a_relative_desktop_variable_is_ignored(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_DATA_HOME", "data")
    assert data_dir() == tmp_path / "home/.local/share/localbox"


def test_our_own_variable_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "own"))
    assert data_dir() == tmp_path / "own"
    assert subdirectory("volumes") == tmp_path / "own/volumes"
    assert mode_of(tmp_path / "own/volumes") == 0o700


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_directory_others_can_write_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
):
    own = tmp_path / "own"
    own.mkdir()
    own.chmod(mode)
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(own))
    with pytest.raises(SandboxException, match="chmod go-w"):
        data_dir()


def test_a_directory_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(module.os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(SandboxException, match="other users"):
        data_dir()


def test_a_place_that_cannot_be_made_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "file/below"))
    with pytest.raises(SandboxException, match="LOCALBOX_DATA_DIR"):
        data_dir()


def test_a_file_is_replaced_in_one_step_and_is_private(tmp_path: Path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert mode_of(path) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_failed_write_leaves_nothing(tmp_path: Path):
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        write_atomically(tmp_path / "directory", b"new")
    assert [entry.name for entry in tmp_path.iterdir()] == ["directory"]
