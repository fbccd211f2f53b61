"""The keys of a profile and how each is read: Node -> Policy.

Here text becomes values; whether a value is acceptable is decided in model.py, and its
complaint is given the line it belongs to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from localbox.policy import groups, units
from localbox.policy.checks import FieldError, did_you_mean
from localbox.policy.document import Node, read_text
from localbox.policy.model import (
    UNLIMITED,
    Filesystem,
    Isolation,
    Mount,
    Network,
    Policy,
    Process,
    Resources,
    Rlimit,
    Seccomp,
)

T = TypeVar("T")
Reader = Callable[[Node], Any]

_UNLIMITED = "unlimited"


def parse_policy(root: Node, name: str) -> Policy:
    """Read a whole document: every key known, none missing, every value in its range.

    Raises:
        PolicyError: with file, line, key path and what was wrong.
    """
    sections = _keys(root, {**SECTIONS, "landlock": {}, "extends": {}}, optional={"extends"})
    parts = {section: _section(sections[section], section) for section in SECTIONS}
    landlock = _boolean(sections["landlock"])
    try:
        return Policy(name=name, source=root.file, landlock=landlock, **parts)
    except FieldError as error:
        _fail_at(root, error)


def _section(node: Node, section: str) -> Any:
    readers = SECTIONS[section]
    nodes = _keys(node, readers, optional={"profile"})
    if section == "seccomp" and "profile" in nodes:
        return _construct(node, lambda: _oci_seccomp(nodes["profile"]))
    values = {_FIELDS.get(key, key): readers[key](child) for key, child in nodes.items()}
    return _construct(node, lambda: _CLASSES[section](**values))


def resource_fields(nodes: dict[str, Node], extra: tuple[str, ...] = ()) -> dict[str, Any]:
    """Values for the fields of `Resources`, of which `nodes` need not have all.

    Args:
        extra: keys of the caller's own, for whoever mistypes one.

    Raises:
        PolicyError: an unknown key, or a value that is none.
    """
    readers = SECTIONS["resources"]
    for key, node in nodes.items():
        if key not in readers:
            node.fail(f"unknown key{did_you_mean(key, (*readers, *extra))}")
    return {_FIELDS.get(key, key): readers[key](node) for key, node in nodes.items()}


def seccomp_profile(node: Node) -> Path:
    """Return the file a `seccomp.profile` names; relative to the YAML file that says so."""
    return Path(node.file).parent / _text(node)


def _oci_seccomp(node: Node) -> Seccomp:
    file = seccomp_profile(node)
    return Seccomp(allow=(), profile=str(file), profile_json=read_text(file))


def _keys(node: Node, known: dict[str, Any], optional: set[str]) -> dict[str, Node]:
    if not isinstance(node.value, dict):
        node.fail(f"expected keys ({', '.join(known)})")
    for key, child in node.value.items():
        if key not in known:
            child.fail(f"unknown key{did_you_mean(key, known)}")
    given = set(node.value)
    # A seccomp JSON stands in for all the other keys.
    if "profile" not in given or "profile" not in known:
        for key in known:
            if key not in given and key not in optional:
                node.fail(f"the key {key!r} is missing")
    return node.value


def _construct(node: Node, make: Callable[[], T]) -> T:
    try:
        return make()
    except FieldError as error:
        _fail_at(node, error)


def _fail_at(node: Node, error: FieldError) -> NoReturn:
    """Blame the value the error's key leads to, or the nearest one above it."""
    for step in error.key.split("."):
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[step]
    if isinstance(node.value, list):
        # The checks of lists begin with the item they mean.
        blamed = (item for item in node.value if error.problem.startswith(repr(item.value)))
        node = next(blamed, node)
    node.fail(error.problem)


# Readers, one for each kind of value.


def _text(node: Node) -> str:
    if not isinstance(node.value, str) or node.is_null:
        node.fail("expected text")
    return node.value


def _list(node: Node) -> list[Node]:
    if node.is_null:
        return []
    if not isinstance(node.value, list):
        node.fail("expected a list, such as [a, b]")
    return node.value


def _texts(node: Node) -> tuple[str, ...]:
    return tuple(_text(item) for item in _list(node))


def _boolean(node: Node) -> bool:
    if node.quoted or node.value not in {"true", "false"}:
        node.fail(f"expected true or false, not {node.value!r}")
    return node.value == "true"


def _converted(node: Node, convert: Callable[[str], T]) -> T:
    text = _text(node)
    try:
        return convert(text)
    except ValueError as error:
        node.fail(str(error))


def _size(node: Node) -> int:
    return _converted(node, units.parse_size)


def _time(node: Node) -> float | None:
    if node.is_null or node.value == _UNLIMITED:
        return None
    return _converted(node, units.parse_time)


def _whole_seconds(node: Node) -> int | None:
    value = _time(node)
    if value is not None and value != int(value):
        node.fail("RLIMIT_CPU counts whole seconds")
    return None if value is None else int(value)


def _count(node: Node) -> int:
    text = _text(node)
    if not re.fullmatch(r"[0-9]{1,18}", text):
        node.fail(f"expected a whole number, not {text!r}")
    return int(text)


def _limit(node: Node) -> int:
    # Bytes for some limits, counts for others; sizes read as both.
    return UNLIMITED if node.value == _UNLIMITED else _size(node)


def _environment(node: Node) -> tuple[tuple[str, str], ...]:
    if node.is_null:
        return ()
    if not isinstance(node.value, dict):
        node.fail("expected NAME: value")
    # As written: PORT: 8080 is text to a process, and so is 0755.
    return tuple((name, _environment_value(child)) for name, child in node.value.items())


def _environment_value(node: Node) -> str:
    if not isinstance(node.value, str) or (node.is_null and not node.quoted):
        node.fail('expected text; write "" for an empty value')
    return node.value


def _mounts(node: Node) -> tuple[Mount, ...]:
    return tuple(_mount(item) for item in _list(node))


def _mount(node: Node) -> Mount:
    if isinstance(node.value, str):
        path = _text(node)
        return _construct(node, lambda: Mount(path, path))
    keys = _keys(node, {"source": None, "destination": None}, optional=set())
    source, destination = _text(keys["source"]), _text(keys["destination"])
    return _construct(node, lambda: Mount(source, destination))


def _rlimits(node: Node) -> tuple[Rlimit, ...]:
    return tuple(_rlimit(item) for item in _list(node))


def _rlimit(node: Node) -> Rlimit:
    keys = _keys(node, {"type": None, "soft": None, "hard": None}, optional=set())
    name, soft, hard = _text(keys["type"]), _limit(keys["soft"]), _limit(keys["hard"])
    return _construct(node, lambda: Rlimit(name, soft, hard))


def _calls(node: Node) -> tuple[str, ...]:
    return groups.expand(_list(node))


SECTIONS: dict[str, dict[str, Reader]] = {
    "isolation": {"require": _texts, "prefer": _texts, "on_unavailable": _text},
    "process": {"hostname": _text, "env": _environment, "preload": _texts, "root_user": _boolean},
    "filesystem": {
        "readonly": _mounts,
        "readwrite": _mounts,
        "overlay": _texts,
        "masked": _texts,
        "hidden": _texts,
        "disk": _size,
        "files": _count,
    },
    "network": {"mode": _text},
    "resources": {
        "memory": _size,
        "pids": _count,
        "wall_time": _time,
        "cpu_time": _whole_seconds,
        "output": _size,
        "rlimits": _rlimits,
    },
    "seccomp": {
        "default_action": _text,
        "allow": _calls,
        "enosys": _calls,
        "kill": _calls,
        "deny": _calls,
        "rules": _texts,
        "profile": _text,
    },
}
_CLASSES: dict[str, Callable[..., Any]] = {
    "isolation": Isolation,
    "process": Process,
    "filesystem": Filesystem,
    "network": Network,
    "resources": Resources,
    "seccomp": Seccomp,
}
# Fields say their unit, keys do not need to: their values do.
_FIELDS = {
    "disk": "disk_bytes",
    "memory": "memory_bytes",
    "wall_time": "wall_time_s",
    "cpu_time": "cpu_time_s",
    "output": "output_bytes",
}
