"""git's command lines. What a caller gives is data in each of them and never an option.

Where git lets `--` end the options, that does it. Where it does not (checkout takes what follows
for files, pull passes its arguments on to fetch bare) a name that begins with a dash is refused:
git itself has no such branches.
"""

from __future__ import annotations

import shlex
from typing import get_args

from localbox.errors import InvalidArgumentException
from localbox.git_models import GitResetMode

BRANCHES = ["for-each-ref", "--format=%(HEAD)%(refname:lstrip=2)", "refs/heads"]
# -z is the only form in which any file name comes out as it is.
STATUS = ["status", "--porcelain=v2", "--branch", "-z"]
UPSTREAM = ["rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{upstream}"]


def command_line(arguments: list[str], path: str | None = None) -> str:
    """git with these arguments, for the shell."""
    where = ["-C", path] if path else []
    return shlex.join(["git", *where, *arguments])


def clone(url: str, path: str | None, branch: str | None, depth: int | None) -> list[str]:
    arguments = ["clone"]
    if branch:
        arguments += [f"--branch={branch}", "--single-branch"]
    if depth:
        arguments.append(f"--depth={depth}")
    return [*arguments, "--", url, *([path] if path else [])]


def init(path: str, bare: bool, initial_branch: str | None) -> list[str]:
    arguments = ["init"]
    if initial_branch:
        arguments.append(f"--initial-branch={initial_branch}")
    if bare:
        arguments.append("--bare")
    return [*arguments, "--", path]


def remote_add(name: str, url: str, fetch: bool) -> list[str]:
    if not name or not url:
        raise InvalidArgumentException("a remote needs a name and a url")
    return ["remote", "add", *(["-f"] if fetch else []), "--", name, url]


def remote_set(path: str, name: str, url: str, fetch: bool) -> str:
    """A line for the shell: add the remote, or give it another URL if it is there."""
    add = command_line(remote_add(name, url, fetch=False), path)
    get_url = command_line(remote_get_url(name), path)
    set_url = command_line(["remote", "set-url", "--", name, url], path)
    line = f"if {get_url} >/dev/null 2>&1; then {set_url}; else {add}; fi"
    return f"{line} && {command_line(['fetch', '--', name], path)}" if fetch else line


def remote_get_url(name: str) -> list[str]:
    if not name:
        raise InvalidArgumentException("the name of a remote is needed")
    return ["remote", "get-url", "--", name]


def create_branch(branch: str) -> list[str]:
    return ["checkout", "-b", branch]


def checkout(branch: str) -> list[str]:
    # "-" alone is the branch before this one.
    return ["checkout", branch if branch == "-" else _no_option(branch, "branch"), "--"]


def delete_branch(branch: str, force: bool) -> list[str]:
    return ["branch", "-D" if force else "-d", "--", branch]


def add(files: list[str] | None, all_files: bool) -> list[str]:
    if files:
        return ["add", "--", *files]
    return ["add", "-A" if all_files else "."]


def commit(
    message: str, author_name: str | None, author_email: str | None, allow_empty: bool
) -> list[str]:
    config = []
    if author_name:
        config += ["-c", f"user.name={author_name}"]
    if author_email:
        config += ["-c", f"user.email={author_email}"]
    return [
        *config,
        "commit",
        f"--message={message}",
        *(["--allow-empty"] if allow_empty else []),
    ]


def reset(mode: str | None, target: str | None, paths: list[str] | None) -> list[str]:
    modes = get_args(GitResetMode)
    if mode and mode not in modes:
        raise InvalidArgumentException(f"mode must be one of {', '.join(modes)}, not {mode!r}")
    arguments = ["reset"]
    if mode:
        arguments.append(f"--{mode}")
    if target:
        arguments.append(_no_option(target, "target"))
    return [*arguments, "--", *(paths or [])]


def restore(
    paths: list[str], staged: bool | None, worktree: bool | None, source: str | None
) -> list[str]:
    if not paths:
        raise InvalidArgumentException('restore needs at least one path; ["."] is all of them')
    if worktree is None:
        worktree = not staged
    if not staged and not worktree:
        raise InvalidArgumentException("restore needs staged or worktree to be true")
    arguments = ["restore"]
    if worktree:
        arguments.append("--worktree")
    if staged:
        arguments.append("--staged")
    if source:
        arguments.append(f"--source={source}")
    return [*arguments, "--", *paths]


def push(remote: str | None, branch: str | None, set_upstream: bool) -> list[str]:
    arguments = ["push"]
    if set_upstream and remote:
        arguments.append("--set-upstream")
    return [*arguments, *_where_to(remote, branch)]


def pull(remote: str | None, branch: str | None) -> list[str]:
    return ["pull", *_where_to(remote, branch)]


def config(scope: str | None, path: str | None) -> tuple[list[str], str | None]:
    """The beginning of a `git config`, and the repository it is about."""
    name = (scope or "global").strip().lower()
    if name not in ("global", "local", "system"):
        raise InvalidArgumentException(f"scope must be global, local or system, not {scope!r}")
    if name == "local" and not path:
        raise InvalidArgumentException('scope "local" needs the path of a repository')
    return ["config", f"--{name}"], path if name == "local" else None


def config_key(key: str) -> str:
    if not key:
        raise InvalidArgumentException("the key of a setting is needed")
    return key


def _where_to(remote: str | None, branch: str | None) -> list[str]:
    names = [(remote, "remote"), (branch, "branch")]
    return [_no_option(name, what) for name, what in names if name]


def _no_option(name: str, what: str) -> str:
    if name.startswith("-"):
        raise InvalidArgumentException(
            f"{what} {name!r} begins with a dash, which git would take for an option"
        )
    return name
