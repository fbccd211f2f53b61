"""How every method of `sandbox.git` runs git."""

from __future__ import annotations

from typing import Any

from localbox._async.commands import Commands
from localbox.engine import git_answers, git_arguments
from localbox.errors import CommandExitException
from localbox.models import CommandResult

# git must fail rather than ask at a terminal; its messages are read, so they must be English.
_ENVIRONMENT = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8"}
# What every method takes: envs, user, cwd, timeout, request_timeout.
How = tuple[dict[str, str] | None, str | None, str | None, float | None, float | None]


class GitBase:
    def __init__(self, commands: Commands) -> None:
        self._commands = commands

    async def _answer(self, arguments: list[str], path: str | None, how: How) -> str | None:
        """What git prints; None for nothing, and if it fails."""
        try:
            return (await self._git(arguments, path, how)).stdout.strip() or None
        except CommandExitException as error:
            if git_answers.is_missing(error):
                raise
            return None

    async def _git(
        self,
        arguments: list[str],
        path: str | None,
        how: How,
        more_envs: dict[str, str] | None = None,
    ) -> CommandResult[str]:
        return await self._run(git_arguments.command_line(arguments, path), how, more_envs)

    async def _run(
        self, line: str, how: How, more_envs: dict[str, str] | None = None
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
