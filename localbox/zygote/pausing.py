"""Pauses sandboxes and resumes them; and what happens when a sandbox's time is up."""

from __future__ import annotations

import time

from localbox.zygote.freezing import CannotFreezeError, end_all_but_first, freeze, thaw

TYPE_CHECKING = False
if TYPE_CHECKING:
    from localbox.zygote.live import Kernel, LiveSandbox

# When to look again whether the files of a sandbox whose time is up have been copied.
_COPYING_S = 0.05


def pause(sandbox: LiveSandbox, mode: str) -> bool:
    """Let nothing of it run, and no time count, until it is resumed.

    Args:
        mode: "full" keeps its processes, "filesystem" its files only.

    Returns:
        False if it was paused already.

    Raises:
        CannotFreezeError: it goes on; with "filesystem" without some of its processes.
    """
    if sandbox.paused:
        return False
    if sandbox.capturing:
        raise CannotFreezeError("a snapshot of it is being taken")
    if mode == "filesystem":
        end_all_but_first(sandbox)
    freeze(sandbox)
    sandbox.begin_pause()
    return True


def resume(sandbox: LiveSandbox, timeout_s: float | None, *, reboot: bool = False) -> None:
    """Let it go on, with `timeout_s` from now, or as long as it was given the last time.

    Args:
        reboot: without its processes.

    Raises:
        CannotFreezeError: they did not end.
    """
    thaw(sandbox, first_only=reboot)
    if reboot:
        end_all_but_first(sandbox)
    sandbox.end_pause(sandbox.timeout_s if timeout_s is None else timeout_s)


def adopt(sandbox: LiveSandbox, kernel: Kernel) -> None:
    """A kernel that was on its way when the sandbox was paused or resumed does as all do."""
    if sandbox.paused:
        freeze(sandbox)
    elif sandbox.was_paused:
        thaw(sandbox, only=kernel.pid)


def expire(sandbox: LiveSandbox) -> None:
    """Its time is up: it ends, or pauses where that was asked for and its policy lets it live."""
    if sandbox.on_timeout is None or sandbox.wall_time_is_up():
        sandbox.end("its timeout expired")
        return
    if sandbox.capturing:
        sandbox.deadline = time.monotonic() + _COPYING_S
        return
    try:
        pause(sandbox, sandbox.on_timeout)
    except CannotFreezeError as error:
        sandbox.end(f"its timeout expired and it could not be paused: {error}")


def remaining_s(sandbox: LiveSandbox) -> float:
    """Until its end; of a paused one, since its pause and so negative."""
    now = time.monotonic()
    return (sandbox.paused_at if sandbox.paused else sandbox.deadline) - now
