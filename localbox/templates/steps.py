"""What a step of a template means: variables, paths and users, resolved before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from localbox.engine.base_root import HOME, USER
from localbox.engine.plan import SOURCES
from localbox.errors import BuildException

# Uid 0 and 1000 by the names and numbers a sandbox knows.
_USERS = {"root", USER, "0", "1000"}
# $NAME, ${NAME}, ${NAME:-value}, ${NAME:+value} and both without the colon; \$ is a dollar sign.
_VARIABLE = re.compile(r"\\(\$)|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
# Nothing may be made here.
_NEVER = ("/proc/", "/sys/", "/dev/", "/.localbox/")
_READ = ("/etc/", "/root/", "/home/", "/run/")
_DEEP_PATH = re.compile(r"""(?:^|[\s"'=>(])(/[\w.@+-]+(?:/[\w.@+-]+)+)""")
_MKDIR = re.compile(r"\bmkdir\b((?:\s+[^\s;&|]+)+)")


@dataclass(frozen=True)
class State:
    """What earlier steps have set for later ones, and for sandboxes."""

    envs: Mapping[str, str] = field(default_factory=dict)
    workdir: str = HOME
    user: str = USER

    def with_variables(self, words: list[str], known: Mapping[str, str]) -> State:
        """After ENV; values may name variables, of `known` and of this step's own before them."""
        envs = dict(self.envs)
        for name, value in zip(words[::2], words[1::2], strict=True):
            envs[name] = expand(value, {**known, **envs})
        return replace(self, envs=envs)

    def with_workdir(self, path: str) -> State:
        return replace(self, workdir=self.absolute(path))

    def with_user(self, user: str) -> State:
        """
        Raises:
            BuildException: a sandbox has no such user.
        """
        check_user(user)
        return replace(self, user=user)

    def absolute(self, path: str) -> str:
        """A guest path from a path that may be relative, or begin with ~."""
        if path == "~" or path.startswith("~/"):
            path = HOME + path[1:]
        whole = posixpath.normpath(posixpath.join(self.workdir, path))
        return whole + "/" if path.endswith("/") and whole != "/" else whole


def check_user(user: str) -> None:
    """
    Raises:
        BuildException: a sandbox has no such user.
    """
    if user.partition(":")[0] not in _USERS:
        raise BuildException(
            f"there is no user {user!r} here, and none can be made: /etc is not the sandbox's to "
            f'change. Use "{USER}", or "root", whose steps are run as "{USER}"'
        )


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with the variables in it, as Docker does it: what is not set is empty."""

    def value(match: re.Match[str]) -> str:
        literal, plain, name, operator, word = match.groups()
        if literal:
            return str(literal)
        found = variables.get(plain or name)
        is_set = found is not None and (found != "" or not (operator or "").startswith(":"))
        if operator and operator.endswith("-") and not is_set:
            return str(word)
        if operator and operator.endswith("+"):
            return str(word) if is_set else ""
        return found or ""

    return _VARIABLE.sub(value, text)


def shown_paths(plan: Mapping[str, Any]) -> list[str]:
    """Where a sandbox of this plan has something already: of the host's, or its own."""
    template = plan["template"]
    shown = [entry["target"] for entry in template["binds"]]
    shown += [entry[0] for key in ("files", "symlinks") for entry in template[key]]
    shown += [path for _source, path in template["copies"]]
    return [*shown, *(path for path, _mode in plan["writable"]), *plan["overlays"]]


def place_of(path: str, shown: Iterable[str]) -> str | None:
    """The directory that has to be the sandbox's own, so that this path can be written.

    It is as near to the top as can be without covering anything. None if nothing need be done,
    or nothing can.
    """
    if path.startswith(_NEVER):
        return None
    if path == SOURCES or path.startswith(f"{SOURCES}/"):
        return SOURCES if os.path.isdir(SOURCES) else None
    names = [name for name in path.split("/") if name]
    for depth in range(1, len(names) + 1):
        place = "/" + "/".join(names[:depth])
        if any(place == other or place.startswith(f"{other}/") for other in shown):
            return None
        if not any(other.startswith(f"{place}/") for other in shown):
            return place
    return None


def places_in(command: str, shown: Iterable[str]) -> set[str]:
    """Those that a command names: `mkdir -p /data && git clone URL /srv/code`.

    With fewer than two names it may be a pattern, `/like this/`, but for what makes directories;
    and what is named below /etc and homes is rather something to read.
    """
    named = (match[1] for match in _DEEP_PATH.finditer(command))
    paths = {path for path in named if not path.startswith(_READ)}
    for match in _MKDIR.finditer(command):
        paths.update(word.strip("'\"") for word in match[1].split())
    found = (place_of(path, shown) for path in paths if path.startswith("/"))
    return {place for place in found if place is not None}


def chain(key: str, *parts: object) -> str:
    """The key of what comes after `key`: a digest of it and of all the next step depends on."""
    text = json.dumps([key, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
