"""The walls of a sandbox in the order they go up: the program that its first process runs.

The order matters in many places; each says why.
"""

from __future__ import annotations

import signal

from localbox.confinement import (
    capabilities,
    identity,
    landlock,
    limits,
    sandbox_root,
    syscalls,
    walls,
)
from localbox.confinement.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The descriptors a child has from its first instruction. The zygote keeps these numbers free, so
# that one can be put in place without running over another.
RENDEZVOUS_FD = 3
REPLY_FD = 4
GO_FD = 5  # one byte arrives when the id maps are written
ZYGOTE_FD = 6  # pidfd
FIRST_LOWER_FD = 7
RESERVED_FDS = 48

_POLLIN = 1


class SandboxWalls:
    """
    Args:
        program: builds them.
        standing: the walls that then stand: name and what each amounts to.
    """

    def __init__(self, program: Program, standing: tuple[tuple[str, str], ...]) -> None:
        self.program = program
        self.standing = standing


def plan_walls(
    plan: dict[str, Any], *, shifts_ids: bool, lowers: int, landlock_abi: int
) -> SandboxWalls:
    """Write the program for `plan`; call in its template's mount namespace.

    Args:
        shifts_ids: ids are mapped from a range of the host's, so the child has to take its own.
        lowers: how many id-mapped lower directories come as descriptors from FIRST_LOWER_FD on;
            the plan's volumes come after them.
    """
    lower_fds = [FIRST_LOWER_FD + number for number in range(lowers)]
    first = FIRST_LOWER_FD + lowers
    volume_fds = [first + number for number in range(len(plan["volumes"]))]
    fds = {0, 1, 2, RENDEZVOUS_FD, REPLY_FD, GO_FD, ZYGOTE_FD, *lower_fds, *volume_fds}
    program = Program(fds)
    with program.wall(walls.USER_NAMESPACE):
        # Everything of the zygote's: its control socket, other sandboxes' pidfds.
        program.call("close_range", max(fds) + 1, 0xFFFFFFFF, 0)
        # Until the maps are there every id is nobody's, and no file could be created. The end of
        # the file, should the zygote die before it writes, is not the expected byte.
        program.call("read", GO_FD, bytes(1), 1, told="id maps", expect=1)
        program.close(GO_FD)
    with program.wall(walls.CGROUP_NAMESPACE):
        # Not with the clone: its root is the group we are in, and with cgroup v1 the zygote has
        # moved us into our own only by now.
        program.call("unshare", syscalls.CLONE_NEWCGROUP, told="cgroup namespace")
    with program.wall(walls.USER_NAMESPACE):
        if shifts_ids:
            become_guest_user(program)
        # After the change of ids, which clears it; and the zygote may have died before it.
        program.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        still_there = ZYGOTE_FD | _POLLIN << 32
        program.call(
            "ppoll", still_there.to_bytes(8, "little"), 1, bytes(16), 0, 8, told="the zygote"
        )
        program.close(ZYGOTE_FD)
    with program.wall(walls.PRIVATE_ROOT):
        sandbox_root.enter_root(program, plan, lower_fds, volume_fds)
        # Our own /dev/null instead of the zygote's: no open file is shared with the host.
        null_fd = program.open("/dev/null", 2)
        for target in (0, 1, 2):
            program.replace(null_fd, target)
        program.close(null_fd)
        # The zygote's is 0, so that the modes above are what they say.
        program.call("umask", 0o022)
    with program.wall(walls.RLIMITS):
        limits.set_limits(program, plan["rlimits"])
    with program.wall(walls.CAPABILITIES):
        # Non-dumpable: guest processes have the agent's uid and could otherwise open its memory.
        program.prctl(syscalls.PR_SET_DUMPABLE, 0)
        capabilities.drop_capabilities(program)
    with program.wall(walls.NO_NEW_PRIVILEGES):
        capabilities.forbid_new_privileges(program)
    with_landlock = plan["landlock"] != "off" and landlock_abi >= landlock.MINIMUM_ABI
    if with_landlock:
        with program.wall(walls.LANDLOCK):
            landlock.restrict_writes(program, plan, landlock_abi)
    with program.wall(walls.SECCOMP):
        # Last: the filter forbids most of the calls above.
        for instructions in plan["seccomp_programs"]:
            program.load_filter(instructions)
    return SandboxWalls(program, _standing(plan, shifts_ids, landlock_abi if with_landlock else 0))


def become_guest_user(program: Program) -> None:
    """Take the sandbox user's ids once they are mapped.

    The capabilities over the new namespaces stay: the ids left behind are not that namespace's
    uid 0, so the kernel sees no step down from root. See capabilities(7).
    """
    program.call("setresgid", *[identity.GUEST_GID] * 3, told="the guest's group")
    program.call("setresuid", *[identity.GUEST_UID] * 3, told="the guest's user")


def _standing(
    plan: dict[str, Any], shifts_ids: bool, landlock_abi: int
) -> tuple[tuple[str, str], ...]:
    filters = len(plan["seccomp_programs"])
    standing = [
        (walls.USER_NAMESPACE, "ids of its own range" if shifts_ids else "the caller's id"),
        (walls.MOUNT_NAMESPACE, "the host's tree is not in it"),
        (walls.PID_NAMESPACE, "sees its own processes only"),
        (walls.IPC_NAMESPACE, "its own"),
        (walls.UTS_NAMESPACE, f"hostname {plan['hostname']}"),
        (walls.CGROUP_NAMESPACE, "its own"),
        (walls.PRIVATE_ROOT, f"read-only system, disk of {plan['disk_bytes'] >> 20} MiB"),
        (walls.RLIMITS, f"{len(plan['rlimits'])} set"),
        (walls.CAPABILITIES, "none, and none to be had"),
        (walls.NO_NEW_PRIVILEGES, "set"),
        (walls.SECCOMP, f"default deny, {filters} filter{'' if filters == 1 else 's'}"),
    ]
    if plan["network"] != "host":
        standing.append((walls.NETWORK_NAMESPACE, f"{plan['network']} only"))
    if landlock_abi:
        standing.append((walls.LANDLOCK, f"ABI {landlock_abi}"))
    return tuple(standing)
