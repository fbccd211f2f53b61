"""`--ro` and `--rw`: host paths inside, readable or writable, and refused where neither can be."""

from __future__ import annotations

import os

import pytest

from localbox.cli.mounts import split_mount
from tests.cli.command import complaint, localbox

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="about sandboxes started by root")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/data", ("/data", "/data")),
        ("/data:/mnt/data", ("/data", "/mnt/data")),
        ("/data/../data/", ("/data", "/data")),
        # Only what is followed by an absolute path separates.
        ("/a:b", ("/a:b", "/a:b")),
        ("/a:b:/c", ("/a:b", "/c")),
    ],
)
def test_a_mount_is_a_path_and_perhaps_its_place_inside(text, expected):
    assert split_mount(text) == expected


def test_relative_paths_count_from_here():
    assert split_mount("data:/in") == (os.path.abspath("data"), "/in")


def test_ro_shows_a_directory_at_the_same_path(open_directory):
    (open_directory / "file").write_text("from the host")
    result = localbox("run", "--ro", str(open_directory), "--", "cat", f"{open_directory}/file")
    assert result.stdout == b"from the host"


def test_without_ro_it_is_not_there(open_directory):
    result = localbox("run", "--", "ls", str(open_directory))
    assert result.returncode == 2
    assert b"No such file" in result.stderr


def test_ro_cannot_be_written(open_directory):
    words = ("--ro", f"{open_directory}:/mnt/in", "--", "touch", "/mnt/in/new")
    result = localbox("run", *words)
    assert result.returncode == 1
    assert b"Read-only file system" in result.stderr
    assert list(open_directory.iterdir()) == []


def test_ro_shows_a_single_file_elsewhere(open_directory):
    file = open_directory / "file"
    file.write_text("from the host")
    file.chmod(0o644)
    result = localbox("run", "--ro", f"{file}:/mnt/it", "--", "cat", "/mnt/it")
    assert result.stdout == b"from the host"


def test_rw_changes_the_hosts_files(open_directory):
    words = ("--rw", str(open_directory), "--cwd", str(open_directory))
    assert localbox("run", *words, "--", "sh", "-c", "echo inside > new").returncode == 0
    written = open_directory / "new"
    assert written.read_text() == "inside\n"
    assert written.stat().st_uid != 0


def test_both_can_be_given_more_than_once(open_directory):
    for name in ("one", "two"):
        (open_directory / name).write_text(name)
    words = ["--ro", f"{open_directory}/one:/mnt/1", "--ro", f"{open_directory}/two:/mnt/2"]
    assert localbox("run", *words, "--", "cat", "/mnt/1", "/mnt/2").stdout == b"onetwo"


def test_code_takes_them_too(open_directory):
    (open_directory / "file").write_text("from the host")
    code = "print(open('/mnt/in/file').read(), end='')"
    result = localbox("code", "--ro", f"{open_directory}:/mnt/in", "-c", code)
    assert result.stdout == b"from the host"


@pytest.mark.parametrize("option", ["--ro", "--rw"])
def test_a_path_that_does_not_exist_is_an_error(option, tmp_path):
    result = localbox("run", option, str(tmp_path / "none"), "--", "true")
    assert result.returncode == 1
    expected = f"localbox: {option} {tmp_path}/none: No such file or directory"
    assert complaint(result) == expected


@as_root
def test_root_is_told_that_a_sandbox_cannot_write_what_is_roots(tmp_path):
    tmp_path.chmod(0o755)
    result = localbox("run", "--rw", str(tmp_path), "--", "true")
    assert result.returncode == 1
    assert "a sandbox never acts as host uid 0" in complaint(result)
    assert "chmod o+rwX" in complaint(result)
    # Readable it is.
    assert localbox("run", "--ro", str(tmp_path), "--", "ls", str(tmp_path)).returncode == 0


@as_root
def test_root_is_told_that_a_sandbox_cannot_read_what_is_roots_alone(tmp_path):
    tmp_path.chmod(0o700)
    result = localbox("run", "--ro", str(tmp_path), "--", "true")
    assert result.returncode == 1
    assert "could not read what others may not (mode 0700)" in complaint(result)
