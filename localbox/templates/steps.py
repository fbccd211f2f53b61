"""What a step of a template means: variables, paths and users, resolved before anything runs."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from localbox.engine.base_root import HOME, USER
from localbox.errors import BuildException

# Uid 0 and 1000 by the names and numbers a sandbox knows.
_USERS = {"root", USER, "0", "1000"}
# $NAME, ${NAME}, ${NAME:-value}, ${NAME:+value} and both without the colon; \$ is a dollar sign.
_VARIABLE = re.compile(r"\\(\$)|\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
# Where every sandbox can write, or nothing may be made: no places of a template's own.
_TAKEN = (
    *("bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "proc", "root"),
    *("run", "sbin", "sys", "tmp", "usr", "var", "nix", "gnu", ".localbox"),
)


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


def place_of(path: str) -> str | None:
    """The directory at the top that has to be the sandbox's own, for this path to be written."""
    top = path.split("/", 2)[1] if path.startswith("/") else ""
    return None if not top or top in _TAKEN else f"/{top}"


def places_in(command: str) -> set[str]:
    """Those that a command makes with mkdir: `mkdir -p /data/in`."""
    found: set[str] = set()
    for match in re.finditer(r"\bmkdir\b((?:\s+[^\s;&|]+)+)", command):
        for word in match[1].split():
            place = place_of(word.strip("'\""))
            if place is not None:
                found.add(place)
    return found


def chain(key: str, *parts: object) -> str:
    """The key of what comes after `key`: a digest of it and of all the next step depends on."""
    text = json.dumps([key, *parts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
