"""Gives up every privilege, for good; for the sandbox's root, all but a few."""

from __future__ import annotations

from localbox.confinement import syscalls
from localbox.confinement.program import Program

# SECBIT_NOROOT, _NO_SETUID_FIXUP and _NO_CAP_AMBIENT_RAISE, and the lock of each and of KEEP_CAPS:
# uid 0 inside is then an ordinary number, also across execve. See capabilities(7).
_SECUREBITS = 0b1110_1111
# The sandbox's root has something to lose when it becomes another user, and must: so without
# SECBIT_NO_SETUID_FIXUP, which stays locked all the same. KEEP_CAPS is not locked, or setpriv(1)
# would fail; what is kept by it does not outlast an execve.
_ROOT_SECUREBITS = _SECUREBITS & ~0b0010_0100

# What uid 0 is good for with files and processes, over ids of the sandbox's own user namespace
# alone. Not FSETID: nothing may be set-uid or set-gid here. Not SETPCAP, SETFCAP, SYS_*, NET_*,
# MKNOD, AUDIT_*: each is a way to more, or to more of the kernel.
ROOT_CAPABILITIES = {
    "chown": 0,
    "dac_override": 1,
    "fowner": 3,
    "kill": 5,
    "setgid": 6,
    "setuid": 7,
}
_SETPCAP = 8


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


def keep_root_capabilities(program: Program) -> None:
    """Give up every privilege but ROOT_CAPABILITIES.

    They are ambient: whoever descends from this process has them until it becomes another user.
    Uid 0 as such gives nothing, here as for the sandbox's user.
    """
    kept = sum(1 << number for number in ROOT_CAPABILITIES.values())
    program.set_capabilities(kept | 1 << _SETPCAP, kept)
    program.prctl(syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_CLEAR_ALL)
    for number in ROOT_CAPABILITIES.values():
        program.call(
            "prctl", syscalls.PR_CAP_AMBIENT, syscalls.PR_CAP_AMBIENT_RAISE, number, told="ambient"
        )
    program.prctl(syscalls.PR_SET_SECUREBITS, _ROOT_SECUREBITS)
    for number in range(last_capability() + 1):
        if not kept >> number & 1:
            program.prctl(syscalls.PR_CAPBSET_DROP, number)
    program.set_capabilities(kept, kept)


def forbid_new_privileges(program: Program) -> None:
    program.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
