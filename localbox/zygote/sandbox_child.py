"""The life of one sandbox from clone3 on: put the walls up, then be its agent."""

from __future__ import annotations

import _socket
import os

from localbox.confinement import syscalls
from localbox.confinement.program import Program
from localbox.confinement.walls import WallFailure
from localbox.guest.agent import Agent
from localbox.guest.python import STATUS_FD
from localbox.protocol.frames import encode_message
from localbox.zygote.sandbox_walls import RENDEZVOUS_FD, REPLY_FD

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn


class Birth:
    """What a child needs of its zygote.

    Args:
        fds: what goes to RENDEZVOUS_FD, REPLY_FD, GO_FD, ZYGOTE_FD and FIRST_LOWER_FD onwards.
        program: the walls.
        settings: of the agent.
        ready: the message to send once the walls stand.
    """

    def __init__(
        self, fds: tuple[int, ...], program: Program, settings: dict[str, Any], ready: bytes
    ) -> None:
        self.fds = fds
        self.program = program
        self.settings = settings
        self.ready = ready


def run_sandbox(birth: Birth) -> NoReturn:
    """Build every wall, tell the host which stand, and be its agent. Runs in the child."""
    try:
        # Nothing of ours is at these numbers, so the order does not matter.
        for target, fd in enumerate(birth.fds, start=RENDEZVOUS_FD):
            os.dup2(fd, target, inheritable=False)
        reply = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, REPLY_FD)
        try:
            birth.program.run()
        except WallFailure as failure:
            reply.sendall(encode_message({"error": failure.to_message()}))
            os._exit(1)
        agent = Agent(
            _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, RENDEZVOUS_FD),
            birth.settings,
            _become_guest,
            syscalls.set_window_size,
            syscalls.WATCH_CALLS,
        )
        reply.sendall(birth.ready)
        reply.close()
        agent.run()
    finally:
        os._exit(1)


def _become_guest() -> None:
    """What a process forked from the agent does before it is guest code's.

    All of the agent's descriptors but the standard ones go: its epoll, the host's sockets, other
    commands' pipes. And the agent is closed to readers of /proc/PID; programs read their own.
    """
    syscalls.become_guest(STATUS_FD + 1)
