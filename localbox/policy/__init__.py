"""YAML profile -> Policy: what a sandbox may do, decided and checked before anything forks."""

from __future__ import annotations

from localbox.policy.load import load_profile, merge_overrides, shipped_profiles
from localbox.policy.model import (
    MANDATORY_WALLS,
    OPTIONAL_WALLS,
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
    "load_profile",
    "merge_overrides",
    "shipped_profiles",
]
