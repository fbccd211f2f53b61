"""A sandbox's second agent, whose user is root: uid 0 of the sandbox's own user namespace.

Forked from the zygote into the sandbox when first asked for, as kernels are, and behind the same
walls but for six capabilities. On the host its uid is the first of the sandbox's range, never 0.
"""

from __future__ import annotations

import _socket
import os
import signal
import sys

from localbox.confinement import (
    capabilities,
    id_filter,
    landlock,
    limits,
    root_template,
    syscalls,
    walls,
)
from localbox.confinement.host_proc import open_proc
from localbox.confinement.program import Program
from localbox.confinement.walls import WallFailure, building
from localbox.guest.agent import Agent
from localbox.guest.python import STATUS_FD
from localbox.protocol.frames import encode_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from localbox.zygote.live import LiveSandbox

HOME = "/root"

_RENDEZVOUS_FD = 3
_REPLY_FD = 4
_GO_FD = 5  # one byte arrives when its cgroup has it
_SANDBOX_FD = 6  # pidfd of its PID 1
_ZYGOTE_FD = 7  # pidfd
_MOUNTS_FD = 8  # the sandbox's mount namespace
_FDS = {0, 1, 2, _RENDEZVOUS_FD, _REPLY_FD, _GO_FD, _SANDBOX_FD, _ZYGOTE_FD, _MOUNTS_FD}

_POLLIN = 1
# The network's too if it is the host's: the zygote may be in one that it has made ahead.
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWNET
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)


class RootAgents:
    """How root agents are made for the sandboxes of one plan."""

    def __init__(self, plan: dict[str, Any], landlock_abi: int) -> None:
        """Call where /proc can be seen, whoever's it is."""
        self._plan = plan
        self._enter = _enter_sandbox()
        self._contain = _contain(plan, landlock_abi)
        names = {"HOME": HOME, "USER": "root", "LOGNAME": "root"}
        self._settings = {
            "env": {**plan["env"], **names},
            "extra_env": names,
            "home": HOME,
            "user": "root",
            "cpu_time_s": plan["cpu_time_s"],
        }

    def clone(
        self, sandbox: LiveSandbox, *, rendezvous_fd: int, reply_fd: int, zygote_fd: int
    ) -> tuple[int, int]:
        """Fork one into `sandbox`; it builds its walls by itself and answers on `reply_fd`.

        Returns:
            pid and pidfd. It is our child, and ours to reap.
        """
        mounts_fd = open_proc(f"{sandbox.pid}/ns/mnt")
        go_reader, go_writer = os.pipe2(os.O_CLOEXEC)
        try:
            order = (rendezvous_fd, reply_fd, go_reader, sandbox.pidfd, zygote_fd, mounts_fd)
            with building(walls.PID_NAMESPACE):
                pid, pidfd = _clone_into(sandbox)
            if pid == 0:
                self._run(order)
            try:
                if sandbox.cgroup is not None:
                    with building(walls.CGROUP):
                        sandbox.cgroup.adopt(pid)
                os.write(go_writer, b"1")
            except BaseException:
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.waitpid(pid, 0)
                os.close(pidfd)
                raise
        finally:
            for fd in (mounts_fd, go_reader, go_writer):
                os.close(fd)
        return pid, pidfd

    def _run(self, fds: tuple[int, ...]) -> NoReturn:
        """The life of a root agent. Runs in the child."""
        try:
            for target, fd in enumerate(fds, start=_RENDEZVOUS_FD):
                os.dup2(fd, target, inheritable=False)
            reply = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, _REPLY_FD)
            try:
                self._enter.run()
                os.umask(0o022)
                with building(walls.PRIVATE_ROOT):
                    _mount_home(_mounts_below_home(self._plan))
                self._contain.run()
            except WallFailure as failure:
                reply.sendall(encode_message({"error": failure.to_message()}))
                os._exit(1)
            os.setsid()
            os.environ.clear()
            os.environ.update(self._settings["env"])
            sys.path[:] = self._plan["sys_path"]
            agent = Agent(
                _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, _RENDEZVOUS_FD),
                self._settings,
                _become_guest,
                syscalls.set_window_size,
                syscalls.WATCH_CALLS,
            )
            ready = {"capabilities": list(capabilities.ROOT_CAPABILITIES)}
            reply.sendall(encode_message({"ready": ready}))
            reply.close()
            agent.run()
        finally:
            os._exit(1)


def _clone_into(sandbox: LiveSandbox) -> tuple[int, int]:
    own_fd = open_proc("self/ns/pid")
    try:
        syscalls.setns(sandbox.pidfd, syscalls.CLONE_NEWPID)
        try:
            clone_fd = sandbox.cgroup.clone_fd if sandbox.cgroup is not None else None
            pid, pidfd = syscalls.clone3(0, clone_fd)
        except BaseException:
            _return_to(own_fd)
            raise
        if pid:
            _return_to(own_fd)
    finally:
        os.close(own_fd)
    return pid, pidfd


def _return_to(own_fd: int) -> None:
    """Have our next child in our own pid namespace again."""
    try:
        syscalls.setns(own_fd, syscalls.CLONE_NEWPID)
    except OSError:
        # The next sandbox would be born inside this one. Better that there is none.
        os._exit(1)


def _enter_sandbox() -> Program:
    """All namespaces, and uid 0 there, with every capability over them and none over the host.

    From the change of namespaces on the sandbox's processes see it, and can do nothing to it: it
    is not dumpable, and holds capabilities that they lack.
    """
    program = Program(_FDS)
    with program.wall(walls.USER_NAMESPACE):
        program.call("close_range", max(_FDS) + 1, 0xFFFFFFFF, 0)
        program.prctl(syscalls.PR_SET_DUMPABLE, 0)
        program.call("read", _GO_FD, bytes(1), 1, told="cgroup", expect=1)
        program.close(_GO_FD)
        program.call("setns", _SANDBOX_FD, _NAMESPACES, told="the sandbox")
        program.close(_SANDBOX_FD)
        program.call("setresgid", 0, 0, 0, told="root's group")
        program.call("setresuid", 0, 0, 0, told="root")
        program.prctl(syscalls.PR_SET_DUMPABLE, 0)
        # After the change of ids, which clears it; and the zygote may have died before it.
        program.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        still_there = _ZYGOTE_FD | _POLLIN << 32
        program.call(
            "ppoll", still_there.to_bytes(8, "little"), 1, bytes(16), 0, 8, told="the zygote"
        )
        program.close(_ZYGOTE_FD)
    return program


def _contain(plan: dict[str, Any], landlock_abi: int) -> Program:
    """The walls of sandbox_walls.py that a process has by itself, in the same order."""
    program = Program(_FDS - {_GO_FD, _SANDBOX_FD, _ZYGOTE_FD})
    with program.wall(walls.PRIVATE_ROOT):
        program.close(_MOUNTS_FD)
        null_fd = program.open("/dev/null", os.O_RDWR)
        for target in (0, 1, 2):
            program.replace(null_fd, target)
        program.close(null_fd)
    with program.wall(walls.RLIMITS):
        limits.set_limits(program, plan["rlimits"])
    with program.wall(walls.CAPABILITIES):
        program.prctl(syscalls.PR_SET_DUMPABLE, 0)
        capabilities.keep_root_capabilities(program)
    with program.wall(walls.NO_NEW_PRIVILEGES):
        capabilities.forbid_new_privileges(program)
    if plan["landlock"] != "off" and landlock_abi >= landlock.MINIMUM_ABI:
        writable = [*plan["landlock_writable"], (HOME, False)]
        with program.wall(walls.LANDLOCK):
            landlock.restrict_writes(program, {**plan, "landlock_writable": writable}, landlock_abi)
    with program.wall(walls.SECCOMP):
        program.load_filter(id_filter.real_uid_filter())
        for text in plan["seccomp"]:
            program.load_filter(bytes.fromhex(text))
    return program


def _mounts_below_home(plan: dict[str, Any]) -> list[str]:
    """What the sandbox has mounted below /root: a Python environment of host root's, say."""
    targets = [entry["target"] for entry in plan["template"]["binds"]]
    targets += [*plan["overlays"], *plan.get("volumes", ())]
    below = sorted({path for path in targets if path.startswith(HOME + "/")})
    # A mount comes along with the one it lies below.
    return [path for path in below if not any(path.startswith(f"{other}/") for other in below)]


def _mount_home(kept: list[str]) -> None:
    """Make /root a directory of the sandbox's disk, unless it is one, or the profile's.

    Where the disk's own root can be seen, its overlays' upper directories can be changed behind
    their backs; so that happens in a mount namespace nobody else is in.

    Args:
        kept: guest paths below it that have to stay as they are.
    """
    if os.stat(HOME).st_dev != os.stat("/").st_dev:
        return
    directory = f"{root_template.STAGE}{HOME}"
    # The sandbox's user has to get to what lies below.
    mode = 0o711 if kept else 0o700
    syscalls.unshare(syscalls.CLONE_NEWNS)
    trees = [(path, os.path.isdir(path), syscalls.open_tree(path)) for path in kept]
    syscalls.umount2(root_template.WORKSHOP, 0)
    os.makedirs(directory, mode, exist_ok=True)
    syscalls.mount(directory, HOME, None, syscalls.MS_BIND)
    for path, is_directory, tree_fd in trees:
        os.makedirs(path if is_directory else os.path.dirname(path), 0o755, exist_ok=True)
        if not is_directory:
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))
        syscalls.move_mount(tree_fd, path)
        os.close(tree_fd)
    home_fd = syscalls.open_tree(HOME)
    # All at once for the others: with what is mounted below it.
    syscalls.setns(_MOUNTS_FD, syscalls.CLONE_NEWNS)
    syscalls.move_mount(home_fd, HOME)
    os.close(home_fd)


def _become_guest() -> None:
    """See sandbox_child.py."""
    syscalls.become_guest(STATUS_FD + 1)
