"""What to do about a wall that cannot be built: the last sentence of a WallError."""

from __future__ import annotations

import errno

_UNPRIVILEGED = (
    "Unprivileged user namespaces are off or restricted here: allow them with "
    "`sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`, on Ubuntu also "
    "`kernel.apparmor_restrict_unprivileged_userns=0`"
)
_FIXES = {
    "user-namespace": _UNPRIVILEGED,
    "mount-namespace": "This needs Linux 5.12 or newer and, for uid 0 in a container, "
    "CAP_SYS_ADMIN (or an ordinary user)",
    "private-root": "Look for a mount or a security module that forbids it",
    "landlock": "Use Linux 5.19 or newer with `landlock` in the `lsm=` list, or a profile that "
    "does not require it",
    "cgroup": "Run as root, or use a profile that does not require it",
    "seccomp": "Use a kernel with CONFIG_SECCOMP_FILTER",
    "network-namespace": "Use a kernel with CONFIG_NET_NS, or a profile with `network.mode: host`",
}


def remedy(wall: str, number: int | None) -> str:
    """One sentence of advice, and where to find out more."""
    advice = _FIXES.get(wall, "")
    if number == errno.ENOSPC and wall.endswith("namespace"):
        advice = "A limit under /proc/sys/user is reached; raise it"
    if number == errno.ENOSYS:
        advice = "This kernel is too old or was built without it; Linux 5.12 or newer is needed"
    return f'{advice}; see "localbox doctor".' if advice else 'See "localbox doctor".'
