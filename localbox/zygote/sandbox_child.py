"""The life of one sandbox from clone3 to its agent: the walls, in the order they go up.

Everything was decided before the fork. The order matters in many places; each says why.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import socket
from dataclasses import dataclass
from typing import Any, NoReturn

from localbox.confinement import (
    capabilities,
    identity,
    landlock,
    limits,
    sandbox_root,
    syscalls,
    walls,
)
from localbox.confinement.walls import WallFailure, building
from localbox.guest.agent import Agent
from localbox.protocol.frames import encode_message

# Where the child keeps its descriptors; everything from _FIRST_LOWER_FD on is closed once mounted.
_RENDEZVOUS_FD = 3
_REPLY_FD = 4
_GO_FD = 5
_ZYGOTE_FD = 6
_FIRST_LOWER_FD = 7


@dataclass(frozen=True, slots=True)
class Birth:
    """What a child needs of its zygote, as descriptors and plain values."""

    plan: dict[str, Any]
    env: dict[str, str]
    rendezvous_fd: int
    reply_fd: int
    go_fd: int  # one byte arrives when the id maps are written
    zygote_fd: int  # pidfd of the zygote
    lower_fds: tuple[int, ...]
    shifts_ids: bool
    last_capability: int
    landlock_abi: int
    cgroup: str | None
    null_fd: int


def run_sandbox(birth: Birth) -> NoReturn:
    """Build every wall, tell the host which stand, and be its agent. Runs in the child."""
    try:
        _keep_only(birth)
        reply = socket.socket(fileno=_REPLY_FD)
        try:
            standing = _contain(birth)
        except WallFailure as failure:
            reply.sendall(encode_message({"error": failure.to_message()}))
            os._exit(1)
        except Exception as error:
            # A mistake of ours; without a word about it the host would only see us gone.
            problem = {"kind": "internal", "message": f"setting up the sandbox failed: {error!r}"}
            reply.sendall(encode_message({"error": problem}))
            os._exit(1)
        settings = {
            "env": {**birth.plan["env"], **birth.env},
            "home": birth.plan["home"],
            "user": birth.plan["user"],
            "cpu_time_s": birth.plan["cpu_time_s"],
            "sys_path": birth.plan["sys_path"],
        }
        agent = Agent(socket.socket(fileno=_RENDEZVOUS_FD), settings, _allow_inspection)
        reply.sendall(encode_message({"ready": {"walls": standing}}))
        reply.close()
        agent.run()
    finally:
        os._exit(1)


def _keep_only(birth: Birth) -> None:
    """Put our descriptors where we want them and close all others: other sandboxes' among them."""
    wanted = [birth.rendezvous_fd, birth.reply_fd, birth.go_fd, birth.zygote_fd, *birth.lower_fds]
    # First out of each other's way, then down.
    aside = [_duplicate_above(fd, 512) for fd in wanted]
    for target, fd in enumerate(aside, start=_RENDEZVOUS_FD):
        os.dup2(fd, target, inheritable=False)
    for target in (0, 1, 2):
        os.dup2(birth.null_fd, target)
    syscalls.close_range(_RENDEZVOUS_FD + len(wanted))


def _duplicate_above(fd: int, minimum: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, minimum)


def _contain(birth: Birth) -> list[list[str]]:
    plan = birth.plan
    standing = [
        [walls.USER_NAMESPACE, "ids of its own range" if birth.shifts_ids else "the caller's id"],
        [walls.MOUNT_NAMESPACE, "the host's tree is not in it"],
        [walls.PID_NAMESPACE, "sees its own processes only"],
        [walls.IPC_NAMESPACE, ""],
        [walls.UTS_NAMESPACE, f"hostname {plan['hostname']}"],
        [walls.CGROUP_NAMESPACE, ""],
    ]
    if plan["network"] != "host":
        standing.append([walls.NETWORK_NAMESPACE, f"{plan['network']} only"])
    with building(walls.USER_NAMESPACE):
        # Until the maps are there, every id is nobody's and no file could be created.
        if os.read(_GO_FD, 1) != b"1":
            os._exit(1)
        os.close(_GO_FD)
        if birth.shifts_ids:
            identity.become_guest_user()
        # After the change of ids, which clears it. See prctl(2).
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if select.select([_ZYGOTE_FD], [], [], 0)[0]:
            os._exit(1)
        os.close(_ZYGOTE_FD)

    with building(walls.PRIVATE_ROOT):
        os.umask(0o022)
        lower_fds = [_FIRST_LOWER_FD + n for n in range(len(birth.lower_fds))]
        sandbox_root.enter_root(plan, lower_fds)
        for fd in lower_fds:
            os.close(fd)
        # Our own /dev/null instead of the zygote's: no open file is shared with the host.
        null_fd = os.open("/dev/null", os.O_RDWR)
        for target in (0, 1, 2):
            os.dup2(null_fd, target)
        os.close(null_fd)
    standing.append([walls.PRIVATE_ROOT, f"disk {plan['disk_bytes'] >> 20} MiB"])

    with building(walls.RLIMITS):
        limits.set_limits(plan["rlimits"])
    standing.append([walls.RLIMITS, f"{len(plan['rlimits'])} set"])
    with building(walls.CAPABILITIES):
        # Non-dumpable: guest processes have the agent's uid and could otherwise open its memory.
        syscalls.prctl(syscalls.PR_SET_DUMPABLE, 0)
        capabilities.drop_capabilities(birth.last_capability)
    standing.append([walls.CAPABILITIES, "none, and none to be had"])
    with building(walls.NO_NEW_PRIVILEGES):
        capabilities.forbid_new_privileges()
    standing.append([walls.NO_NEW_PRIVILEGES, ""])
    if birth.cgroup is not None:
        standing.append([walls.CGROUP, birth.cgroup])
    if plan["landlock"] and birth.landlock_abi >= landlock.MINIMUM_ABI:
        with building(walls.LANDLOCK):
            landlock.restrict_writes(plan["landlock_writable"], birth.landlock_abi)
        standing.append([walls.LANDLOCK, f"ABI {birth.landlock_abi}"])
    with building(walls.SECCOMP):
        # Last: the filter forbids most of the calls above.
        for program in plan["seccomp_programs"]:
            syscalls.seccomp_set_mode_filter(program)
    standing.append([walls.SECCOMP, f"{len(plan['seccomp_programs'])} filters"])
    return standing


def _allow_inspection() -> None:
    syscalls.prctl(syscalls.PR_SET_DUMPABLE, 1)
