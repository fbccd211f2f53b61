"""Forks kernels: processes that enter a sandbox from outside, and then are guest code's.

A kernel has nothing but what its zygote read before any guest code ran, and is told nothing by it
about the cells, variables or secrets of anybody: those come from the host itself once it is inside.
"""

from __future__ import annotations

import _signal
import _socket
import os
import resource
import signal
import socket
import sys

from localbox.confinement import (
    capabilities,
    identity,
    landlock,
    limits,
    syscalls,
    walls,
)
from localbox.confinement.program import Program
from localbox.confinement.walls import WallFailure, building
from localbox.kernels.languages import LanguageMissing, module_of
from localbox.kernels.port import Port, receive_request, serve
from localbox.protocol.frames import Message, encode_message
from localbox.zygote.sandbox_walls import become_guest_user
from localbox.zygote.serving import keep_free

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

RENDEZVOUS_FD = 3
_REPLY_FD = 4
_SANDBOX_FD = 5  # pidfd of its PID 1
_ZYGOTE_FD = 6  # pidfd
_STDOUT_FD = 7
_STDERR_FD = 8
_RESERVED_FDS = 16

_POLLIN = 1
# pidfd: all of these at once; see setns(2).
_NAMESPACES = (
    syscalls.CLONE_NEWUSER
    | syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWCGROUP
)


class KernelNursery:
    def __init__(self) -> None:
        keep_free(_RESERVED_FDS)
        os.umask(0)
        self._pidfd = os.pidfd_open(os.getpid())
        self._is_root = identity.is_host_root()
        self._landlock_abi = syscalls.landlock_abi()
        self._plans: dict[str, dict[str, Any]] = {}
        self._programs: dict[str, Program] = {}
        self._current: str | None = None

    def learn(self, digest: str, plan: dict[str, Any]) -> None:
        if digest not in self._plans:
            self._plans[digest] = plan
            self._programs[digest] = self._plan_entry(plan)

    def clone(self, digest: str, reply: _socket.socket, fds: list[int]) -> tuple[int, int]:
        """Fork a kernel into a sandbox; it builds its walls by itself and answers on `reply`.

        Args:
            fds: its rendezvous, standard output and standard error, and the sandbox's pidfd.

        Returns:
            pid and pidfd.
        """
        rendezvous_fd, stdout_fd, stderr_fd, sandbox_fd = fds
        self._dress(digest)
        order = (rendezvous_fd, reply.fileno(), sandbox_fd, self._pidfd, stdout_fd, stderr_fd)
        with building(walls.PID_NAMESPACE):
            # Our next child is born there; we ourselves stay where we are. There is no way back
            # for an ordinary user's zygote, nor a need: every clone begins with this.
            syscalls.setns(sandbox_fd, syscalls.CLONE_NEWPID)
            pid, pidfd = syscalls.clone3(0)
        if pid == 0:
            _run_kernel(order, self._programs[digest])
        return pid, pidfd

    def _dress(self, digest: str) -> None:
        """Look as programs in sandboxes of this plan shall; see Nursery."""
        if self._current == digest:
            return
        os.environ.clear()
        os.environ.update(self._plans[digest]["env"])
        sys.path[:] = self._plans[digest]["sys_path"]
        self._current = digest

    def _plan_entry(self, plan: dict[str, Any]) -> Program:
        """Write what a kernel does between its birth and the first line of guest code.

        The same walls as a sandbox's first process, in the same order, only that the namespaces
        are there already. Until it has no more than guest code may have, it is out of reach of the
        sandbox's processes, though they see it: it belongs to another user namespace or holds
        capabilities they lack, and is not dumpable. See ptrace(2), PTRACE_MODE_ATTACH.
        """
        fds = {0, 1, 2, RENDEZVOUS_FD, _REPLY_FD, _SANDBOX_FD, _ZYGOTE_FD, _STDOUT_FD, _STDERR_FD}
        program = Program(fds)
        with program.wall(walls.USER_NAMESPACE):
            program.call("close_range", max(fds) + 1, 0xFFFFFFFF, 0)
            program.prctl(syscalls.PR_SET_DUMPABLE, 0)
            network = 0 if plan["network"] == "host" else syscalls.CLONE_NEWNET
            program.call("setns", _SANDBOX_FD, _NAMESPACES | network, told="the sandbox")
            program.close(_SANDBOX_FD)
            if self._is_root:
                become_guest_user(program)
            # After the change of ids, which clears it; and the zygote may have died before it.
            program.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
            still_there = _ZYGOTE_FD | _POLLIN << 32
            program.call(
                "ppoll", still_there.to_bytes(8, "little"), 1, bytes(16), 0, 8, told="the zygote"
            )
            program.close(_ZYGOTE_FD)
        with program.wall(walls.PRIVATE_ROOT):
            null_fd = program.open("/dev/null", os.O_RDONLY)
            for fd, target in ((null_fd, 0), (_STDOUT_FD, 1), (_STDERR_FD, 2)):
                program.replace(fd, target)
                program.close(fd)
            program.call("umask", 0o022)
        with program.wall(walls.RLIMITS):
            limits.set_limits(program, plan["rlimits"])
            if plan["cpu_time_s"] is not None:
                # Of each process, as for commands; the soft limit's signal is what ends it.
                seconds = plan["cpu_time_s"]
                program.prlimit(resource.RLIMIT_CPU, seconds, seconds + 1)
        with program.wall(walls.CAPABILITIES):
            program.prctl(syscalls.PR_SET_DUMPABLE, 0)
            capabilities.drop_capabilities(program)
        with program.wall(walls.NO_NEW_PRIVILEGES):
            capabilities.forbid_new_privileges(program)
        if plan["landlock"] != "off" and self._landlock_abi >= landlock.MINIMUM_ABI:
            with program.wall(walls.LANDLOCK):
                landlock.restrict_writes(program, plan, self._landlock_abi)
        with program.wall(walls.SECCOMP):
            for text in plan["seccomp"]:
                program.load_filter(bytes.fromhex(text))
            # Programs read their own /proc/self. From here on it is guest code's process.
            program.prctl(syscalls.PR_SET_DUMPABLE, 1)
        return program


def _run_kernel(fds: tuple[int, ...], program: Program) -> NoReturn:
    """Enter the sandbox and run cells until the host closes the context. Runs in the child."""
    try:
        for target, fd in enumerate(fds, start=RENDEZVOUS_FD):
            os.dup2(fd, target, inheritable=False)
        reply = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, _REPLY_FD)
        try:
            program.run()
        except WallFailure as failure:
            _answer(reply, {"error": failure.to_message()})
            os._exit(1)
        reply.close()
        os.setsid()
        _signal.signal(_signal.SIGHUP, _signal.SIG_DFL)
        rendezvous = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET, 0, RENDEZVOUS_FD)
        # Not with the zygote's order for this kernel: it would remember what is in it.
        reply, settings = receive_request(rendezvous)
        port = Port(rendezvous)
        try:
            os.chdir(settings["cwd"])
            os.environ.update(settings["env"])
            language = settings["language"]
            kernel = sys.modules[module_of(language)].start_kernel(port, language)
            if settings.get("rehearse"):
                kernel.rehearse()
        except (OSError, LanguageMissing) as error:
            text = f"cwd {settings['cwd']!r} does not exist" if _is_missing(error) else str(error)
            _answer(reply, {"error": {"kind": "invalid_argument", "message": text}})
            os._exit(1)
        except Exception as error:  # noqa: BLE001 (the host is to hear of whatever it is)
            text = f"the {settings['language']} kernel did not start: {error!r}"
            _answer(reply, {"error": {"kind": "internal", "message": text}})
            os._exit(1)
        _answer(reply, {"ready": True})
        serve(port, kernel)
    finally:
        os._exit(0)


def _is_missing(error: Exception) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)


def _answer(reply: _socket.socket, message: Message) -> None:
    try:
        reply.sendall(encode_message(message))
    except OSError:
        os._exit(0)
    reply.close()
