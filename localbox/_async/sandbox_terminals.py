"""What a sandbox offers beside commands and files: terminals, and git."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localbox._async.sandbox_base import SandboxBase

if TYPE_CHECKING:
    from localbox._async.commands import Commands
    from localbox._async.git import Git
    from localbox._async.pty import Pty


class TerminalMethods(SandboxBase):
    """Both parts are made, and their modules imported, when they are first asked for."""

    if TYPE_CHECKING:

        @property
        def commands(self) -> Commands: ...

    _pty: Pty | None = None
    _git: Git | None = None

    @property
    def pty(self) -> Pty:
        """Shells on terminals."""
        if self._pty is None:
            from localbox._async.pty import Pty

            self._pty = Pty(self._connection, self.commands)
        return self._pty

    @property
    def git(self) -> Git:
        """git in it. E2B means to remove this in its next version: use `commands.run`."""
        if self._git is None:
            from localbox._async.git import Git

            self._git = Git(self.commands)
        return self._git
