"""What git prints, read: status, branches, and which failures are whose."""

from __future__ import annotations

import pytest

from localbox.engine import git_answers
from localbox.errors import CommandExitException, GitAuthException, GitUpstreamException
from localbox.git_models import GitBranches, GitFileStatus, GitStatus

_HEADS = "# branch.oid 0123\0# branch.head main\0"
_MODES = "N... 100644 100644 100644 0123 4567"


def failed(stderr: str, exit_code: int = 128) -> CommandExitException[str]:
    return CommandExitException(stderr=stderr, stdout="", exit_code=exit_code, error=None)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("", GitStatus(None, None, 0, 0, False, [])),
        (_HEADS, GitStatus("main", None, 0, 0, False, [])),
        ("# branch.oid (initial)\0# branch.head a b\0", GitStatus("a b", None, 0, 0, False, [])),
        (
            f"{_HEADS}# branch.upstream origin/x\0# branch.ab +12 -3\0",
            GitStatus("main", "origin/x", 12, 3, False, []),
        ),
        # The upstream is gone: there is nothing to count.
        (f"{_HEADS}# branch.upstream o/x\0", GitStatus("main", "o/x", 0, 0, False, [])),
        ("# branch.oid 01\0# branch.head (detached)\0", GitStatus(None, None, 0, 0, True, [])),
        ("# stash 3\0", GitStatus(None, None, 0, 0, False, [])),
    ],
)
def test_a_branch_is_read(output: str, expected: GitStatus) -> None:
    assert git_answers.read_status(output) == expected


@pytest.mark.parametrize(
    ("letters", "label"),
    [
        ("M.", "modified"),
        (".M", "modified"),
        ("A.", "added"),
        ("AM", "added"),
        (".A", "added"),
        ("MD", "deleted"),
        ("D.", "deleted"),
        (".T", "typechange"),
        ("..", "unknown"),
    ],
)
def test_a_changed_file_is_read(letters: str, label: str) -> None:
    [file] = git_answers.read_status(f"1 {letters} {_MODES} a  b\n -> c\0").file_status
    index, working_tree = letters.replace(".", " ")[0], letters.replace(".", " ")[1]
    expected = GitFileStatus("a  b\n -> c", label, index, working_tree, index != " ")
    assert file == expected


def test_renames_conflicts_and_strangers_are_read() -> None:
    output = (
        f"2 R. {_MODES} R100 new name\0? old name\0"
        f"2 .C {_MODES} C75 copy\0original\0"
        "u AA N... 100644 100644 100644 100644 1 2 3 both added\0"
        "? dir/\0! ignored\0"
    )
    assert git_answers.read_status(output).file_status == [
        GitFileStatus("new name", "renamed", "R", " ", True, "? old name"),
        GitFileStatus("copy", "copied", " ", "C", False, "original"),
        GitFileStatus("both added", "conflict", "A", "A", True),
        GitFileStatus("dir/", "untracked", "?", "?", False),
    ]


def test_counts_add_up() -> None:
    output = (
        f"1 M. {_MODES} a\0001 .M {_MODES} b\0? c\0u UU N... 100644 100644 100644 100644 1 2 3 d\0"
    )
    status = git_answers.read_status(output)
    assert (status.total_count, status.staged_count, status.unstaged_count) == (4, 2, 2)
    assert (status.untracked_count, status.conflict_count) == (1, 1)
    assert (status.has_changes, status.has_staged, status.has_untracked) == (True, True, True)
    assert (status.has_conflicts, status.is_clean) == (True, False)


def test_branches_are_read() -> None:
    read = git_answers.read_branches
    assert read(" a\n*feature/ü\n *b\n") == GitBranches(["a", "feature/ü", "*b"], "feature/ü")
    assert read(" a\n") == GitBranches(["a"], None)
    assert read("") == GitBranches([], None)


@pytest.mark.parametrize(
    "stderr",
    [
        "remote: HTTP Basic: Access denied",
        "fatal: Authentication failed for 'https://example.com/'",
        "fatal: could not read Username for 'https://x': terminal prompts disabled",
        "git@example.com: Permission denied (publickey).",
        "remote: Permission to a/b.git denied to c.",
        "fatal: unable to access 'https://x/': The requested URL returned error: 403",
        "remote: Invalid username or token.",
    ],
)
def test_refused_credentials_are_told_apart(stderr: str) -> None:
    for action in ("clone", "push", "pull"):
        explained = git_answers.explained(failed(stderr), action, None, None)
        assert isinstance(explained, GitAuthException)
        assert stderr in str(explained)


@pytest.mark.parametrize(
    "stderr",
    [
        "fatal: The current branch x has no upstream branch.",
        "There is no tracking information for the current branch.",
        "fatal: no upstream configured for branch 'x'",
    ],
)
def test_a_missing_upstream_is_told_apart(stderr: str) -> None:
    assert isinstance(
        git_answers.explained(failed(stderr), "push", None, None), GitUpstreamException
    )
    assert git_answers.lacks_upstream(failed(stderr))


@pytest.mark.parametrize(
    "stderr",
    [
        "fatal: could not create work tree dir '/x': Permission denied",
        "fatal: repository '/nowhere' does not exist",
        "",
    ],
)
def test_other_failures_stay_what_they_are(stderr: str) -> None:
    error = failed(stderr)
    assert git_answers.explained(error, "clone", "u", "p") is error


def test_only_the_shells_word_means_that_git_is_missing() -> None:
    assert git_answers.is_missing(failed("bash: line 1: git: command not found", 127))
    assert not git_answers.is_missing(failed("git: 'x' is not a git command", 1))
    told = git_answers.missing(failed("bash: git: command not found", 127))
    assert (told.exit_code, "not installed" in told.stderr) == (127, True)
