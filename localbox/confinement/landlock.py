"""Landlock: says a second time, by another mechanism, where the sandbox may write.

The mounts already make the system read-only. These rules hold too if a mount flag were wrong, and
they keep abstract sockets and signals inside, which mounts cannot. See landlock(7).
"""

from __future__ import annotations

from localbox.confinement.program import Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Before ABI 2 every rename or link between directories fails with EXDEV once a ruleset is on.
MINIMUM_ABI = 2

_EXECUTE = 1 << 0
_WRITE_FILE = 1 << 1
_READ_FILE = 1 << 2
_READ_DIR = 1 << 3
_REFER = 1 << 13
_TRUNCATE = 1 << 14
_IOCTL_DEV = 1 << 15
_BASE_RIGHTS = (1 << 13) - 1
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0


def restrict_writes(program: Program, plan: dict[str, Any], abi: int) -> None:
    """Allow reading and executing everywhere, and every other right where the plan lets write."""
    rights = _BASE_RIGHTS | _REFER
    if abi >= 3:
        rights |= _TRUNCATE
    if abi >= 5:
        rights |= _IOCTL_DEV
    # Signals are the pid namespace's to keep in, and abstract sockets a private network's. Here
    # both would also keep the sandbox's commands and its kernels apart, for each is a domain.
    scoped = _SCOPE_ABSTRACT_UNIX_SOCKET if abi >= 6 and plan["network"] == "host" else 0
    read = _READ_FILE | _READ_DIR
    ruleset_fd = program.landlock_ruleset(rights, scoped, abi)
    program.landlock_allow(ruleset_fd, "/", read | _EXECUTE)
    # Terminals and /dev/null are written to, truncated by `>` and asked by ioctl, but nothing is
    # made there.
    program.landlock_allow(
        ruleset_fd, "/dev", (read | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV) & rights
    )
    for path, is_file in plan["landlock_writable"]:
        program.landlock_allow(ruleset_fd, path, rights & _FILE_RIGHTS if is_file else rights)
    program.landlock_restrict_self(ruleset_fd)
