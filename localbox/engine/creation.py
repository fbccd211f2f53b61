"""Checks the arguments of `create` and gets everything ready that a new sandbox needs."""

from __future__ import annotations

import contextlib
import difflib
import functools
import math
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localbox.engine.answers import read_answer
from localbox.engine.plan import make_plan
from localbox.engine.zygote_process import ZygoteProcess, get_zygote
from localbox.errors import InvalidArgumentException, NotFoundException, ProtocolError
from localbox.models import ApiParams, Isolation, Wall
from localbox.policy import Policy, load_profile
from localbox.protocol.frames import MESSAGE, Frame, Message

if TYPE_CHECKING:
    from localbox.engine.layers import Layer, Stack
    from localbox.engine.volume_mounts import VolumeMount
    from localbox.templates.registry import Build

DEFAULT_TIMEOUT_S = 300
# Ten years: what is added to today's date must still be a date.
_LONGEST_TIMEOUT_S = 10 * 366 * 86400
DEFAULT_TEMPLATE = "base"
# E2B's names, now and before 1.0, for its interpreter with the usual libraries.
INTERPRETER_TEMPLATES = (
    "code-interpreter-v1",
    "code-interpreter",
    "code-interpreter-stateful",
    "python-data-analysis",
)
_DATA_PROFILE = "data-analysis"
# One root filesystem for now, this machine's; they differ in what is imported beforehand.
_TEMPLATES = {DEFAULT_TEMPLATE, *INTERPRETER_TEMPLATES}

_IDEMPOTENCY_KEY = re.compile(r"[a-z0-9-]{1,255}")
_ISOLATION_ABSENT = {
    "network-namespace": "network.mode is host",
    "landlock": "not asked for by the profile, or not in this kernel",
    "cgroup": "not asked for by the profile, or not to be had here",
}


def check_options(options: Mapping[str, Any]) -> None:
    """Accept E2B's connection keywords and nothing else.

    Raises:
        TypeError: an unknown keyword, as in E2B.
    """
    if not options:
        return
    known = ApiParams.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, [*known, "timeout", "template", "profile"], 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise TypeError(f"got an unexpected keyword argument {name!r}{hint}")


def check_idempotency_key(key: str | None) -> None:
    """
    Raises:
        InvalidArgumentException: E2B would not take it.
    """
    if key is not None and not (isinstance(key, str) and _IDEMPOTENCY_KEY.fullmatch(key)):
        raise InvalidArgumentException(
            f"idempotency_key must be 1 to 255 lowercase letters, digits and hyphens, not {key!r}"
        )


def check_template(template: str | None) -> str:
    if template is None:
        return DEFAULT_TEMPLATE
    if template not in _TEMPLATES:
        known = sorted(_TEMPLATES)
        near = difflib.get_close_matches(str(template), known, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise NotFoundException(
            f"template {template!r} is not found; there is {', '.join(map(repr, known))}, and no "
            f"snapshot has this id or name{hint}"
        )
    return template


def check_timeout(timeout: float | None, what: str, *, zero_is_none: bool) -> float | None:
    """Seconds, or None for no limit where 0 means that.

    Raises:
        InvalidArgumentException: not a number, negative, 0 where it cannot be, or beyond dates.
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or math.isnan(timeout):
        raise InvalidArgumentException(f"{what} must be a number of seconds, not {timeout!r}")
    if timeout == 0 and zero_is_none:
        return None
    if timeout <= 0:
        allowed = "0 (no limit) or more" if zero_is_none else "more than 0"
        raise InvalidArgumentException(f"{what} must be {allowed} seconds, not {timeout!r}")
    if timeout > _LONGEST_TIMEOUT_S:
        raise InvalidArgumentException(
            f"{what} must be at most {_LONGEST_TIMEOUT_S} seconds, not {timeout!r}"
        )
    return float(timeout)


def check_strings(values: Mapping[str, str] | None, what: str) -> dict[str, str]:
    """
    Raises:
        InvalidArgumentException: not a mapping of str to str, or a name or value that an
            environment cannot hold.
    """
    checked: dict[str, str] = {}
    for name, value in (values or {}).items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise InvalidArgumentException(f"{what} must map str to str, not {name!r}: {value!r}")
        if "\0" in name + value or (what == "envs" and (not name or "=" in name)):
            raise InvalidArgumentException(f"{what}: {name!r} cannot be a name or holds a NUL byte")
        checked[name] = value
    return checked


def check_network(policy: Policy, allow_internet_access: bool | None) -> None:
    if allow_internet_access and policy.network.mode != "host":
        raise InvalidArgumentException(
            "allow_internet_access=True: sandboxes have no network here unless the profile gives "
            'them the host\'s; use profile="trusted", or one with `network: {mode: host}`'
        )
    if allow_internet_access is False and policy.network.mode == "host":
        raise InvalidArgumentException(
            f"allow_internet_access=False contradicts profile {policy.name!r}, whose network.mode "
            "is host"
        )


def resolve_policy(profile: str | os.PathLike[str] | Policy | None, template: str) -> Policy:
    """The policy of a profile; without one, that of the template."""
    if isinstance(profile, Policy):
        return profile
    if not profile:
        is_for_data = template in INTERPRETER_TEMPLATES and _data_libraries_are_installed()
        profile = _DATA_PROFILE if is_for_data else "default"
    return load_profile(profile)


@functools.cache
def _data_libraries_are_installed() -> bool:
    from importlib.util import find_spec

    modules = load_profile(_DATA_PROFILE).process.preload
    return all(find_spec(module.partition(".")[0]) for module in modules)


def limited(policy: Policy, resources: Mapping[str, Any]) -> Policy:
    """The policy, with what the caller asks for in place of its `resources`."""
    from localbox.engine.resources import with_resources

    return with_resources(policy, resources)


def find_volumes(volume_mounts: Mapping[str, Any]) -> tuple[VolumeMount, ...]:
    """
    Raises:
        VolumeNotFoundException: one of them is not there.
        InvalidArgumentException: a place is none.
    """
    from localbox.engine.volume_mounts import find_mounts

    return find_mounts(volume_mounts)


def is_stored(template: str | None) -> bool:
    """Whether a template is to be looked for in the data directory."""
    return template is not None and template not in _TEMPLATES


def find_stack(template: str) -> tuple[Stack | None, Build | None]:
    """The template that a sandbox is to be made from, with its files if it has any, or a snapshot.

    Raises:
        NotFoundException: there is neither a template nor a snapshot like this.
        TemplateException: the template's files are missing.
    """
    from localbox.engine import layers
    from localbox.templates import use

    build = use.find_build(template)
    if build is not None:
        return use.stack_of(build, template), build
    stack = layers.find(template)
    if stack is None:
        raise use.not_found(template, sorted(_TEMPLATES))
    if is_stored(stack.template):
        # A snapshot of one of its sandboxes: variables and the like are the template's still.
        with contextlib.suppress(NotFoundException):
            build = use.find_build(stack.template)
    return stack, build


def policy_of(build: Build, profile: str | os.PathLike[str] | Policy | None) -> Policy:
    """The policy of a sandbox made from a template that was built."""
    from localbox.templates.use import policy_for

    return policy_for(build, profile)


def prepare(
    policy: Policy, volumes: tuple[str, ...] = (), layers: tuple[Layer, ...] = ()
) -> tuple[ZygoteProcess, str, dict[str, Any]]:
    """The zygote for a policy, running, and the digest of the plan to ask it for.

    Args:
        volumes: the guest paths of the sandbox's volumes.
        layers: what it stands on.
    """
    if volumes or layers:
        digest, plan = make_plan(policy, volumes, layers)
    else:
        digest, plan = make_plan(policy)
    host_network = policy.network.mode == "host"
    return get_zygote(policy.process.preload, host_network=host_network), digest, plan


def read_isolation(frame: Frame) -> Isolation:
    """The report of the child that built the walls; no guest code has run when it is sent.

    Raises:
        Exception: what went wrong instead.
    """
    kind, payload = frame
    return _isolation_of(payload) if kind == MESSAGE else _isolation_in(read_answer(frame))


@functools.lru_cache(maxsize=64)
def _isolation_of(payload: bytes) -> Isolation:
    # All sandboxes of a plan report the same, but for their cgroup.
    return _isolation_in(read_answer((MESSAGE, payload)))


def _isolation_in(answer: Message) -> Isolation:
    ready = answer.get("ready")
    walls = ready.get("walls") if isinstance(ready, dict) else None
    if not isinstance(walls, list):
        raise ProtocolError("the sandbox did not report its walls")
    standing = [Wall(str(name), True, str(detail)) for name, detail in walls]
    names = {wall.name for wall in standing}
    missing = [
        Wall(name, False, why) for name, why in _ISOLATION_ABSENT.items() if name not in names
    ]
    return Isolation((*standing, *missing))
