"""Builds, once per policy, the mount namespace that sandboxes of that policy are cloned from.

Its root is what a sandbox will see, every part of it read-only; sandbox_root.py puts a sandbox's
own mounts over that. The host's tree is not in the namespace at all: it was let go of here, so
there is nothing for a sandbox to let go of. That matters for speed too, for unmounting waits for
every processor to take note.
"""

from __future__ import annotations

import contextlib
import os

from localbox.confinement import syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Where a sandbox's mounts are prepared; covered before its first guest instruction.
WORKSHOP = "/.localbox"
STAGE = WORKSHOP + "/stage"
LOWER = WORKSHOP + "/lower"
LATE = WORKSHOP + "/late"
EMPTY = WORKSHOP + "/empty"
LAYERS = WORKSHOP + "/layers"

_READ_ONLY = syscalls.MOUNT_ATTR_RDONLY | syscalls.MOUNT_ATTR_NOSUID | syscalls.MOUNT_ATTR_NODEV
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
# Of a small file in /etc; all of them together must fit into the root.
_LARGEST_COPY = 1024 * 1024


def build_template(plan: dict[str, Any]) -> None:
    """Move this process into a new mount namespace that is the template for `plan`.

    Args:
        plan: the sandbox plan; of its `template` the `binds` (source, target, file, writable,
            late), `symlinks`, `directories`, `files`, `copies`, `hidden`; and its `layers`.

    Raises:
        OSError: a source is missing or a mount was refused; the message names it.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    # Of no concern to anybody else: sandboxes set their own.
    before = os.umask(0o022)
    try:
        _build(plan, plan["template"])
    finally:
        os.umask(before)


def _build(plan: dict[str, Any], template: dict[str, Any]) -> None:
    with contextlib.ExitStack() as stack:

        def hold(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        copies = [(path, _read(source)) for source, path in template["copies"]]
        binds = [(bind, hold(_open_source(bind))) for bind in template["binds"]]
        devices = [(name, hold(_open_device(name))) for name in _DEVICES]
        layers = [hold(_open_layer(host_path)) for host_path in plan["layers"]]

        syscalls.mount("localbox", _SCAFFOLD, "tmpfs", syscalls.MS_NODEV, "mode=0755,size=16m")
        os.chdir(_SCAFFOLD)
        for path in (STAGE, LOWER, LATE, EMPTY):
            os.makedirs(path[1:])
        for number in range(len(plan["overlays"]) + len(layers)):
            os.mkdir(f"{LOWER[1:]}/{number}")
        for number, fd in enumerate(layers):
            os.makedirs(f"{LAYERS[1:]}/{number}")
            syscalls.move_mount(fd, f"{LAYERS[1:]}/{number}")
        _make_skeleton(template)
        for path, content in copies:
            _write(path[1:], content, 0o644)
        _mount_empty_proc()
        for name, fd in devices:
            _touch(f"dev/{name}")
            syscalls.move_mount(fd, f"dev/{name}")
        for bind, fd in binds:
            target = f"{LATE}/{bind['late']}" if bind["late"] is not None else bind["target"]
            _make_mount_point(target[1:], bind["file"])
            syscalls.move_mount(fd, target[1:])
        for path in template["hidden"]:
            _hide(path[1:])
        # Not recursive: the writable binds keep their flag.
        syscalls.mount_setattr(".", attr_set=_READ_ONLY, recursive=False)
        syscalls.pivot_root(".", ".")
    syscalls.umount2(".", syscalls.MNT_DETACH)
    os.chdir("/")


def _mount_empty_proc() -> None:
    """A /proc without processes.

    The kernel lets a user namespace mount its own /proc only where a complete one is visible
    already. Any will do, so it is that of a pid namespace whose one process ends right here.
    """
    pid, pidfd = syscalls.clone3(syscalls.CLONE_NEWPID)
    if pid == 0:
        try:
            flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
            syscalls.mount("proc", "proc", "proc", flags)
            os._exit(0)
        except OSError as error:
            os._exit(error.errno or 1)
    os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    if status:
        number = os.waitstatus_to_exitcode(status)
        raise OSError(number, f"mounting /proc of a new pid namespace: {os.strerror(number)}")


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


def _open_layer(host_path: str) -> int:
    """What another sandbox has written: nobody's to change any more."""
    fd = syscalls.open_tree(host_path, recursive=False)
    try:
        syscalls.mount_setattr(fd, attr_set=_READ_ONLY, recursive=False)
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


def _make_skeleton(template: dict[str, Any]) -> None:
    """Directories, small files and links; all paths are the sandbox's, so relative to here."""
    for path, mode in [
        ("/dev", 0o755),
        ("/dev/pts", 0o755),
        ("/dev/shm", 0o1777),
        ("/proc", 0o555),
        ("/tmp", 0o1777),
        *template["directories"],
    ]:
        os.makedirs(path[1:], 0o755, exist_ok=True)
        os.chmod(path[1:], mode)
    for name, target in _DEV_LINKS.items():
        os.symlink(target, f"dev/{name}")
    for path, content, mode in template["files"]:
        _write(path[1:], content.encode("utf-8"), mode)
    for path, target in template["symlinks"]:
        os.makedirs(os.path.dirname(path[1:]) or ".", 0o755, exist_ok=True)
        os.symlink(target, path[1:])


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(_LARGEST_COPY)


def _write(path: str, content: bytes, mode: int) -> None:
    os.makedirs(os.path.dirname(path), 0o755, exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


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
        syscalls.mount("dev/null", path, None, syscalls.MS_BIND)
