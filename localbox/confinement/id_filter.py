"""Keeps the sandbox's root to two users: itself and the sandbox's user.

RLIMIT_NPROC and its like count by real uid. With CAP_SETUID over 65,536 ids there would be as many
times `resources.pids`, so a second seccomp filter looks at the real uid that is asked for. Changes
of the others, and of groups, are left alone: nothing is counted by them.
"""

from __future__ import annotations

import errno
import struct
import sys

from localbox.confinement import syscalls
from localbox.confinement.identity import GUEST_UID

_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# Each takes the new real uid first; -1 leaves it as it is.
_CALLS = ("setuid", "setreuid", "setresuid")
_PERMITTED = (0, GUEST_UID, 0xFFFFFFFF)

_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _ARCH = 0, 4
# The lower half of the first argument, which is all of it that counts.
_ARGUMENT = 16 if sys.byteorder == "little" else 20
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | errno.EPERM
_X32_BIT = 0x40000000


def real_uid_filter() -> bytes:
    """An array of struct sock_filter.

    Raises:
        OSError: this is a machine whose calls are not known.
    """
    numbers = [syscalls.number_of(call) for call in _CALLS]
    # Other numbers for the same calls: 32-bit and x32, where a profile lets them be.
    arch = _AUDIT_ARCH[syscalls.MACHINE]
    lines: list[tuple[int, str, str, int]] = [
        (_LOAD, "", "", _ARCH),
        (_EQUAL, "", "refuse", arch),
        (_LOAD, "", "", _NUMBER),
        (_AT_LEAST, "refuse", "", _X32_BIT),
        *((_EQUAL, "look", "", number) for number in numbers),
        (_RETURN, "", "", _ALLOW),
        (_LOAD, "", "", _ARGUMENT),
        *((_EQUAL, "allow", "", uid) for uid in _PERMITTED),
        (_RETURN, "", "", _REFUSE),
        (_RETURN, "", "", _ALLOW),
    ]
    labels = {"look": 5 + len(numbers), "refuse": len(lines) - 2, "allow": len(lines) - 1}

    def distance(label: str, index: int) -> int:
        return labels[label] - index - 1 if label else 0

    return b"".join(
        struct.pack("=HBBI", code, distance(yes, index), distance(no, index), value)
        for index, (code, yes, no, value) in enumerate(lines)
    )
