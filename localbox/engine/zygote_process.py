"""Starts the zygote: a fresh Python with an empty environment that forks on our behalf."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import select
import socket
import subprocess
import threading
from pathlib import Path

from localbox.engine.answers import to_exception
from localbox.engine.pool import Pool
from localbox.engine.python_environment import current_environment
from localbox.errors import SandboxException
from localbox.protocol.frames import MAX_DATAGRAM_BYTES, FrameError, decode_message

_START_TIMEOUT_S = 60.0
_BOOT = "import sys; sys.path.append(sys.argv[1]); from localbox.zygote.boot import main; main()"


class ZygoteProcess:
    """A running zygote and the socket that new exchanges with it are announced on."""

    def __init__(self, preload: tuple[str, ...], role: str = "sandboxes") -> None:
        """
        Args:
            preload: modules to import at its start.
            role: see zygote/boot.py.

        Raises:
            WallError: this machine does not let the zygote do its work.
            SandboxException: it could not be started at all.
        """
        environment = current_environment()
        self.known_plans: set[str] = set()
        # Of those made for layers: how many sandboxes there are; see layer_use.py.
        self.plan_uses: dict[str, int] = {}
        self.pool = Pool()
        self._preload = preload
        self._owner_pid = os.getpid()
        self._kernels: ZygoteProcess | None = None
        self._kernels_lock = threading.Lock()
        self.rendezvous, theirs = _socket_pair()
        # A file and not a pipe: nobody reads it unless the zygote fails to start.
        stderr_fd = _unnamed_file()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [
                        environment.executable,
                        *("-I", "-S", "-X", "utf8", "-c", _BOOT),
                        str(Path(__file__).parent.parent.parent),
                        "1",
                        role,
                        str(theirs.fileno()),
                        str(os.getpid()),
                        "",
                        os.pathsep.join(environment.sys_path),
                        *preload,
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr_fd,
                    pass_fds=[theirs.fileno()],
                    env={},
                    cwd="/",
                    # Ctrl-C in the terminal is for this program alone.
                    start_new_session=True,
                )
            if role == "sandboxes":
                _sweep()
            self._await_ready(stderr_fd)
        except BaseException:
            self.rendezvous.close()
            raise
        finally:
            os.close(stderr_fd)

    def __del__(self) -> None:
        # One that died and was replaced: its sandboxes' records held on to it until now.
        rendezvous = getattr(self, "rendezvous", None)
        if rendezvous is not None:
            rendezvous.close()
        process = getattr(self, "_process", None)
        if process is not None and self._owner_pid == os.getpid() and process.poll() is None:
            # The kernels' zygote of one that died: of no use to anybody.
            process.kill()
            process.wait()

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_alive(self) -> bool:
        if os.getpid() == self._owner_pid:
            return self._process.poll() is None
        # A fork of the program cannot wait for its parent's child, but sees its socket hang up.
        poll = select.poll()
        poll.register(self.rendezvous, 0)
        return not poll.poll(0)

    def kernels(self, *, again: bool = False) -> ZygoteProcess:
        """The zygote of the kernels that run in this one's sandboxes, started when first needed.

        Args:
            again: the last one was found to have ended.
        """
        with self._kernels_lock:
            if self._kernels is None or (again and not self._kernels.is_alive()):
                self._kernels = ZygoteProcess(self._preload, f"kernels:{self.pid}")
            return self._kernels

    def ready_kernels(self, digest: str) -> ZygoteProcess | None:
        """The zygote of kernels, if it runs and knows the plan."""
        kernels = self._kernels
        if kernels is None or digest not in kernels.known_plans or not kernels.is_alive():
            return None
        return kernels

    def stop(self) -> None:
        """End it, and with it every sandbox it forked; returns when it is gone."""
        self.pool.clear()
        if self._kernels is not None:
            self._kernels.stop()
        self.rendezvous.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()

    def _await_ready(self, stderr_fd: int) -> None:
        ready, _, _ = select.select([self.rendezvous], [], [], _START_TIMEOUT_S)
        data = self.rendezvous.recv(MAX_DATAGRAM_BYTES) if ready else b""
        try:
            message = decode_message(data)
        except FrameError:
            self._process.kill()
            self._process.wait()
            text = os.pread(stderr_fd, 4096, 0).decode("utf-8", "replace").strip()
            raise SandboxException(
                f"the zygote did not start (exit code {self._process.returncode}): "
                f"{text or 'no message'}"
            ) from None
        if "error" in message:
            self._process.wait()
            raise to_exception(message["error"])


def _sweep() -> None:
    """Remove what programs that were killed have left on disk, while the zygote starts."""
    from localbox.engine.data_dir import has_subdirectory

    # A directory of layers that cannot be used is told to whoever wants to use it.
    with contextlib.suppress(OSError, SandboxException):
        if has_subdirectory("layers"):
            from localbox.engine.layer_store import sweep_once

            sweep_once()


def _unnamed_file() -> int:
    # Imported late: it brings half a dozen modules that an idle client has no use for.
    from tempfile import TemporaryFile

    with TemporaryFile() as file:
        return os.dup(file.fileno())


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        try:
            # Above the standard streams, which the zygote has of its own: in a program that closed
            # its stdin the number could be 0.
            fd = fcntl.fcntl(theirs, fcntl.F_DUPFD_CLOEXEC, 3)
        except OSError:
            ours.close()
            raise
    return ours, socket.socket(fileno=fd)


# By preload set, and by whether its sandboxes share the host's network: to leave that network is
# all an ordinary user may do.
_zygotes: dict[tuple[tuple[str, ...], bool], ZygoteProcess] = {}
_owner_pid = os.getpid()
_lock = threading.Lock()


def get_zygote(preload: tuple[str, ...], *, host_network: bool = False) -> ZygoteProcess:
    """The zygote for this preload set and kind of network, started if there is none alive."""
    global _owner_pid
    with _lock:
        if _owner_pid != os.getpid():
            # A fork of the program that started them: they are its parent's and end with it.
            _zygotes.clear()
            _owner_pid = os.getpid()
        key = (preload, host_network)
        zygote = _zygotes.get(key)
        if zygote is None or not zygote.is_alive():
            zygote = _zygotes[key] = ZygoteProcess(preload)
        return zygote


def stop_zygotes() -> None:
    """End all zygotes of this process, and so all its sandboxes."""
    with _lock:
        if _owner_pid == os.getpid():
            for zygote in _zygotes.values():
                zygote.stop()
        _zygotes.clear()


def _forget_locks() -> None:
    global _lock
    _lock = threading.Lock()
    for zygote in _zygotes.values():
        zygote._kernels_lock = threading.Lock()


# Another thread may have held it at the fork.
os.register_at_fork(after_in_child=_forget_locks)
atexit.register(stop_zygotes)
