"""Pure parts of the guest: paths as E2B reads them, exits in E2B's words."""

from __future__ import annotations

import signal

import pytest

from localbox.guest.paths import resolve_path
from localbox.guest.processes import describe_exit


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("a", "/home/user/a"),
        ("./a", "/home/user/./a"),
        ("../a", "/home/user/../a"),
        ("/a", "/a"),
        ("~", "/home/user"),
        ("~/", "/home/user/"),
        ("~/a/~", "/home/user/a/~"),
        ("a~b", "/home/user/a~b"),
        ("$HOME", "/home/user/$HOME"),
        ("-rf", "/home/user/-rf"),
    ],
)
def test_relative_paths_are_the_home_directorys(path: str, expected: str) -> None:
    assert resolve_path(path, "/home/user") == expected


def test_dots_are_left_to_the_kernel() -> None:
    """`link/..` is the parent of what the link leads to; only the kernel knows."""
    assert resolve_path("/a/link/../b", "/home/user") == "/a/link/../b"


@pytest.mark.parametrize("path", ["~root", "~user/a", "a\0b", "\0"])
def test_paths_that_cannot_be_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path"):
        resolve_path(path, "/home/user")


@pytest.mark.parametrize(
    ("status", "exit_code", "error"),
    [
        (0, 0, None),
        (1 << 8, 1, "exit status 1"),
        (255 << 8, 255, "exit status 255"),
        (signal.SIGKILL, -1, "signal: killed"),
        (signal.SIGSEGV | 0x80, -1, "signal: segmentation fault"),
        (signal.SIGTERM, -1, "signal: terminated"),
    ],
)
def test_exits_are_told_in_e2bs_words(status: int, exit_code: int, error: str | None) -> None:
    told = describe_exit(status)
    assert (told["exit_code"], told["error"]) == (exit_code, error)
