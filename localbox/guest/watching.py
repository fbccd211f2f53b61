"""Watching directories: a process of its own for each watch, forked from the agent.

In the agent itself a program that makes files as fast as it can would take its time and memory.
Here it fills the kernel's queue, which is bounded, and loses the watch when that runs over. The
process ends with its exchange, and so with the handle on the host.
"""

from __future__ import annotations

import _signal
import _socket
import contextlib
import errno
import os
import select
from collections.abc import Callable

from localbox.guest import files
from localbox.guest.connection import Connection, error_message
from localbox.guest.watch_tree import Event, WatchedTree, WatchLostError
from localbox.protocol.frames import (
    MESSAGE,
    FrameDecoder,
    FrameError,
    Message,
    encode_message,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from localbox.guest.watch_tree import InotifyCalls

_SOCKET_FD = 3
# Events kept until the host asks for them, as they are heavy in a message. More stay in the
# kernel's queue, which holds fs.inotify.max_queued_events of them.
_KEPT_WEIGHT = 1024 * 1024
_ANSWER_WEIGHT = 8 * 1024 * 1024
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "ceph", "afs")


def watch(
    connection: Connection,
    path: str,
    request: Message,
    calls: InotifyCalls,
    close_from: Callable[[int], None],
) -> None:
    """Tell the host of changes below the directory `path` for as long as the exchange lasts.

    With `polled` in the request, when it asks; else as they happen.

    Raises:
        OSError: there is no such directory.
        ValueError: it is on a network file system, and that was not allowed.
    """
    info = os.stat(path)
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", path)
    if not request["network_mounts"]:
        with open("/proc/self/mountinfo", "rb") as file:
            kind = network_file_system(file.read(), info.st_dev)
        if kind:
            raise ValueError(
                f"path {path!r} is on a network file system ({kind}), which tells of few changes "
                "or none; watch it anyway with allow_network_mounts=True"
            )
    # Before the fork, for the epoll instance is one with the child's.
    sock = connection.detach()
    try:
        pid = os.fork()
    except BlockingIOError:
        answer = error_message(
            "no_resources", "cannot watch: the limit resources.pids of processes is reached"
        )
        with contextlib.suppress(OSError):
            sock.sendall(encode_message(answer))
        pid = -1
    if pid == 0:
        _run(sock, path, request, calls, close_from)
    sock.close()


def network_file_system(mountinfo: bytes, device: int) -> str | None:
    """The kind of file system a device number belongs to, if it is a network's or FUSE."""
    wanted = f"{os.major(device)}:{os.minor(device)}".encode()
    for line in mountinfo.splitlines():
        fields = line.split()
        if fields[2] == wanted:
            kind = fields[fields.index(b"-") + 1].decode("ascii", "replace")
            if kind in _NETWORK_FILE_SYSTEMS or kind.partition(".")[0] in ("fuse", "fuseblk"):
                return kind
    return None


def _run(
    sock: _socket.socket,
    path: str,
    request: Message,
    calls: InotifyCalls,
    close_from: Callable[[int], None],
) -> NoReturn:
    try:
        _signal.set_wakeup_fd(-1)
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        # Not the agent's other descriptors: a command whose standard input we held open would
        # never read its end.
        os.dup2(sock.detach(), _SOCKET_FD, inheritable=False)
        close_from(_SOCKET_FD + 1)
        sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, _SOCKET_FD)
        try:
            tree = WatchedTree(calls, path, recursive=request["recursive"])
            sock.sendall(encode_message({"watching": True}))
            _Watch(sock, tree, with_entries=request["entries"]).run(polled=request["polled"])
        except WatchLostError as error:
            sock.sendall(encode_message(error_message(error.kind, str(error))))
    except (OSError, FrameError):
        pass  # the host has let go
    finally:
        os._exit(0)


class _Watch:
    def __init__(self, sock: _socket.socket, tree: WatchedTree, *, with_entries: bool) -> None:
        self._sock = sock
        self._tree = tree
        self._with_entries = with_entries
        self._source = tree.events()
        # Whether the source may have more though the kernel's queue is empty: in a directory that
        # is being looked through.
        self._more = False
        self._kept: list[Message] = []
        self._kept_weight = 0

    def run(self, *, polled: bool) -> None:
        """Serve until the host hangs up, which is an OSError or a return."""
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        poll.register(self._tree.fd, select.POLLIN)
        decoder = FrameDecoder()
        watching = True
        while True:
            ready = dict(poll.poll(0 if self._more and watching else None))
            if self._sock.fileno() in ready:
                data = self._sock.recv(4096)
                if not data:
                    return
                for kind, _payload in decoder.feed(data):
                    if kind == MESSAGE and polled:
                        self._tell(_ANSWER_WEIGHT)
                        self._sock.sendall(encode_message({"told": True}))
            elif not polled:
                self._tell(_KEPT_WEIGHT)
            else:
                self._collect(_KEPT_WEIGHT)
            if watching != (self._kept_weight < _KEPT_WEIGHT):
                watching = not watching
                poll.modify(self._tree.fd, select.POLLIN if watching else 0)

    def _collect(self, up_to_weight: int) -> None:
        self._more = True
        while self._kept_weight < up_to_weight:
            event = next(self._source)
            if event is None:
                self._more = False
                return
            described = self._describe(event)
            self._kept.append(described)
            self._kept_weight += _weight(described)

    def _tell(self, at_most_weight: int) -> None:
        """Send what there is, in messages of moderate size. Waits for a host that is slow."""
        while self._kept or at_most_weight > 0:
            self._collect(files.BATCH_WEIGHT)
            if not self._kept:
                return
            at_most_weight -= self._kept_weight
            for batch in files.batched(self._kept, _weight):
                self._sock.sendall(encode_message({"events": batch}))
            self._kept.clear()
            self._kept_weight = 0

    def _describe(self, event: Event) -> Message:
        name, kind = event
        entry = None
        if self._with_entries:
            with contextlib.suppress(OSError):
                entry = files.describe(self._tree.path_of(name))
        return {"name": name, "type": kind, "entry": entry}


def _weight(event: Message) -> int:
    entry = event["entry"]
    return 64 + len(event["name"]) + (files.weight(entry) if entry is not None else 0)
