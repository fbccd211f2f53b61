"""Gives up every privilege, for good."""

from __future__ import annotations

from localbox.confinement import syscalls
from localbox.confinement.program import Program

# SECBIT_NOROOT, _NO_SETUID_FIXUP and _NO_CAP_AMBIENT_RAISE, and the lock of each and of KEEP_CAPS:
# uid 0 inside is then an ordinary number, also across execve. See capabilities(7).
_SECUREBITS = 0b1110_1111


def last_capability() -> int:
    """The highest capability this kernel knows; read it where /proc is still the host's."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


def drop_capabilities(program: Program) -> None:
    program.prctl(syscalls.PR_SET_SECUREBITS, _SECUREBITS)
    # The bounding set too: uid 0 inside would get everything back at its next execve, and
    # no_new_privs does not stop that.
    for capability in range(last_capability() + 1):
        program.prctl(syscalls.PR_CAPBSET_DROP, capability)
    program.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    program.drop_all_capabilities()


def forbid_new_privileges(program: Program) -> None:
    program.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
