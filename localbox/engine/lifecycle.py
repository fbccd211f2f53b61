"""What becomes of a sandbox when its time is up, and how it is paused: E2B's words, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from localbox.errors import InvalidArgumentException

_MODES = ("full", "filesystem")
_ACTIONS = ("pause", "kill")
_WAYS_BACK = ("restore", "reboot")
_KEYS = {"on_timeout", "auto_resume"}
_ACTION_KEYS = {"action", "mode", "keep_memory"}


@dataclass(frozen=True)
class Lifecycle:
    """`create(lifecycle=)`, decided.

    Args:
        on_timeout: what happens when its time is up.
        mode: how it is paused then.
        auto_resume: whether a call on it when it is paused resumes it first.
    """

    on_timeout: Literal["pause", "kill"]
    mode: str
    auto_resume: bool


def resolve_lifecycle(lifecycle: Mapping[str, Any]) -> Lifecycle:
    """
    Raises:
        InvalidArgumentException: it says something that cannot be.
    """
    if not isinstance(lifecycle, Mapping):
        raise InvalidArgumentException(f"lifecycle must be a dict, not {lifecycle!r}")
    _check_keys("lifecycle", lifecycle, _KEYS)
    on_timeout, field = lifecycle.get("on_timeout"), "on_timeout"
    options: Mapping[str, Any] = {}
    if isinstance(on_timeout, Mapping):
        options, field = on_timeout, 'on_timeout["action"]'
        _check_keys("on_timeout", options, _ACTION_KEYS)
        action = options.get("action")
    else:
        action = "kill" if on_timeout is None else on_timeout
    _check_word(field, action, _ACTIONS)
    if action != "pause" and options.keys() & {"mode", "keep_memory"}:
        raise InvalidArgumentException("on_timeout: there is a mode of pausing, but none of kill")
    mode = resolve_mode('on_timeout["mode"]', options.get("mode"), options.get("keep_memory"))
    auto_resume = bool(lifecycle.get("auto_resume"))
    if auto_resume and action != "pause":
        raise InvalidArgumentException(
            'auto_resume=True needs on_timeout "pause": a sandbox that was killed cannot resume'
        )
    if auto_resume and mode == "filesystem":
        raise InvalidArgumentException(
            'auto_resume=True cannot go with mode "filesystem": its processes would be missing '
            "without anybody having asked for that; resume it with connect()"
        )
    return Lifecycle(cast(Literal["pause", "kill"], action), mode, auto_resume)


def resolve_mode(field: str, mode: object, keep_memory: object) -> str:
    """The mode of a pause, from that or the older `keep_memory`.

    Raises:
        InvalidArgumentException: both are given, or there is no such mode.
    """
    if mode is not None and keep_memory is not None:
        raise InvalidArgumentException(f"give {field} or the older keep_memory, not both")
    if mode is None:
        return "filesystem" if keep_memory is not None and not keep_memory else "full"
    _check_word(field, mode, _MODES)
    return str(mode)


def check_on_resume(on_resume: object) -> bool:
    """Whether `connect(on_resume=)` asks for a sandbox without its processes.

    Raises:
        InvalidArgumentException: it is neither "restore" nor "reboot".
    """
    if on_resume is None:
        return False
    _check_word("on_resume", on_resume, _WAYS_BACK)
    return on_resume == "reboot"


def _check_word(field: str, word: object, allowed: tuple[str, ...]) -> None:
    if word not in allowed:
        choice = " or ".join(f'"{name}"' for name in allowed)
        raise InvalidArgumentException(f"{field} must be {choice}, not {word!r}")


def _check_keys(field: str, given: Mapping[str, Any], known: set[str]) -> None:
    unknown = given.keys() - known
    if unknown:
        names = ", ".join(sorted(map(repr, unknown)))
        raise InvalidArgumentException(
            f"{field}: unknown key {names}; there is {', '.join(sorted(known))}"
        )
