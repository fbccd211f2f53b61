"""The Policy: everything a sandbox is allowed and promised, complete before anything forks."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from localbox.policy.checks import FieldError
from localbox.policy.seccomp_policy import Seccomp
from localbox.policy.sections import (
    MANDATORY_WALLS,
    OPTIONAL_WALLS,
    UNLIMITED,
    Filesystem,
    Isolation,
    Mount,
    Network,
    Process,
    Resources,
    Rlimit,
)


@dataclass(frozen=True, slots=True)
class Policy:
    """One complete policy.

    Args:
        name: the profile's name, for messages.
        source: the file it came from, for messages.
        landlock: whether Landlock is used at all; without it the wall is neither required
            nor preferred.
    """

    name: str
    source: str
    isolation: Isolation
    process: Process
    filesystem: Filesystem
    network: Network
    resources: Resources
    seccomp: Seccomp
    landlock: bool
    digest: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        if not isinstance(self.landlock, bool):
            raise FieldError("", "landlock", f"expected true or false, not {self.landlock!r}")
        require, prefer = self.isolation.require, self.isolation.prefer
        if "network-namespace" in require and self.network.mode == "host":
            problem = "network-namespace cannot stand with network.mode host"
            raise FieldError("", "isolation.require", problem)
        if "landlock" in require and not self.landlock:
            problem = "landlock cannot be required and turned off (landlock: false)"
            raise FieldError("", "isolation.require", problem)
        # Whoever builds the walls looks at `isolation` alone, so it has to say all of it.
        prefer = tuple(wall for wall in prefer if wall not in require and wall != "landlock")
        if self.landlock and "landlock" not in require:
            prefer = ("landlock", *prefer)
        isolation = dataclasses.replace(self.isolation, prefer=prefer)
        object.__setattr__(self, "isolation", isolation)
        content = {k: v for k, v in self.to_dict().items() if k not in {"name", "source"}}
        object.__setattr__(self, "digest", hashlib.sha256(_canonical(content)).hexdigest())

    def __hash__(self) -> int:
        # Every create looks policies up; the sections' hashes would be computed each time.
        return hash(self.digest)

    def to_dict(self) -> dict[str, Any]:
        """Every value as plain data."""
        values = dataclasses.asdict(self)
        del values["digest"]
        return values

    def to_json(self) -> str:
        """Every value as JSON, the same text for the same policy."""
        return _canonical(self.to_dict()).decode()


def _canonical(values: dict[str, Any]) -> bytes:
    return json.dumps(values, sort_keys=True, separators=(",", ":")).encode()


__all__ = [
    "MANDATORY_WALLS",
    "OPTIONAL_WALLS",
    "UNLIMITED",
    "Filesystem",
    "Isolation",
    "Mount",
    "Network",
    "Policy",
    "Process",
    "Resources",
    "Rlimit",
    "Seccomp",
]
