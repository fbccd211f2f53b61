"""A cached filter counts only if nobody else can have written it."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from localbox.policy import seccomp_cache as cache

KEY = "ab" * 32
PROGRAMS = (b"\x06\0\0\0\0\0\xff\x7f", b"\x20\0\0\0\4\0\0\0" * 3)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    file = tmp_path / "libseccomp.so.2.5.4"
    file.write_bytes(b"elf")
    return file


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Path) -> Path:
    """A cache with the two programs in it; the file they are in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cache.write(KEY, PROGRAMS, library)
    return tmp_path / "cache" / "localbox" / "seccomp" / f"{KEY}.bpf"


def test_what_was_written_is_read(kept: Path) -> None:
    assert cache.read(KEY) == PROGRAMS
    assert [entry.name for entry in kept.parent.iterdir()] == [kept.name]


def test_only_the_user_can_get_at_it(kept: Path) -> None:
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_others_can_write_does_not_count(kept: Path, mode: int) -> None:
    kept.chmod(mode)
    assert cache.read(KEY) is None


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o1777])
def test_a_directory_others_can_write_does_not_count(kept: Path, mode: int) -> None:
    kept.parent.chmod(mode)
    assert cache.read(KEY) is None


@pytest.mark.parametrize("what", ["file", "directory"])
def test_what_belongs_to_somebody_else_does_not_count(
    kept: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if os.geteuid() != 0:
        monkeypatch.setattr(cache.os, "geteuid", lambda: os.getuid() + 1)
    else:
        os.chown(kept if what == "file" else kept.parent, 12345, 12345)
    assert cache.read(KEY) is None


def test_a_link_is_not_followed(kept: Path, tmp_path: Path) -> None:
    kept.rename(tmp_path / "elsewhere")
    kept.symlink_to(tmp_path / "elsewhere")
    assert cache.read(KEY) is None


def test_a_linked_directory_is_not_followed(kept: Path, tmp_path: Path) -> None:
    kept.parent.rename(tmp_path / "elsewhere")
    kept.parent.symlink_to(tmp_path / "elsewhere")
    assert cache.read(KEY) is None


def test_a_fifo_does_not_hang_the_reader(kept: Path) -> None:
    kept.unlink()
    os.mkfifo(kept, 0o600)
    assert cache.read(KEY) is None


def test_any_changed_byte_is_noticed(kept: Path) -> None:
    whole = kept.read_bytes()
    payload_at = whole.index(b"\n") + 1
    for at in range(payload_at, len(whole)):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert cache.read(KEY) is None, at


def test_any_shortened_or_lengthened_file_is_noticed(kept: Path) -> None:
    whole = kept.read_bytes()
    for length in range(len(whole)):
        kept.write_bytes(whole[:length])
        assert cache.read(KEY) is None, length
    kept.write_bytes(whole + b"\0" * 8)
    assert cache.read(KEY) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format": 0},
        {"key": "cd" * 32},
        {"lengths": []},
        {"lengths": [0, 32]},
        {"lengths": [4, 28]},
        {"lengths": [-8, 40]},
        {"lengths": "ab"},
        {"lengths": [8, 16]},
        {"library": []},
        {"library": ["/nowhere", 1, 2, 3]},
        {"library": [None, 1, 2, 3]},
    ],
)
def test_a_header_that_does_not_fit_is_noticed(kept: Path, change: dict[str, object]) -> None:
    line, _, payload = kept.read_bytes().partition(b"\n")
    header = {**json.loads(line), **change}
    kept.write_bytes(json.dumps(header).encode() + b"\n" + payload)
    assert cache.read(KEY) is None


@pytest.mark.parametrize("line", [b"", b"{}", b"[]", b"null", b"\xff", b"[" * 5000, b'"x"'])
def test_a_header_that_is_no_header_is_noticed(kept: Path, line: bytes) -> None:
    kept.write_bytes(line + b"\n" + b"".join(PROGRAMS))
    assert cache.read(KEY) is None


def test_a_file_of_another_policy_does_not_count(kept: Path) -> None:
    other = "cd" * 32
    kept.rename(kept.with_name(f"{other}.bpf"))
    assert cache.read(other) is None


def test_an_upgraded_library_means_compiling_again(kept: Path, library: Path) -> None:
    library.write_bytes(b"newer elf")
    assert cache.read(KEY) is None
    cache.write(KEY, PROGRAMS, library)
    assert cache.read(KEY) == PROGRAMS


def test_a_place_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    cache.write(KEY, PROGRAMS, library)
    assert cache.read(KEY) is None


def test_a_full_disk_leaves_no_draft(
    kept: Path, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "rename", full)
    cache.write("cd" * 32, PROGRAMS, library)
    assert [entry.name for entry in kept.parent.iterdir()] == [kept.name]


def test_root_leaves_nothing_in_somebody_elses_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "cache"))
    monkeypatch.setattr(cache.os, "geteuid", lambda: os.getuid() + 1)
    cache.write(KEY, PROGRAMS, library)
    assert list(home.iterdir()) == []


def test_a_relative_cache_home_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache._directory() == tmp_path / ".cache" / "localbox" / "seccomp"


def test_old_files_are_forgotten(kept: Path, library: Path) -> None:
    for at in range(60):
        cache.write(f"{at:064x}", PROGRAMS, library)
    assert len(list(kept.parent.iterdir())) <= 32
    assert cache.read(f"{59:064x}") == PROGRAMS
