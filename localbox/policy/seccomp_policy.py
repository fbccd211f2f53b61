"""The seccomp part of a Policy: system calls by name and what becomes of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localbox.policy import checks
from localbox.policy.checks import field_of


@dataclass(frozen=True, slots=True)
class Seccomp:
    """What each system call gets; one that is not named gets EPERM.

    Args:
        allow: calls that are let through, as far as `rules` lets them.
        enosys: calls that look as if the kernel did not have them.
        kill: calls that end the process.
        deny: calls that get EPERM even though a list above names them, `kill` aside.
        rules: names of restrictions on arguments, see seccomp_rules.py.
        profile: the OCI seccomp JSON that is used instead of all of the above.
        profile_json: its text.
    """

    allow: tuple[str, ...]
    enosys: tuple[str, ...] = ()
    kill: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    profile: str | None = None
    profile_json: str = ""
    default_action: Literal["errno"] = "errno"

    def __post_init__(self) -> None:
        with field_of("seccomp", "default_action"):
            if self.default_action != "errno":
                raise ValueError(f"{self.default_action!r}: only errno, a sandbox is closed")
        if self.profile is not None:
            self._check_profile()
            return
        with field_of("seccomp", "profile"):
            if self.profile_json:
                raise ValueError("profile_json without the profile it was read from")
        for key in ("allow", "enosys", "kill", "deny"):
            with field_of("seccomp", key):
                self._check_calls(getattr(self, key))
        with field_of("seccomp", "allow"):
            if not self.allow:
                raise ValueError("nothing is allowed, so no process could even exit")
            for key in ("enosys", "kill"):
                both = sorted(set(self.allow) & set(getattr(self, key)) - set(self.deny))
                if both:
                    raise ValueError(f"{', '.join(both)}: also in {key}; it can be in one of them")
        with field_of("seccomp", "rules"):
            self._check_rules()

    def permitted(self) -> tuple[str, ...]:
        """`allow` without what `deny` takes back."""
        denied = {*self.deny, *self.kill, *self.enosys}
        return tuple(name for name in self.allow if name not in denied)

    def _check_profile(self) -> None:
        from localbox.policy.seccomp_oci import parse_oci_profile

        with field_of("seccomp", "profile"):
            if any((self.allow, self.enosys, self.kill, self.deny, self.rules)):
                raise ValueError("a seccomp JSON is used as it is; set no other key beside it")
            parse_oci_profile(self.profile_json)

    @staticmethod
    def _check_calls(names: tuple[str, ...]) -> None:
        from localbox.policy.syscall_names import KNOWN

        checks.words(names, "system calls")
        if KNOWN.issuperset(names):
            return
        name = next(name for name in names if name not in KNOWN)
        raise ValueError(f"{name!r} is no system call{checks.did_you_mean(name, KNOWN)}")

    def _check_rules(self) -> None:
        from localbox.policy.seccomp_rules import RULES

        checks.words(self.rules, "rules")
        permitted = set(self.permitted())
        for name in self.rules:
            checks.one_of(name, RULES, "rule")
            seen_past = sorted(permitted.intersection(RULES[name].blind_to))
            if seen_past:
                raise ValueError(
                    f"{name} cannot hold while {', '.join(seen_past)} is allowed: its arguments"
                    " are in memory, where a filter cannot look"
                )
