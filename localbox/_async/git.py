"""`sandbox.git`: git in the sandbox, in E2B's words. E2B means to remove it in its next version.

Each method is one or a few commands; `commands.run` does as well.
"""

from __future__ import annotations

from typing import Any

from localbox._async.commands import Commands
from localbox.engine import git_answers, git_arguments, git_credentials
from localbox.engine.git_credentials import Credentials
from localbox.errors import CommandExitException, InvalidArgumentException
from localbox.git_models import GitBranches, GitResetMode, GitStatus
from localbox.models import CommandResult

# git must fail rather than ask at a terminal; its messages are read, so they must be English.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
# What every method takes: envs, user, cwd, timeout, request_timeout.
_How = tuple[dict[str, str] | None, str | None, str | None, float | None, float | None]


class Git:
    """git in one sandbox.

    All methods take these besides their own arguments: `envs`, environment variables of git;
    `user` and `cwd` as for `commands.run`; `timeout`, seconds after which git is killed, by default
    never; `request_timeout`, accepted as E2B does. `path` is the repository's.

    All of them raise CommandExitException if git fails or is not there, TimeoutException if the
    timeout expires, and SandboxNotRunningException if the sandbox has ended.
    """

    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def clone(
        self,
        url: str,
        path: str | None = None,
        branch: str | None = None,
        depth: int | None = None,
        username: str | None = None,
        password: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
        dangerously_store_credentials: bool = False,
    ) -> CommandResult[str]:
        """Clone a repository.

        Args:
            path: where to; by default a directory named like the repository.
            branch: check out this one, and fetch no other.
            depth: fetch so many commits only.
            username, password: for http(s). They are kept nowhere, nor are those in the URL.
            dangerously_store_credentials: keep them in the clone's .git/config.

        Raises:
            GitAuthException: the server wants credentials, or others.
            InvalidArgumentException: a password without a username, or for no http(s) URL.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        credentials = git_credentials.check_given(username, password, "clone")
        if credentials is not None:
            git_credentials.check_http(url)
        url, in_url = git_credentials.split_url(url)
        credentials = credentials or in_url
        if credentials is not None and dangerously_store_credentials:
            url, credentials = credentials.in_url(url), None
        arguments = git_arguments.clone(url, path, branch, depth)
        try:
            return await self._git_with(credentials, url, arguments, None, how)
        except CommandExitException as error:
            raise git_answers.explained(error, "clone", username, password) from error

    async def init(
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
        return await self._git(git_arguments.init(path, bare, initial_branch), None, how)

    async def remote_add(
        self,
        path: str,
        name: str,
        url: str,
        fetch: bool = False,
        overwrite: bool = False,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Add a remote.

        Args:
            fetch: fetch from it at once.
            overwrite: if it is there already, change its URL; otherwise that is an error.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        if overwrite:
            git_arguments.remote_add(name, url, fetch)
            return await self._run(git_arguments.remote_set(path, name, url, fetch), how)
        return await self._git(git_arguments.remote_add(name, url, fetch), path, how)

    async def remote_get(
        self,
        path: str,
        name: str,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> str | None:
        """The URL of a remote; None if there is no such remote."""
        how = (envs, user, cwd, timeout, request_timeout)
        return await self._answer(git_arguments.remote_get_url(name), path, how)

    async def status(
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
        return git_answers.read_status((await self._git(git_arguments.STATUS, path, how)).stdout)

    async def branches(
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
        return git_answers.read_branches(
            (await self._git(git_arguments.BRANCHES, path, how)).stdout
        )

    async def create_branch(
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
        return await self._git(git_arguments.create_branch(branch), path, how)

    async def checkout_branch(
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
        return await self._git(git_arguments.checkout(branch), path, how)

    async def delete_branch(
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
        return await self._git(git_arguments.delete_branch(branch, force), path, how)

    async def add(
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
        return await self._git(git_arguments.add(files, all), path, how)

    async def commit(
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
        return await self._git(arguments, path, how)

    async def reset(
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
        return await self._git(git_arguments.reset(mode, target, paths), path, how)

    async def restore(
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
        return await self._git(git_arguments.restore(paths, staged, worktree, source), path, how)

    async def push(
        self,
        path: str,
        remote: str | None = None,
        branch: str | None = None,
        set_upstream: bool = True,
        username: str | None = None,
        password: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Push commits.

        Args:
            remote: may be left out if there is one only, or if the branch tracks one.
            set_upstream: remember `remote`, if it is given, as the one the branch tracks.
            username, password: for http(s). They are kept nowhere.

        Raises:
            GitAuthException: the server wants credentials, or others.
            GitUpstreamException: neither `remote` nor what the branch tracks is known.
            InvalidArgumentException: a password without a username, or for no http(s) URL; or
                there are several remotes to choose from.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        credentials = git_credentials.check_given(username, password, "push")
        if not remote and (branch or credentials):
            remote = await self._only_remote(path, how)
        url = await self._url_of(remote, path, how) if credentials and remote else ""
        arguments = git_arguments.push(remote, branch, set_upstream)
        try:
            return await self._git_with(credentials, url, arguments, path, how)
        except CommandExitException as error:
            raise git_answers.explained(error, "push", username, password) from error

    async def pull(
        self,
        path: str,
        remote: str | None = None,
        branch: str | None = None,
        username: str | None = None,
        password: str | None = None,
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Fetch from a remote and merge.

        Args:
            remote: may be left out if there is one only, or if the branch tracks one.
            username, password: for http(s). They are kept nowhere.

        Raises:
            GitAuthException: the server wants credentials, or others.
            GitUpstreamException: neither `remote` nor what the branch tracks is known.
            InvalidArgumentException: a password without a username, or for no http(s) URL; or
                there are several remotes to choose from.
        """
        how = (envs, user, cwd, timeout, request_timeout)
        credentials = git_credentials.check_given(username, password, "pull")
        if not remote and not branch:
            await self._check_upstream(path, how)
        if not remote and (branch or credentials):
            remote = await self._only_remote(path, how)
        url = await self._url_of(remote, path, how) if credentials and remote else ""
        arguments = git_arguments.pull(remote, branch)
        try:
            return await self._git_with(credentials, url, arguments, path, how)
        except CommandExitException as error:
            raise git_answers.explained(error, "pull", username, password) from error

    async def set_config(
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
        return await self._git(arguments, repository, how)

    async def get_config(
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
        return await self._answer(arguments, repository, how)

    async def dangerously_authenticate(
        self,
        username: str,
        password: str,
        host: str = "github.com",
        protocol: str = "https",
        envs: dict[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> CommandResult[str]:
        """Store credentials in the sandbox, in the clear, for every later git in it."""
        how = (envs, user, cwd, timeout, request_timeout)
        if not username or not password:
            raise InvalidArgumentException("git authentication needs a username and a password")
        where = {"host": host.strip() or "github.com", "protocol": protocol.strip() or "https"}
        secret = Credentials(username, password).environment(**where)
        store = git_arguments.command_line(["config", "--global", "credential.helper", "store"])
        return await self._run(f"{store} && {git_credentials.APPROVE}", how, secret)

    async def configure_user(
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
        await self.set_config("user.name", name, scope, path, *how)
        return await self.set_config("user.email", email, scope, path, *how)

    async def _check_upstream(self, path: str, how: _How) -> None:
        try:
            await self._git(git_arguments.UPSTREAM, path, how)
        except CommandExitException as error:
            # Whatever else is wrong the pull will say.
            if git_answers.lacks_upstream(error):
                raise git_answers.no_upstream("pull") from error

    async def _only_remote(self, path: str, how: _How) -> str:
        remotes = (await self._git(["remote"], path, how)).stdout.split()
        if len(remotes) != 1:
            known = ", ".join(remotes) or "none"
            raise InvalidArgumentException(f"remote is needed: the repository has {known}")
        return remotes[0]

    async def _url_of(self, remote: str, path: str, how: _How) -> str:
        url = (await self._git(git_arguments.remote_get_url(remote), path, how)).stdout.strip()
        git_credentials.check_http(url)
        return url

    async def _answer(self, arguments: list[str], path: str | None, how: _How) -> str | None:
        """What git prints; None for nothing, and if it fails."""
        try:
            return (await self._git(arguments, path, how)).stdout.strip() or None
        except CommandExitException as error:
            if git_answers.is_missing(error):
                raise
            return None

    async def _git_with(
        self,
        credentials: Credentials | None,
        url: str,
        arguments: list[str],
        path: str | None,
        how: _How,
    ) -> CommandResult[str]:
        """Run git, which is told the credentials if the server of `url` asks for any."""
        if credentials is None:
            return await self._git(arguments, path, how)
        arguments = [*git_credentials.helper_for(url), *arguments]
        return await self._git(arguments, path, how, credentials.environment())

    async def _git(
        self,
        arguments: list[str],
        path: str | None,
        how: _How,
        more_envs: dict[str, str] | None = None,
    ) -> CommandResult[str]:
        return await self._run(git_arguments.command_line(arguments, path), how, more_envs)

    async def _run(
        self, line: str, how: _How, more_envs: dict[str, str] | None = None
    ) -> CommandResult[str]:
        envs, user, cwd, timeout, request_timeout = how
        every: dict[str, Any] = {**_ENVIRONMENT, **(envs or {}), **(more_envs or {})}
        try:
            return await self._commands.run(
                line,
                envs=every,
                user=user,
                cwd=cwd,
                timeout=timeout,
                request_timeout=request_timeout,
            )
        except CommandExitException as error:
            if git_answers.is_missing(error):
                raise git_answers.missing(error) from None
            raise
