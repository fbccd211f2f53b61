# generated from localbox/_async/git_local.py by scripts/unasync.py; edit that, not this
"""What `sandbox.git` does within one repository."""

from __future__ import annotations

from localbox._sync.git_base import GitBase
from localbox.engine import git_answers, git_arguments
from localbox.errors import InvalidArgumentException
from localbox.git_models import GitBranches, GitResetMode, GitStatus
from localbox.models import CommandResult


class LocalGit(GitBase):
    def init(
        self,
        path: str,
        bare: bool = False,
        initial_branch: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Make a repository.

        Args:
            bare: without a working tree.
            initial_branch: its first branch's name.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.init(path, bare, initial_branch), None, how)

    def status(
        self,
        path: str,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> GitStatus:
        """The branch, and the files that changed."""
        how = (envs, user, cwd, timeout, request_timeout)
        return git_answers.read_status(self._git(git_arguments.STATUS, path, how).stdout)

    def branches(
        self,
        path: str,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> GitBranches:
        """The local branches."""
        how = (envs, user, cwd, timeout, request_timeout)
        return git_answers.read_branches(self._git(git_arguments.BRANCHES, path, how).stdout)

    def create_branch(
        self,
        path: str,
        branch: str,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Make a branch of where the repository is, and check it out."""
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.create_branch(branch), path, how)

    def checkout_branch(
        self,
        path: str,
        branch: str,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Check out a branch, a tag or a commit."""
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.checkout(branch), path, how)

    def delete_branch(
        self,
        path: str,
        branch: str,
        force: bool = False,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Delete a branch; `force` if it is not merged."""
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.delete_branch(branch, force), path, how)

    def add(
        self,
        path: str,
        files: list[str] | None = None,
        all: bool = True,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Stage files.

        Args:
            files: pathspecs; by default everything.
            all: without files: of the whole repository, and not of `path` alone.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.add(files, all), path, how)

    def commit(
        self,
        path: str,
        message: str,
        author_name: str | None = None,
        author_email: str | None = None,
        allow_empty: bool = False,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Commit what is staged.

        Args:
            author_name, author_email: instead of those configured, for this commit.
            allow_empty: also if nothing is staged.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        arguments = git_arguments.commit(message, author_name, author_email, allow_empty)
        return self._git(arguments, path, how)

    def reset(
        self,
        path: str,
        mode: GitResetMode | None = None,
        target: str | None = None,
        paths: list[str] | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Move the branch to another commit, or with `paths` unstage files.

        Args:
            mode: what to do to the index and the files; git's default is "mixed".
            target: a commit, by default HEAD.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.reset(mode, target, paths), path, how)

    def restore(
        self,
        path: str,
        paths: list[str],
        staged: bool | None = None,
        worktree: bool | None = None,
        source: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Put files back as they were.

        Args:
            paths: pathspecs; ["."] is everything.
            staged: in the index.
            worktree: in the working tree; the default unless `staged` is true.
            source: the commit they are taken from.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        return self._git(git_arguments.restore(paths, staged, worktree, source), path, how)

    def set_config(
        self,
        key: str,
        value: str,
        scope: str = "global",
        path: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Change a setting.

        Args:
            scope: "global", "local", which needs `path`, or "system".
        """
        how = (envs, user, cwd, timeout, request_timeout)
        arguments, repository = git_arguments.config(scope, path)
        arguments += ["--", git_arguments.config_key(key), value]
        return self._git(arguments, repository, how)

    def get_config(
        self,
        key: str,
        scope: str = "global",
        path: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> str | None:
        """A setting; None if it is not made.

        Args:
            scope: "global", "local", which needs `path`, or "system".
        """
        how = (envs, user, cwd, timeout, request_timeout)
        arguments, repository = git_arguments.config(scope, path)
        arguments += ["--get", "--", git_arguments.config_key(key)]
        return self._answer(arguments, repository, how)

    def configure_user(
        self,
        name: str,
        email: str,
        scope: str = "global",
        path: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Say who commits.

        Args:
            scope: "global", "local", which needs `path`, or "system".
        """
        how = (envs, user, cwd, timeout, request_timeout)
        if not name or not email:
            raise InvalidArgumentException("git needs both a name and an email of its user")
        self.set_config("user.name", name, scope, path, *how)
        return self.set_config("user.email", email, scope, path, *how)
