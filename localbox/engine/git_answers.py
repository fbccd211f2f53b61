"""What git prints, as E2B's values and exceptions."""

from __future__ import annotations

import re

from localbox.errors import CommandExitException, GitAuthException, GitUpstreamException
from localbox.git_models import GitBranches, GitFileStatus, GitStatus

# A file that is several of these is the first.
_LABELS = {
    "R": "renamed",
    "C": "copied",
    "D": "deleted",
    "A": "added",
    "M": "modified",
    "T": "typechange",
}
# Fields before the path, by the record's first word. git-status(1), "Porcelain Format Version 2".
_FIELDS = {"1": 8, "2": 9, "u": 10}

_REFUSED = re.compile(
    r"authentication failed"
    r"|terminal prompts disabled"
    r"|could not read (?:username|password)"
    r"|invalid username or (?:password|token)"
    r"|access denied"
    r"|not authorized"
    r"|returned error: 40[13]"
    # Of a server, and not of a directory in the sandbox.
    r"|permission denied (?:\(|, please)"
    r"|permission to \S+ denied",
    re.IGNORECASE,
)
_NO_UPSTREAM = re.compile(
    r"no upstream (?:branch|configured)"
    r"|no tracking information"
    r"|set the (?:remote as )?upstream"
    r"|specify which branch you want to merge with"
    r"|HEAD does not point to a branch",
    re.IGNORECASE,
)


def read_status(output: str) -> GitStatus:
    """The status that `STATUS` prints."""
    status = GitStatus(None, None, 0, 0, False, [])
    records = iter(output.split("\0"))
    for record in records:
        kind, _, rest = record.partition(" ")
        if kind == "#":
            _read_branch(status, rest)
        elif kind == "?":
            status.file_status.append(GitFileStatus(rest, "untracked", "?", "?", False))
        elif kind in _FIELDS:
            letters, *_, path = rest.split(" ", _FIELDS[kind] - 1)
            index, working_tree = (letter.replace(".", " ") for letter in letters[:2])
            label = "conflict" if kind == "u" else _label(letters)
            file = GitFileStatus(path, label, index, working_tree, index != " ")
            if kind == "2":
                file.renamed_from = next(records, None)
            status.file_status.append(file)
    return status


def _read_branch(status: GitStatus, header: str) -> None:
    name, _, value = header.partition(" ")
    if name == "branch.head":
        status.detached = value == "(detached)"
        status.current_branch = None if status.detached else value
    elif name == "branch.upstream":
        status.upstream = value
    elif name == "branch.ab":
        ahead, behind = value.split(" ")
        status.ahead, status.behind = int(ahead), -int(behind)


def _label(letters: str) -> str:
    return next((label for letter, label in _LABELS.items() if letter in letters), "unknown")


def read_branches(output: str) -> GitBranches:
    """The branches that `BRANCHES` prints, a star or a blank before each."""
    lines = output.splitlines()
    current = next((line[1:] for line in lines if line.startswith("*")), None)
    return GitBranches([line[1:] for line in lines], current)


def is_missing(error: CommandExitException) -> bool:
    """Whether the shell found no git."""
    return error.exit_code == 127 and "git" in (error.stderr or "")


def missing(error: CommandExitException) -> CommandExitException:
    return CommandExitException(
        stderr="git is not installed in this sandbox: install it on this machine, where a "
        f"sandbox finds its programs, or use a template that has it. ({error.stderr.strip()})",
        stdout=error.stdout,
        exit_code=error.exit_code,
        error=error.error,
    )


def lacks_upstream(error: CommandExitException) -> bool:
    return _NO_UPSTREAM.search(f"{error.stderr}\n{error.stdout}") is not None


def explained(
    error: CommandExitException, action: str, username: str | None, password: str | None
) -> Exception:
    """The exception for a clone, push or pull that failed; often the same."""
    if _REFUSED.search(f"{error.stderr}\n{error.stdout}"):
        if username and password:
            needs = "was refused: the server does not accept these credentials"
        elif username:
            needs = "needs a password or token for this repository"
        else:
            needs = "needs credentials for this repository: pass username and password"
        return GitAuthException(f"git {action} {needs}. {error.stderr.strip()}")
    if action != "clone" and lacks_upstream(error):
        return no_upstream(action)
    return error


def no_upstream(action: str) -> GitUpstreamException:
    return GitUpstreamException(
        f"git {action}: the branch tracks no upstream; pass remote and branch"
        + (", with set_upstream=True to remember them" if action == "push" else "")
    )
