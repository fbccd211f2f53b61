"""Turns a freshly exec'd Python into the zygote: read-only mounts, then a second exec, then serve.

The second exec matters: /proc/self/exe of every sandboxed interpreter leads to the mount this
program was exec'd from, and where the interpreter belongs to the sandbox's own host user, a chmod
through a writable mount would succeed. From a mount namespace already read-only it is EROFS.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import sys

from localbox.confinement import cgroups, identity, syscalls
from localbox.confinement.walls import WallFailure, building
from localbox.protocol.frames import encode_datagram

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from localbox.zygote.kernel_server import KernelZygote
    from localbox.zygote.server import Zygote


def main() -> NoReturn:
    """Entry point; arguments: package parent, stage, role, control descriptor, owner's pid, cgroup
    directories ("memory=5,pids=6", for the second stage), where preloaded modules are found
    (separated by ":"), and their names.

    The role is "sandboxes", or "kernels:PID" for a zygote whose kernels enter the sandboxes of the
    zygote with that pid."""
    _parent, stage, role, control_fd, owner_pid, roots, sys_path, *modules = sys.argv[1:]
    kind, _, sandboxes_pid = role.partition(":")
    control = socket.socket(fileno=int(control_fd))
    owner_fd = _watch_owner(int(owner_pid))
    # Terminal signals are the owner's business; it ends us by leaving.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        if stage == "1":
            _write_bytecode()
            cgroup_roots = cgroups.open_roots() if kind == "sandboxes" else {}
            _enter_read_only_view(int(sandboxes_pid) if sandboxes_pid else None)
            _exec_again(control, cgroup_roots)
        syscalls.rename_process("localbox.zygote")
        # What Python remembers of it, programs inside could read.
        sys.orig_argv[:] = [sys.executable]
        zygote: Zygote | KernelZygote
        # Imported here: the first stage needs none of it, and each role only its own.
        if kind == "sandboxes":
            from localbox.zygote.server import Zygote

            zygote = Zygote(
                control, owner_fd, _parse_roots(roots), modules, sys_path.split(os.pathsep)
            )
        else:
            from localbox.zygote.kernel_server import KernelZygote

            zygote = KernelZygote(control, owner_fd, modules, sys_path.split(os.pathsep))
    except WallFailure as failure:
        control.send(encode_datagram({"error": failure.to_message()}))
        sys.exit(1)
    except ImportError as error:
        hint = '; pip install "localbox[interpreter]"' if error.name == "IPython" else ""
        text = f"cannot preload a module: {error}{hint}"
        problem = {"kind": "invalid_argument", "message": text}
        control.send(encode_datagram({"error": problem}))
        sys.exit(1)
    zygote.serve()


def _watch_owner(owner_pid: int) -> int:
    """A pidfd of the program we work for; it becomes readable when that program is gone.

    Not PDEATHSIG, which fires when the *thread* that started us ends, and not the socket alone,
    whose other end a fork of the owner may keep open. See prctl(2), pidfd_open(2).
    """
    try:
        owner_fd = os.pidfd_open(owner_pid)
    except ProcessLookupError:
        sys.exit(0)
    # Looked at after the pidfd exists: had the owner died before, its pid could be another's.
    if os.getppid() != owner_pid or select.select([owner_fd], [], [], 0)[0]:
        sys.exit(0)
    return owner_fd


def _write_bytecode() -> None:
    """Compile our modules where that was not done, as in a source checkout.

    The second stage cannot write what it compiled, and would do it again for every zygote.
    """
    package = os.path.dirname(os.path.dirname(__file__))
    if not os.access(f"{package}/zygote", os.W_OK):
        return
    for folder in ("zygote", "guest", "kernels", "confinement", "protocol"):
        for name in os.listdir(f"{package}/{folder}"):
            stem, extension = os.path.splitext(name)
            compiled = f"{package}/{folder}/__pycache__/{stem}.{sys.implementation.cache_tag}.pyc"
            if extension == ".py" and _is_stale(compiled, f"{package}/{folder}/{name}"):
                importlib.import_module("localbox.zygote.server")
                return


def _is_stale(compiled: str, source: str) -> bool:
    try:
        return os.stat(compiled).st_mtime < os.stat(source).st_mtime
    except FileNotFoundError:
        return True


def _enter_read_only_view(sandboxes_pid: int | None) -> None:
    """
    Args:
        sandboxes_pid: the zygote whose sandboxes will be entered, if that is the job.
    """
    if identity.is_host_root():
        with building("mount-namespace"):
            syscalls.unshare(syscalls.CLONE_NEWNS)
        # Groups of host root would come along into every sandbox.
        os.setgroups([])
    else:
        with building("user-namespace"):
            if sandboxes_pid is None:
                identity.enter_own_user_namespace()
            else:
                identity.enter_user_namespace_of(sandboxes_pid)
    with building("mount-namespace"):
        syscalls.mount_setattr(
            "/", attr_set=syscalls.MOUNT_ATTR_RDONLY, propagation=syscalls.MS_PRIVATE
        )


def _exec_again(control: socket.socket, cgroup_roots: dict[str, int]) -> NoReturn:
    parent, _stage, role, control_fd, owner_pid, _roots, *rest = sys.argv[1:]
    roots = ",".join(f"{controller}={fd}" for controller, fd in cgroup_roots.items())
    interpreter = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]
    control.set_inheritable(True)
    os.execve(
        sys.executable,
        [*interpreter, parent, "2", role, control_fd, owner_pid, roots, *rest],
        {},
    )


def _parse_roots(text: str) -> dict[str, int]:
    roots: dict[str, int] = {}
    for item in filter(None, text.split(",")):
        controller, _, fd = item.partition("=")
        os.set_inheritable(int(fd), False)
        roots[controller] = int(fd)
    return roots
