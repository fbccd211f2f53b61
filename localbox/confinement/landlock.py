"""Landlock: says a second time, by another mechanism, where the sandbox may write.

The mounts already make the system read-only. These rules hold too if a mount flag were wrong, and
they keep abstract sockets and signals inside, which mounts cannot. See landlock(7).
"""

from __future__ import annotations

import os

from localbox.confinement import syscalls

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
_SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0
_SCOPE_SIGNAL = 1 << 1


def restrict_writes(writable: list[str], abi: int) -> None:
    """Allow reading and executing everywhere, and every other right only below `writable`."""
    rights = _BASE_RIGHTS | _REFER
    if abi >= 3:
        rights |= _TRUNCATE
    if abi >= 5:
        rights |= _IOCTL_DEV
    scoped = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if abi >= 6 else 0
    read = _READ_FILE | _READ_DIR
    ruleset = syscalls.landlock_create_ruleset(rights, 0, scoped, abi)
    try:
        _allow(ruleset, "/", read | _EXECUTE)
        # Terminals and /dev/null are written to, truncated by `>` and asked by ioctl, but nothing
        # is made there.
        _allow(ruleset, "/dev", (read | _WRITE_FILE | _TRUNCATE | _IOCTL_DEV) & rights)
        for path in writable:
            _allow(ruleset, path, rights)
        syscalls.landlock_restrict_self(ruleset)
    finally:
        os.close(ruleset)


_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not os.path.isdir(path):
            rights &= _FILE_RIGHTS
        syscalls.landlock_add_path_rule(ruleset, fd, rights)
    finally:
        os.close(fd)
