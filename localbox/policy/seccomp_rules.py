"""Rules about arguments: what of a system call stays allowed when the whole of it is too much.

A filter sees registers, never memory. So a rule also names the calls that would do the same
with arguments behind a pointer; those cannot be allowed beside it.

Every comparison is masked to the bits the kernel looks at. It takes `ioctl`'s request as 32
bits, so an exact comparison of 64 would be passed by setting a higher one.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

# (argument, mask, value): args[argument] & mask == value. A match is all of its comparisons.
Comparison = tuple[int, int, int]
Match = tuple[Comparison, ...]

_WORD = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """What one name in `seccomp.rules` stands for.

    Args:
        permits: call -> matches; anything else the call could be told gets EPERM.
        refuses: (call, errno, match) with the rest of the call left alone.
        blind_to: calls that would bring the refused in by way of memory.
    """

    permits: Mapping[str, tuple[Match, ...]] = field(default_factory=dict)
    refuses: tuple[tuple[str, int, Match], ...] = ()
    blind_to: tuple[str, ...] = ()


def _only(argument: int, values: Iterable[int]) -> tuple[Match, ...]:
    return tuple(((argument, _WORD, value),) for value in values)


# clone(2) with a namespace flag gives a process all capabilities over a new namespace, and with
# them most of the kernel's once-privileged code. CLONE_NEWTIME is not among the flags: it lies
# in the byte clone uses for the exit signal, so only clone3 and unshare can carry it.
_CLONE_NEW_FLAGS = 0x7E020000

_TIOCSTI = 0x5412  # types into the terminal: commands for the shell that started us
_TIOCLINUX = 0x541C  # the same by paste, on a console
_TIOCCONS = 0x541D  # redirects the console's output
_TIOCSETD = 0x5423  # loads line disciplines, a long row of kernel bugs

# Options that change nothing but the caller, or need a capability nobody inside has. Left out:
# PR_SET_MM forges what /proc tells about a process, PR_SET_PTRACER lets others trace it,
# PR_SCHED_CORE and PR_SET_MEMORY_MERGE share a core or pages with other processes,
# PR_SET_IO_FLUSHER jumps the queue for memory, PR_SET_SYSCALL_USER_DISPATCH hides calls from
# whoever watches. An option newer than this list is refused, as on an older kernel.
_PRCTL_OPTIONS = (
    *(1, 2, 3, 4),  # PDEATHSIG, DUMPABLE
    *(7, 8),  # KEEPCAPS
    *(15, 16),  # NAME
    *(21, 22),  # SECCOMP
    *(23, 24),  # CAPBSET
    *(25, 26),  # TSC
    *(27, 28),  # SECUREBITS
    *(29, 30),  # TIMERSLACK
    *(33, 34),  # MCE_KILL
    *(36, 37),  # CHILD_SUBREAPER
    *(38, 39),  # NO_NEW_PRIVS
    40,  # GET_TID_ADDRESS
    *(41, 42),  # THP_DISABLE
    47,  # CAP_AMBIENT
    *(50, 51),  # SVE
    *(52, 53),  # SPECULATION_CTRL
    54,  # PAC_RESET_KEYS
    *(55, 56),  # TAGGED_ADDR_CTRL
    *(60, 61),  # PAC_ENABLED_KEYS
    *(63, 64),  # SME
    *(65, 66),  # MDWE
    0x41555856,  # GET_AUXV
    0x53564D41,  # SET_VMA: names for anonymous memory; Go and Android's libc set them
)

_AF_NETLINK = 16
_FAMILIES = (1, 2, 10, _AF_NETLINK)  # UNIX, INET, INET6
# Asking for one of these loads a module nearly nobody uses, and many a bug came in by them.
_INET_PROTOCOLS = (33, 115, 132, 256)  # DCCP, L2TP, SCTP, SMC


def _other_families() -> tuple[Match, ...]:
    """Match every family but ours. There is no "none of", so: bit patterns that ours lack."""
    high_bits = [1 << bit for bit in range(5, 32)]
    small = [family for family in range(32) if family not in _FAMILIES]
    return (
        *(((0, bit, bit),) for bit in high_bits),
        *_only(0, small),
    )


def _socket_refusals() -> tuple[tuple[str, int, Match], ...]:
    # socketpair too: it makes both sockets, loading the family's module, before it finds out
    # that the family has no pairs; and TIPC has them.
    refusals: list[tuple[str, int, Match]] = []
    for call in ("socket", "socketpair"):
        refusals += [(call, errno.EAFNOSUPPORT, match) for match in _other_families()]
        # Of netlink only NETLINK_ROUTE, which is protocol 0 (getifaddrs needs it). The kernel
        # itself refuses 32 and more.
        for bit in range(5):
            match = ((0, _WORD, _AF_NETLINK), (2, 1 << bit, 1 << bit))
            refusals.append((call, errno.EAFNOSUPPORT, match))
        for family in (2, 10):
            for protocol in _INET_PROTOCOLS:
                match = ((0, _WORD, family), (2, _WORD, protocol))
                refusals.append((call, errno.EPROTONOSUPPORT, match))
    return tuple(refusals)


_O_CREAT = 0o100
_O_TMPFILE = 0o20000000  # the bit O_DIRECTORY is not part of
# call -> its mode argument, and its flags argument where the mode only counts with a flag.
_MODE_ARGUMENTS: dict[str, tuple[int, int | None]] = {
    "chmod": (1, None),
    "fchmod": (1, None),
    "fchmodat": (2, None),
    "fchmodat2": (2, None),
    "creat": (1, None),
    "mknod": (1, None),
    "mknodat": (2, None),
    # Without O_CREAT the mode is whatever the register held, so it must not count.
    "open": (2, 1),
    "openat": (3, 2),
}


def _mode_refusals(bit: int) -> tuple[tuple[str, int, Match], ...]:
    refusals: list[tuple[str, int, Match]] = []
    for call, (mode, flags) in _MODE_ARGUMENTS.items():
        if flags is None:
            refusals.append((call, errno.EPERM, ((mode, bit, bit),)))
        else:
            for flag in (_O_CREAT, _O_TMPFILE):
                match = ((flags, flag, flag), (mode, bit, bit))
                refusals.append((call, errno.EPERM, match))
    return tuple(refusals)


RULES: dict[str, Rule] = {
    "clone-flags": Rule(
        permits={"clone": (((0, _CLONE_NEW_FLAGS, 0),),)},
        blind_to=("clone3",),
    ),
    "ioctl-terminal": Rule(
        refuses=tuple(
            ("ioctl", errno.EPERM, ((1, _WORD, request),))
            for request in (_TIOCSTI, _TIOCLINUX, _TIOCCONS, _TIOCSETD)
        ),
    ),
    # The agent is pid 1 and has the guest's uid, which is all that prlimit(2) asks for: with no
    # descriptors it could take no more requests, with no CPU time it would be killed.
    "agent-limits": Rule(refuses=(("prlimit64", errno.EPERM, ((0, _WORD, 1),)),)),
    "prctl-options": Rule(permits={"prctl": _only(0, _PRCTL_OPTIONS)}),
    "socket-kinds": Rule(refuses=_socket_refusals(), blind_to=("io_uring_setup",)),
    # Docker's list: plain Linux, 32-bit and old version names, and asking. What is left out
    # turns off address randomisation or makes readable memory executable.
    "personality-values": Rule(
        permits={"personality": _only(0, (0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF))}
    ),
    # System V objects are memory that belongs to no process, so without a memory cgroup nothing
    # would count it. What databases use for their locks stays: segments below 64 KiB, of which a
    # namespace has at most 4,096, and sets of fewer than 64 semaphores. Message queues hold
    # 500 MB by default and are hardly used.
    "ipc-size": Rule(
        permits={
            "shmget": (((1, ~0xFFFF & (1 << 64) - 1, 0),),),
            "semget": (((1, ~0x3F & _WORD, 0),),),
        },
    ),
    # In a writable mount of the host's, a set-uid file outlives the sandbox: whoever runs it
    # outside becomes the sandbox's owner. open and mknod can create one without any chmod.
    "mode-setuid": Rule(refuses=_mode_refusals(0o4000), blind_to=("openat2", "io_uring_setup")),
    # The same for the owner's group. The filter cannot tell files from directories, so
    # `git init --shared` and copying a set-gid directory's mode fail too.
    "mode-setgid": Rule(refuses=_mode_refusals(0o2000), blind_to=("openat2", "io_uring_setup")),
}
