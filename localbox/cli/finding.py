"""What `localbox doctor` found out, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """A wall or another thing that was tried.

    Args:
        name: of a wall, as in `Sandbox.isolation`, or of the thing.
        holds: None if there was no sandbox to try it in.
        shown: what was seen, or what went wrong.
        fix: what to do about it; empty if it holds.
    """

    name: str
    holds: bool | None
    shown: str = ""
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """
    Args:
        machine: what the findings are about.
        mandatory: walls that every sandbox has, or there is no sandbox.
        optional: walls that a profile may require or prefer.
        checks: what is no wall but good to know.
    """

    machine: dict[str, str]
    mandatory: tuple[Finding, ...]
    optional: tuple[Finding, ...]
    checks: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether all mandatory walls hold."""
        return all(finding.holds for finding in self.mandatory)
