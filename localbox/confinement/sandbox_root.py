"""Gives one sandbox its root: the template's tree with its own writable mounts over it.

These are the steps of the cloned child, inside its new namespaces, with the capabilities it has
over them and under the ids it will keep. Everything mounted here disappears with the sandbox's
namespace.
"""

from __future__ import annotations

import os
import stat

from localbox.confinement import syscalls
from localbox.confinement.program import Program
from localbox.confinement.root_template import EMPTY, LATE, LAYERS, LOWER, STAGE, WORKSHOP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_NO_SUID_DEV = syscalls.MS_NOSUID | syscalls.MS_NODEV
_PROC_FLAGS = _NO_SUID_DEV | syscalls.MS_NOEXEC


def enter_root(
    program: Program, plan: dict[str, Any], lower_fds: list[int], volume_fds: list[int]
) -> None:
    """Mount what belongs to this sandbox, over what the template shows.

    Call in the template's namespace, where it is seen which paths there are to mask.

    Args:
        plan: the sandbox plan.
        lower_fds: the child's descriptors of detached id-mapped mounts of what `plan["shifted"]`
            lists: the overlays' lower directories and the layers, where ids need shifting.
        volume_fds: those of the volumes, in the order of `plan["volumes"]`.
    """
    # Whatever happens to these mounts must not travel back to the template, or on to the host.
    program.mount("none", "/", None, syscalls.MS_REC | syscalls.MS_PRIVATE)
    _mount_proc(program, plan["masked"])
    lowers = _mount_lowers(program, plan, lower_fds)
    made = {path for path, _mode in plan["writable"]}
    _mount_writable(program, plan, lowers, made)
    _mount_overlays(program, plan, lowers, late=False)
    program.mount(
        "devpts",
        "/dev/pts",
        "devpts",
        syscalls.MS_NOSUID | syscalls.MS_NOEXEC,
        # All terminals of a machine come out of one count, kernel.pty.max, which is 4096.
        "newinstance,ptmxmode=0666,mode=0620,max=256",
    )
    for bind in plan["late_binds"]:
        _mount_late(program, bind, made)
    _mount_overlays(program, plan, lowers, late=True)
    for fd, guest_path in zip(volume_fds, plan["volumes"], strict=True):
        _make_directories(program, guest_path, made)
        program.move_mount(fd, guest_path)
    # What is left of the making: the tmpfs by its other name, above all the overlays' upper
    # directories, which must not be changed behind the overlays' backs.
    program.mount(EMPTY, WORKSHOP, None, syscalls.MS_BIND)


def _mount_proc(program: Program, masked: list[str]) -> None:
    program.mount("proc", "/proc", "proc", _PROC_FLAGS)
    # No user namespace below this one, so no fresh capabilities to try the kernel with; the
    # other kinds of namespace need a capability that nobody here will have.
    program.write_file("/proc/sys/user/max_user_namespaces", b"0")
    for path in masked:
        if not _readable_by_others(path):
            continue
        source = EMPTY if os.path.isdir(path) else "/dev/null"
        program.mount(source, path, None, syscalls.MS_BIND)
    # Read-only as a whole: with a writable one a guest can exempt itself from the host's
    # out-of-memory killer through oom_score_adj.
    program.set_mount_attributes("/proc", syscalls.MOUNT_ATTR_RDONLY)


def _readable_by_others(path: str) -> bool:
    """Whether a guest could read a path of /proc: it is host root's, and host root is nobody here.

    What only its owner may read needs no mask, and each mask costs a mount.
    """
    try:
        return bool(os.stat(path).st_mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IXOTH))
    except FileNotFoundError:
        return False


def _mount_lowers(
    program: Program, plan: dict[str, Any], lower_fds: list[int]
) -> dict[str, list[str]]:
    """The lower directories of each guest path that has any, the topmost first."""
    moved: dict[str, str] = {}
    for number, (path, fd) in enumerate(zip(plan["shifted"], lower_fds, strict=True)):
        moved[path] = f"{LOWER}/{number}"
        program.move_mount(fd, moved[path])
    sources = {path: lower_of(plan, path) for path in plan["overlays"]}
    lowers = {path: [moved.get(source, source)] for path, source in sources.items()}
    for guest_path, trees in plan["stacked"].items():
        lowers[guest_path] = [
            f"{moved.get(f'{LAYERS}/{layer}', f'{LAYERS}/{layer}')}/{directory}"
            for layer, directory in trees
        ] + lowers.get(guest_path, [])
    return lowers


def lower_of(plan: dict[str, Any], guest_path: str) -> str:
    """Where the template has what an overlay at this path lies over."""
    for bind in plan["late_binds"]:
        if bind["target"] == guest_path:
            return f"{LATE}/{bind['late']}"
    return guest_path


def _mount_writable(
    program: Program, plan: dict[str, Any], lowers: dict[str, list[str]], made: set[str]
) -> None:
    """One sized tmpfs holds everything the sandbox can write, so one number caps it all."""
    options = f"mode=0755,size={plan['disk_bytes']},nr_inodes={plan['files']}"
    program.mount("localbox", STAGE, "tmpfs", _NO_SUID_DEV, options)
    for number, (guest_path, mode) in enumerate(plan["writable"]):
        directory = f"{STAGE}/{number}"
        program.mkdir(directory, mode)
        if guest_path in lowers:
            # What is mounted in here is made in the upper directory, where there is nothing yet:
            # a layer's author may have put anything in its place, a link even.
            _make_mount_points(program, plan, guest_path, directory, made)
            program.mkdir(f"{directory}-work")
            _mount_overlay(program, guest_path, lowers, directory, f"{directory}-work")
        else:
            program.mount(directory, guest_path, None, syscalls.MS_BIND)


def _mount_overlays(
    program: Program, plan: dict[str, Any], lowers: dict[str, list[str]], *, late: bool
) -> None:
    """Those over what is mounted late, or those over what the template shows."""
    for number, guest_path in enumerate(plan["overlays"]):
        if late != (lower_of(plan, guest_path) != guest_path):
            continue
        upper, work = f"{STAGE}/upper{number}", f"{STAGE}/work{number}"
        program.mkdir(upper)
        program.mkdir(work)
        _mount_overlay(program, guest_path, lowers, upper, work)


def _mount_overlay(
    program: Program, guest_path: str, lowers: dict[str, list[str]], upper: str, work: str
) -> None:
    lower = ":".join(map(_escape, lowers[guest_path]))
    # userxattr: trusted.* attributes need a capability over the host. volatile: nothing of
    # this outlives the sandbox, so nothing need be synced.
    options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr,volatile"
    program.mount("overlay", guest_path, "overlay", _NO_SUID_DEV, options)


def _make_mount_points(
    program: Program, plan: dict[str, Any], guest_path: str, upper: str, made: set[str]
) -> None:
    for bind in plan["late_binds"]:
        target: str = bind["target"]
        if not target.startswith(guest_path + "/"):
            continue
        directory = os.path.dirname(target) if bind["file"] else target
        _make_directories(program, directory, made, (guest_path, upper))
        if bind["file"]:
            program.create_file(upper + target.removeprefix(guest_path))
            made.add(target)
    for target in plan["volumes"]:
        if target.startswith(guest_path + "/"):
            _make_directories(program, target, made, (guest_path, upper))


def _escape(path: str) -> str:
    """Overlay options are split at ',' and lower directories at ':'."""
    return path.replace("\\", "\\\\").replace(",", "\\,").replace(":", "\\:")


def _mount_late(program: Program, bind: dict[str, Any], made: set[str]) -> None:
    """A tree that belongs below a directory of the sandbox's own, such as a venv below /tmp.

    Args:
        made: the guest directories that are there already; those made here are added.
    """
    target: str = bind["target"]
    _make_directories(program, os.path.dirname(target) if bind["file"] else target, made)
    if bind["file"] and target not in made:
        program.create_file(target)
    program.move_mount(program.open_tree(f"{LATE}/{bind['late']}"), target)


def _make_directories(
    program: Program, guest_path: str, made: set[str], moved: tuple[str, str] = ("", "")
) -> None:
    """What is missing of a path below a directory of the sandbox's own; elsewhere none can be made.

    The template has what is not below one of them.

    Args:
        moved: a guest path and where what is to be there is made.
    """
    if not any(guest_path.startswith(path + "/") for path in made):
        return
    missing: list[str] = []
    while guest_path not in made:
        missing.append(guest_path)
        guest_path = os.path.dirname(guest_path)
    for path in reversed(missing):
        program.mkdir(moved[1] + path.removeprefix(moved[0]))
        made.add(path)
