"""`--ro` and `--rw`: host paths from the command line into the policy."""

from __future__ import annotations

import os
import shlex
import stat

from localbox.cli.failures import UserError
from localbox.policy import Policy, load_profile, merge_overrides

HostAndGuest = tuple[str, str]


def make_policy(profile: str, readonly: list[str], readwrite: list[str]) -> Policy:
    """The profile with these paths shown in addition.

    Raises:
        UserError: a path that does not exist, or that the sandbox could not use.
        PolicyError: no such profile, or one that is not valid.
    """
    return merge_overrides(
        load_profile(profile),
        readonly=[_checked(text, writable=False) for text in readonly],
        readwrite=[_checked(text, writable=True) for text in readwrite],
    )


def split_mount(text: str) -> HostAndGuest:
    """PATH or PATH:GUEST. GUEST is absolute, so only a colon before a slash separates."""
    host_path, separator, rest = text.rpartition(":/")
    if not separator or not host_path:
        host_path = os.path.abspath(text)
        return host_path, host_path
    return os.path.abspath(host_path), "/" + rest


def _checked(text: str, *, writable: bool) -> HostAndGuest:
    option = "--rw" if writable else "--ro"
    if not text:
        raise UserError(f"{option}: the path is empty")
    host_path, guest_path = split_mount(text)
    try:
        status = os.stat(host_path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"{option} {host_path}: {reason}") from None
    if _ids_are_shifted():
        _check_for_a_stranger(option, host_path, status.st_mode, writable=writable)
    return host_path, guest_path


def _check_for_a_stranger(option: str, host_path: str, mode: int, *, writable: bool) -> None:
    """Refuse now what would be EACCES inside.

    Started by root, a sandbox has host ids that own nothing, so what counts is what a file
    allows to others.
    """
    needed = stat.S_IROTH | (stat.S_IWOTH if writable else 0)
    if stat.S_ISDIR(mode):
        needed |= stat.S_IXOTH
    if mode & needed == needed:
        return
    verb, instead = "read", "or show a copy that others may read"
    if writable:
        verb, instead = "write to", f"or open it to others: chmod o+rwX {shlex.quote(host_path)}"
    raise UserError(
        f"{option} {host_path}: a sandbox never acts as host uid 0, so it could not {verb} what "
        f"others may not (mode {stat.S_IMODE(mode):04o}). Run localbox as an ordinary user who "
        f"may, {instead}"
    )


def _ids_are_shifted() -> bool:
    """Whether sandboxes get ids of their own: started by the machine's root.

    Uid 0 of a user namespace that holds one id is somebody's own id, and so is the sandbox's.
    """
    if os.geteuid() != 0:
        return False
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return int(file.readline().split()[2]) > 1
