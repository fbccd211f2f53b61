"""git's command lines: what a caller gives is never an option, and never a command of a shell."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from localbox.engine import git_arguments, git_credentials
from localbox.engine.git_credentials import Credentials
from localbox.errors import InvalidArgumentException

EVIL = "--upload-pack=$(touch /tmp/evil);'\""


def options_of(arguments: list[str]) -> list[str]:
    """What git may take for options: all that begins with a dash, up to `--`."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return [argument for argument in before if argument.startswith("-")]


@pytest.mark.parametrize(
    "build",
    [
        lambda x: git_arguments.clone(x, x, None, None),
        lambda x: git_arguments.init(x, True, None),
        lambda x: git_arguments.remote_add(x, x, True),
        git_arguments.remote_get_url,
        lambda x: git_arguments.delete_branch(x, True),
        lambda x: git_arguments.add([x], True),
        lambda x: git_arguments.reset(None, None, [x]),
        lambda x: git_arguments.restore([x], True, True, None),
    ],
)
def test_names_stand_behind_the_options(build: Callable[[str], list[str]]) -> None:
    arguments = build(EVIL)
    assert EVIL in arguments
    assert not any(option.startswith("--upload-pack") for option in options_of(arguments))


@pytest.mark.parametrize(
    "build",
    [
        lambda x: git_arguments.clone("u", None, x, None),
        lambda x: git_arguments.init("p", False, x),
        lambda x: git_arguments.commit(x, None, None, False),
        lambda x: git_arguments.restore(["p"], True, True, x),
    ],
)
def test_values_are_part_of_their_option(build: Callable[[str], list[str]]) -> None:
    arguments = build(EVIL)
    assert EVIL not in arguments
    assert any(argument.endswith(f"={EVIL}") for argument in arguments)


@pytest.mark.parametrize(
    "build",
    [
        git_arguments.checkout,
        lambda x: git_arguments.reset("hard", x, None),
        lambda x: git_arguments.push(x, "main", True),
        lambda x: git_arguments.push("origin", x, True),
        lambda x: git_arguments.pull(x, "main"),
        lambda x: git_arguments.pull("origin", x),
    ],
)
def test_where_git_would_not_tell_a_name_from_an_option_it_is_refused(
    build: Callable[[str], list[str]],
) -> None:
    with pytest.raises(InvalidArgumentException, match="begins with a dash"):
        build(EVIL)


def test_a_command_line_is_one_command() -> None:
    arguments = ["commit", f"--message={EVIL}", "a b", "", "\n", "ü"]
    line = git_arguments.command_line(arguments, "-a path")
    assert shlex.split(line) == ["git", "-C", "-a path", *arguments]


@pytest.mark.parametrize(
    ("staged", "worktree", "expected"),
    [
        (None, None, ["--worktree"]),
        (True, None, ["--staged"]),
        (False, None, ["--worktree"]),
        (None, True, ["--worktree"]),
        (True, True, ["--worktree", "--staged"]),
        (True, False, ["--staged"]),
        (False, True, ["--worktree"]),
    ],
)
def test_restore_restores_what_e2b_does(
    staged: bool | None, worktree: bool | None, expected: list[str]
) -> None:
    arguments = git_arguments.restore(["."], staged, worktree, None)
    assert arguments == ["restore", *expected, "--", "."]


@pytest.mark.parametrize(("staged", "worktree"), [(False, False), (None, False)])
def test_nothing_cannot_be_restored(staged: bool | None, worktree: bool | None) -> None:
    with pytest.raises(InvalidArgumentException):
        git_arguments.restore(["."], staged, worktree, None)


def test_an_upstream_is_set_where_there_is_a_remote() -> None:
    assert git_arguments.push(None, None, True) == ["push"]
    assert git_arguments.push("o", "b", True) == ["push", "--set-upstream", "o", "b"]
    assert git_arguments.push("o", None, False) == ["push", "o"]


@pytest.mark.parametrize(
    ("url", "clean", "found"),
    [
        ("https://example.com/r", "https://example.com/r", None),
        ("https://u:p@example.com/r", "https://example.com/r", Credentials("u", "p")),
        ("https://u:p%40%2f@[::1]:8/r?q", "https://[::1]:8/r?q", Credentials("u", "p@/")),
        ("https://u:a@b@example.com/r", "https://example.com/r", Credentials("u", "a@b")),
        ("https://u@example.com/r", "https://example.com/r", None),
        ("ssh://u:p@example.com/r", "ssh://u:p@example.com/r", None),
        ("u@example.com:r", "u@example.com:r", None),
        ("https://[/r", "https://[/r", None),
    ],
)
def test_credentials_are_taken_out_of_a_url(
    url: str, clean: str, found: Credentials | None
) -> None:
    assert git_credentials.split_url(url) == (clean, found)


def test_credentials_are_in_the_environment_and_not_in_the_arguments() -> None:
    credentials = Credentials("name", "s3cret")
    arguments = git_credentials.helper_for("https://other@example.com:8/r")
    assert "s3cret" not in str(arguments)
    assert arguments[-1].startswith("credential.https://example.com:8.helper=!")
    assert credentials.environment() == {
        "LOCALBOX_GIT_USERNAME": "name",
        "LOCALBOX_GIT_PASSWORD": "s3cret",
    }


def test_credentials_that_are_stored_are_quoted() -> None:
    url = Credentials("a@b", "p:/@%").in_url("https://example.com/r")
    assert url == "https://a%40b:p%3A%2F%40%25@example.com/r"
    assert git_credentials.split_url(url)[1] == Credentials("a@b", "p:/@%")


@pytest.mark.parametrize("value", ["a\nhost=evil", "a\0b"])
def test_a_secret_is_one_line(value: str) -> None:
    with pytest.raises(InvalidArgumentException, match="line break"):
        Credentials(value, "p").environment()
    with pytest.raises(InvalidArgumentException, match="line break"):
        Credentials("u", "p").environment(host=value)
