"""An OCI or Docker seccomp JSON, read into rules; what each rule compiles to is seccomp.py's.

Follows runc and Docker where the specification is silent: conditions on caps see none held,
unknown calls are passed over, and two comparisons of one argument mean either.
"""

from __future__ import annotations

import errno
import json
import re
from dataclasses import dataclass
from typing import Any

# libseccomp's values, so that nobody needs libseccomp to read a profile. ERRNO and TRACE take
# their number in the low bits. SCMP_ACT_NOTIFY is missing: nobody would listen.
_ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
_WITH_NUMBER = {"SCMP_ACT_ERRNO", "SCMP_ACT_TRACE"}
_OPERATORS = {
    f"SCMP_CMP_{name}": number
    for number, name in enumerate(("NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"), 1)
}
_MACHINES = {"x86_64": ("SCMP_ARCH_X86_64", "amd64"), "aarch64": ("SCMP_ARCH_AARCH64", "arm64")}
_MAX_SYSCALLS = 10_000


@dataclass(frozen=True, slots=True)
class OciRule:
    """One call, one action, and the comparisons that all have to hold: (index, op, a, b)."""

    call: str
    action: int
    args: tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True, slots=True)
class OciProfile:
    """A profile as it applies to one machine."""

    default_action: int
    architectures: tuple[str, ...]  # SCMP_ARCH_ names besides the machine's own
    rules: tuple[OciRule, ...]


def parse_oci_profile(
    text: str, machine: str = "x86_64", kernel: tuple[int, int] = (5, 12)
) -> OciProfile:
    """Read a seccomp JSON and choose what applies to a machine and kernel.

    Raises:
        ValueError: it is no such JSON; names the key.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ValueError("a seccomp JSON is an object with defaultAction and syscalls")
    default = _action(document, "defaultAction", "defaultErrnoRet", "")
    rules: list[OciRule] = []
    for at, entry in enumerate(_list(document, "syscalls", "")):
        where = f"syscalls[{at}]"
        if not isinstance(entry, dict):
            raise ValueError(f"{where}: expected an object")
        # Old profiles name one call, later ones several.
        names = _list(entry, "names", where) or [entry.get("name")]
        if not all(isinstance(name, str) and name for name in names):
            raise ValueError(f"{where}.names: expected names of system calls")
        action = _action(entry, "action", "errnoRet", where)
        alternatives = _arguments(entry, where)
        if not _applies(entry, where, machine, kernel):
            continue
        for args in alternatives:
            rules += [OciRule(name, action, args) for name in names]
        if len(rules) > _MAX_SYSCALLS:
            raise ValueError(f"{where}: more than {_MAX_SYSCALLS} rules")
    return OciProfile(default, _architectures(document, machine), tuple(rules))


def _list(holder: dict[str, Any], key: str, where: str) -> list[Any]:
    value = holder.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"{where}.{key}: expected a list".lstrip("."))
    return value


def _action(holder: dict[str, Any], key: str, number_key: str, where: str) -> int:
    name, number = holder.get(key), holder.get(number_key)
    if not isinstance(name, str) or name not in _ACTIONS:
        known = ", ".join(_ACTIONS)
        raise ValueError(f"{where}.{key}: {name!r} is none of {known}".lstrip("."))
    if name not in _WITH_NUMBER:
        return _ACTIONS[name]
    if number is None:
        number = errno.EPERM
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= 4095:
        raise ValueError(f"{where}.{number_key}: {number!r} is no errno".lstrip("."))
    return _ACTIONS[name] | number


def _arguments(entry: dict[str, Any], where: str) -> list[tuple[tuple[int, int, int, int], ...]]:
    comparisons: list[tuple[int, int, int, int]] = []
    for at, arg in enumerate(_list(entry, "args", where)):
        place = f"{where}.args[{at}]"
        if not isinstance(arg, dict) or str(arg.get("op")) not in _OPERATORS:
            raise ValueError(f"{place}.op: expected one of {', '.join(_OPERATORS)}")
        index = _number(arg, "index", place, 5)
        value, value_two = (_number(arg, key, place, 2**64 - 1) for key in ("value", "valueTwo"))
        comparisons.append((index, _OPERATORS[arg["op"]], value, value_two))
    indexes = [index for index, *_ in comparisons]
    if len(set(indexes)) == len(indexes):
        return [tuple(comparisons)]
    # libseccomp takes one comparison of each argument; runc makes each a rule of its own.
    return [(comparison,) for comparison in comparisons]


def _number(holder: dict[str, Any], key: str, where: str, most: int) -> int:
    value = holder.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise ValueError(f"{where}.{key}: {value!r} is no number from 0 to {most}")
    return value


def _applies(entry: dict[str, Any], where: str, machine: str, kernel: tuple[int, int]) -> bool:
    """Decide about a rule's `includes` and `excludes` as Docker does, with no capability held."""
    includes, excludes = (_conditions(entry, key, where) for key in ("includes", "excludes"))
    goarch = _MACHINES[machine][1]
    if includes["caps"] or (includes["arches"] and goarch not in includes["arches"]):
        return False
    if includes["minKernel"] and kernel < includes["minKernel"]:
        return False
    if goarch in excludes["arches"]:
        return False
    return not (excludes["minKernel"] and kernel >= excludes["minKernel"])


def _conditions(entry: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    holder = entry.get(key) or {}
    if not isinstance(holder, dict):
        raise ValueError(f"{where}.{key}: expected an object")
    minimum = holder.get("minKernel")
    if minimum is not None:
        match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})", str(minimum), re.ASCII)
        if match is None:
            raise ValueError(f"{where}.{key}.minKernel: expected a version such as 5.12")
        minimum = (int(match[1]), int(match[2]))
    return {
        "caps": _list(holder, "caps", f"{where}.{key}"),
        "arches": _list(holder, "arches", f"{where}.{key}"),
        "minKernel": minimum,
    }


def _architectures(document: dict[str, Any], machine: str) -> tuple[str, ...]:
    own = _MACHINES[machine][0]
    listed = _list(document, "architectures", "")
    for at, entry in enumerate(_list(document, "archMap", "")):
        if not isinstance(entry, dict):
            raise ValueError(f"archMap[{at}]: expected an object")
        if entry.get("architecture") == own:
            listed = [*listed, *_list(entry, "subArchitectures", f"archMap[{at}]")]
    for name in listed:
        if not isinstance(name, str) or not name.startswith("SCMP_ARCH_"):
            raise ValueError(f"architectures: {name!r} is no SCMP_ARCH_ name")
    return tuple(sorted({name for name in listed if name != own}))
