"""A policy that was made in code, read from a layer's description: its sections, checked anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from localbox.errors import PolicyError, SandboxException
from localbox.policy import (
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

_SECTIONS: dict[str, type[Any]] = {
    "isolation": Isolation,
    "process": Process,
    "network": Network,
    "seccomp": Seccomp,
}


def read_policy(values: Mapping[str, Any], layer_id: str) -> Policy:
    """
    Args:
        values: what `Policy.to_dict` gave, through JSON.

    Raises:
        SandboxException: it was another version that wrote it.
    """
    try:
        sections = {name: _read(kind, values[name]) for name, kind in _SECTIONS.items()}
        filesystem = dict(values["filesystem"])
        for key in ("readonly", "readwrite"):
            filesystem[key] = [Mount(**mount) for mount in filesystem[key]]
        resources = dict(values["resources"])
        resources["rlimits"] = [Rlimit(**limit) for limit in resources["rlimits"]]
        return Policy(
            name=values["name"],
            source=values["source"],
            landlock=values["landlock"],
            filesystem=_read(Filesystem, filesystem),
            resources=_read(Resources, resources),
            **sections,
        )
    except (PolicyError, TypeError, KeyError, ValueError) as error:
        raise SandboxException(
            f"the policy that layer {layer_id} was made with is not valid here ({error}); "
            "pass profile= to choose another"
        ) from error


def _read(kind: type[Any], values: Mapping[str, Any]) -> Any:
    known = {each.name for each in dataclasses.fields(kind)}
    if set(values) != known:
        raise ValueError(f"{kind.__name__} has other keys")
    return kind(**{name: _tuples(value) for name, value in values.items()})


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
