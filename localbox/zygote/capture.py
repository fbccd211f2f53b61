"""What the zygote has done by a child of its own about layers: copying, joining and syncing them.

The child goes into a sandbox's user and mount namespaces, but not into its pid namespace, where
guest code could see it, and runs nothing of the guest's. Into the layer's directory leads one
descriptor, which the host has opened.
"""

from __future__ import annotations

import _socket
import os
import select
import signal

from localbox.confinement import syscalls
from localbox.confinement.layer_copy import Abandoned, CopyError, LayerCopy
from localbox.confinement.layer_merge import merge_layers
from localbox.confinement.root_template import STAGE, WORKSHOP
from localbox.protocol.frames import Message, encode_message

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def run_errand(
    request: Message, reply: _socket.socket, target_fd: int, sandbox_fd: int, zygote_pid: int
) -> NoReturn:
    """Do what is asked, answer, and end. Runs in the child.

    Args:
        target_fd: what the host has passed.
        sandbox_fd: pidfd of the sandbox's PID 1; -1 if it is not about a sandbox.
    """
    try:
        _end_with(zygote_pid)
        try:
            if request["op"] == "capture":
                answer = _capture(request, reply, target_fd, sandbox_fd, zygote_pid)
            elif request["op"] == "merge_layers":
                answer = merge_layers(request["layers"], target_fd, request["target"])
            else:
                syscalls.syncfs(target_fd)
                answer = {"ok": True}
        except CopyError as error:
            answer = {"error": {"kind": error.kind, "message": str(error)}}
        except OSError as error:
            text = f"cannot {request['op']} the sandbox's files: {error}"
            answer = {"error": {"kind": "internal", "errno": error.errno, "message": text}}
        reply.setblocking(True)
        reply.sendall(encode_message(answer))
    except Abandoned:
        pass
    finally:
        os._exit(0)


def _end_with(zygote_pid: int) -> None:
    syscalls.set_parent_death_signal(signal.SIGKILL)
    if os.getppid() != zygote_pid:
        os._exit(1)


def _capture(
    request: Message, reply: _socket.socket, target_fd: int, sandbox_fd: int, zygote_pid: int
) -> Message:
    syscalls.setns(sandbox_fd, syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    # New capabilities clear it.
    _end_with(zygote_pid)
    # A copy of the namespace, of which the cover of the workshop can be taken away.
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.umount2(WORKSHOP, syscalls.MNT_DETACH)
    hang_up = select.poll()
    hang_up.register(reply.fileno(), select.POLLRDHUP)
    copy = LayerCopy(
        target_fd,
        request["most_bytes"],
        request["most_files"],
        lambda: bool(hang_up.poll(0)),
    )
    parts: list[tuple[str, str, int]] = []
    for guest_path, directory in request["parts"]:
        name = str(len(parts))
        mode = copy.copy_tree(os.open(f"{STAGE}/{directory}", _DIRECTORY), name)
        if mode is not None:
            parts.append((guest_path, name, mode))
    return {"parts": parts, "bytes": copy.bytes, "files": copy.files, "skipped": copy.skipped}
