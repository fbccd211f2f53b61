"""Gives one sandbox its root: the template's tree with its own writable mounts over it.

Runs in the cloned child, inside its new namespaces, with the capabilities it has over them and
under the ids it will keep. Everything mounted here disappears with the sandbox's namespace.
"""

from __future__ import annotations

import os
from typing import Any

from localbox.confinement import syscalls
from localbox.confinement.root_template import LATE, LOWER, PIVOT, ROOT, STAGE

_NO_SUID_DEV = syscalls.MS_NOSUID | syscalls.MS_NODEV
_PROC_FLAGS = _NO_SUID_DEV | syscalls.MS_NOEXEC


def enter_root(plan: dict[str, Any], lower_fds: list[int]) -> list[str]:
    """Mount what belongs to this sandbox, make it the root and let go of everything else.

    Args:
        plan: the sandbox plan.
        lower_fds: detached id-mapped mounts of the overlays' lower directories, in the order of
            `plan["overlays"]`; empty where ids need no shifting.

    Returns:
        The guest paths that got a writable overlay.
    """
    # Whatever happens to these mounts must not travel back to the template, or on to the host.
    syscalls.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    _mount_proc(plan["masked"])
    _mount_writable(plan)
    overlaid = _mount_overlays(plan["overlays"], lower_fds)
    syscalls.mount(
        "devpts",
        ROOT + "/dev/pts",
        "devpts",
        syscalls.MS_NOSUID | syscalls.MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=0620",
    )
    for bind in plan["late_binds"]:
        _mount_late(bind)
    _pivot()
    return overlaid


def _mount_proc(masked: list[str]) -> None:
    proc = ROOT + "/proc"
    syscalls.mount("proc", proc, "proc", _PROC_FLAGS)
    # No user namespace below this one, so no fresh capabilities to try the kernel with; the
    # other kinds of namespace need a capability that nobody here will have.
    _write(proc + "/sys/user/max_user_namespaces", b"0")
    for path in masked:
        target = ROOT + path
        if os.path.isdir(target):
            syscalls.mount("masked", target, "tmpfs", syscalls.MS_RDONLY, "size=4k")
        elif os.path.exists(target):
            syscalls.mount(ROOT + "/dev/null", target, None, syscalls.MS_BIND)
    # Read-only as a whole: with a writable one a guest can exempt itself from the host's
    # out-of-memory killer through oom_score_adj.
    syscalls.mount_setattr(proc, attr_set=syscalls.MOUNT_ATTR_RDONLY)


def _mount_writable(plan: dict[str, Any]) -> None:
    """One sized tmpfs holds everything the sandbox can write, so one number caps it all."""
    options = f"mode=0755,size={plan['disk_bytes']},nr_inodes={plan['files']}"
    syscalls.mount("localbox", STAGE, "tmpfs", _NO_SUID_DEV, options)
    for number, (guest_path, mode) in enumerate(plan["writable"]):
        directory = f"{STAGE}/{number}"
        os.mkdir(directory)
        os.chmod(directory, mode)
        syscalls.mount(directory, ROOT + guest_path, None, syscalls.MS_BIND)


def _mount_overlays(guest_paths: list[str], lower_fds: list[int]) -> list[str]:
    for number, guest_path in enumerate(guest_paths):
        target = ROOT + guest_path
        lower = target
        if lower_fds:
            lower = f"{LOWER}/{number}"
            syscalls.move_mount(lower_fds[number], lower)
        upper, work = f"{STAGE}/upper{number}", f"{STAGE}/work{number}"
        os.mkdir(upper)
        os.mkdir(work)
        # userxattr: trusted.* attributes need a capability over the host. volatile: nothing of
        # this outlives the sandbox, so nothing need be synced.
        options = f"lowerdir={_escape(lower)},upperdir={upper},workdir={work},userxattr,volatile"
        syscalls.mount("overlay", target, "overlay", _NO_SUID_DEV, options)
    return list(guest_paths)


def _escape(path: str) -> str:
    """Overlay options are split at ',' and lower directories at ':'."""
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _mount_late(bind: dict[str, Any]) -> None:
    """A tree that belongs below a directory of the sandbox's own, such as a venv below /tmp."""
    target = ROOT + bind["target"]
    if bind["file"]:
        os.makedirs(os.path.dirname(target), 0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
    else:
        os.makedirs(target, 0o755, exist_ok=True)
    fd = syscalls.open_tree(f"{LATE}/{bind['late']}")
    syscalls.move_mount(fd, target)
    os.close(fd)


def _pivot() -> None:
    # ROOT itself came with the namespace and is locked in it; a copy is ours to pivot into.
    fd = syscalls.open_tree(ROOT)
    syscalls.move_mount(fd, PIVOT)
    os.close(fd)
    os.chdir(PIVOT)
    syscalls.pivot_root(".", ".")
    # Stacked on the same directory, the old root is what "." names now: the slim namespace with
    # the host's /proc, the staging directories and the template go in one step. pivot_root(2).
    syscalls.umount2(".", syscalls.MNT_DETACH)
    os.chdir("/")


def _write(path: str, content: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, content)
    finally:
        os.close(fd)
