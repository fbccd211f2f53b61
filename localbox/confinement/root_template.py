"""Builds, once per policy, the mount namespace that sandboxes of that policy are cloned from.

The namespace is slim: a root that holds nothing but empty directories, the host's /proc (the
kernel lets a user namespace mount a fresh /proc only where a complete one is already visible),
and under ROOT the tree a sandbox will see, every part of it read-only. A sandbox's own mounts are
put over it by sandbox_root.py. The host's tree is not in it at all.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any

from localbox.confinement import syscalls

# Directories of the slim namespace; a sandbox leaves them behind when it pivots into ROOT.
ROOT = "/root"
STAGE = "/stage"
LOWER = "/lower"
LATE = "/late"
PIVOT = "/pivot"
EMPTY = "/empty"

_READ_ONLY = (
    syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
)
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
_DEV_LINKS = {
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
    "ptmx": "pts/ptmx",
}
# Somewhere to mount the new root before it becomes the root; covered only in this namespace, and
# only after every source was opened.
_SCAFFOLD = "/tmp"


def build_template(plan: dict[str, Any]) -> None:
    """Move this process into a new mount namespace that is the template for `plan`.

    Args:
        plan: the sandbox plan; of its `template` the `binds` (source, target, file, writable, late),
            `symlinks`, `directories`, `files`, `hidden`.

    Raises:
        OSError: a source is missing or a mount was refused; the message names it.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    template = plan["template"]
    with contextlib.ExitStack() as stack:

        def hold(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        binds = [(bind, hold(_open_source(bind))) for bind in template["binds"]]
        devices = [(name, hold(_open_device(name))) for name in _DEVICES]
        proc_fd = hold(_open_proc())

        syscalls.mount("localbox", _SCAFFOLD, "tmpfs", syscalls.MS_NODEV, "mode=0755,size=4m")
        os.chdir(_SCAFFOLD)
        for name in (ROOT, STAGE, LOWER, LATE, PIVOT, EMPTY, "/proc"):
            os.mkdir(name[1:], 0o755)
        for number in range(len(plan["overlays"])):
            os.mkdir(f"{LOWER[1:]}/{number}")
        # A mount of its own, so that a sandbox can pivot into a copy of it.
        syscalls.mount("root", "root", "tmpfs", syscalls.MS_NODEV, "mode=0755,size=16m")
        syscalls.move_mount(proc_fd, "proc")
        _make_skeleton("root", template)
        for name, fd in devices:
            _touch(f"root/dev/{name}")
            syscalls.move_mount(fd, f"root/dev/{name}")
        for bind, fd in binds:
            target = LATE[1:] + f"/{bind['late']}" if bind["late"] is not None else _below_root(bind)
            _make_mount_point(target, bind["file"])
            syscalls.move_mount(fd, target)
        for path in template["hidden"]:
            _hide("root" + path)
        # Not recursive: the writable binds keep their flag.
        syscalls.mount_setattr("root", attr_set=_READ_ONLY, recursive=False)
        syscalls.pivot_root(".", ".")
    syscalls.umount2(".", syscalls.MNT_DETACH)
    os.chdir("/")


def _open_source(bind: dict[str, Any]) -> int:
    fd = syscalls.open_tree(bind["source"])
    try:
        if bind["writable"]:
            # This namespace is read-only throughout; what a writable bind shows is what was asked
            # for and nothing mounted below it.
            syscalls.mount_setattr(
                fd,
                attr_set=syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV,
                attr_clear=syscalls.MOUNT_ATTR_RDONLY,
            )
        else:
            syscalls.mount_setattr(fd, attr_set=_READ_ONLY)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _open_device(name: str) -> int:
    fd = syscalls.open_tree(f"/dev/{name}", recursive=False)
    # No MOUNT_ATTR_NODEV: these are the devices.
    syscalls.mount_setattr(
        fd, attr_set=syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NOEXEC, recursive=False
    )
    return fd


def _open_proc() -> int:
    fd = syscalls.open_tree("/proc")
    # Were it read-only here, the flag would be locked in the sandbox's namespace and the kernel
    # would then refuse a fresh /proc that can be written to, even for the moment it takes to set
    # the limits of the new user namespace.
    syscalls.mount_setattr(fd, attr_clear=syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    return fd


def _make_skeleton(root: str, template: dict[str, Any]) -> None:
    for path, mode in [
        ("/dev", 0o755),
        ("/dev/pts", 0o755),
        ("/dev/shm", 0o1777),
        ("/proc", 0o555),
        ("/tmp", 0o1777),
        *template["directories"],
    ]:
        os.makedirs(root + path, 0o755, exist_ok=True)
        os.chmod(root + path, mode)
    for name, target in _DEV_LINKS.items():
        os.symlink(target, f"{root}/dev/{name}")
    for path, content, mode in template["files"]:
        os.makedirs(os.path.dirname(root + path), 0o755, exist_ok=True)
        with open(root + path, "w", encoding="utf-8") as file:
            file.write(content)
        os.chmod(root + path, mode)
    for path, target in template["symlinks"]:
        os.makedirs(os.path.dirname(root + path), 0o755, exist_ok=True)
        os.symlink(target, root + path)


def _below_root(bind: dict[str, Any]) -> str:
    return "root" + str(bind["target"])


def _touch(path: str) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _make_mount_point(path: str, is_file: bool) -> None:
    if os.path.lexists(path):
        return
    if is_file:
        os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
        _touch(path)
    else:
        os.makedirs(path, 0o755)


def _hide(path: str) -> None:
    """Cover a path with nothing: an empty read-only directory, or /dev/null for a file."""
    if not os.path.lexists(path):
        return
    if os.path.isdir(path):
        syscalls.mount("hidden", path, "tmpfs", syscalls.MS_RDONLY | syscalls.MS_NODEV, "size=4k")
    else:
        syscalls.mount("root/dev/null", path, None, syscalls.MS_BIND)
