# generated from localbox/_async/template_start.py by scripts/unasync.py; edit that, not this
"""Starts what a template starts in each of its sandboxes, and waits until that is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from localbox.errors import CommandExitException, SandboxException, TimeoutException
from localbox.templates.readycmd import with_missing_tools
from localbox.transport import blocking as transport

if TYPE_CHECKING:
    from localbox._sync.command_handle import CommandHandle
    from localbox._sync.sandbox import Sandbox
    from localbox.templates.registry import Build

READY_TIMEOUT_S = 60.0
# How long a trial looks whether a command that nobody can call ready ends with an error.
_TRIAL_S = 1.0
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5
_SHOWN_CHARACTERS = 2000


def start(sandbox: Sandbox, build: Build, envs: dict[str, str], *, is_trial: bool = False) -> None:
    """Start `build.start_cmd` and return when `build.ready_cmd` has succeeded.

    Args:
        envs: variables for both, where the sandbox does not have them already.
        is_trial: the template has just been built; look at a command without a ready command too.

    Raises:
        SandboxException: the start command has ended with an error.
        TimeoutException: it is not ready in time.
    """
    deadline = time.monotonic() + READY_TIMEOUT_S
    handle: CommandHandle[Any] | None = None
    if build.start_cmd is not None:
        handle = sandbox.commands.run(build.start_cmd, background=True, envs=envs, timeout=0)
    try:
        if build.ready_cmd is not None and build.waits:
            _wait(sandbox, build.ready_cmd, envs, handle, deadline)
        elif handle is not None and is_trial:
            _watch(sandbox, handle)
    finally:
        if handle is not None:
            handle.disconnect()


def _wait(
    sandbox: Sandbox,
    ready_cmd: str,
    envs: dict[str, str],
    handle: CommandHandle[Any] | None,
    deadline: float,
) -> None:
    command, tools = with_missing_tools(ready_cmd)
    variables = {**envs, **tools}
    pause_s = _FIRST_PAUSE_S
    said = ""
    running = handle is not None
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutException(
                f"the sandbox was not ready within {READY_TIMEOUT_S:.0f} s: ready command "
                f"{ready_cmd!r} has not succeeded{_quoted(said)}"
            )
        try:
            sandbox.commands.run(command, envs=variables, timeout=left_s)
            return
        except CommandExitException as error:
            said = error.stderr or error.stdout or ""
        except TimeoutException:
            if not sandbox.is_running():
                raise
            continue
        if handle is not None and running:
            # A command that ends well may have left a daemon behind.
            running = not _has_ended(sandbox, handle)
        transport.run(time.sleep, pause_s)
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)


def _watch(sandbox: Sandbox, handle: CommandHandle[Any]) -> None:
    until = time.monotonic() + _TRIAL_S
    while time.monotonic() < until and not _has_ended(sandbox, handle):
        transport.run(time.sleep, _FIRST_PAUSE_S)


def _has_ended(sandbox: Sandbox, handle: CommandHandle[Any]) -> bool:
    """
    Raises:
        SandboxException: with an error.
    """
    if any(process.pid == handle.pid for process in sandbox.commands.list()):
        return False
    try:
        handle.wait()
    except CommandExitException as error:
        said = error.stderr or error.stdout or ""
        raise SandboxException(
            f"the template's start command ended with exit code {error.exit_code}{_quoted(said)}"
        ) from None
    return True


def _quoted(said: str) -> str:
    said = said.strip()[-_SHOWN_CHARACTERS:]
    return f"; it said:\n{said}" if said else ""
