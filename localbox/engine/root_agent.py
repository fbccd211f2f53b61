"""The agent of a sandbox's root, as the client knows it: there is none before somebody asks."""

from __future__ import annotations

import dataclasses
import select

from localbox.engine.contexts import Baton
from localbox.errors import AuthenticationException, ProtocolError
from localbox.models import Isolation
from localbox.policy import Policy
from localbox.protocol.frames import Message
from localbox.transport.wire import Rendezvous

ROOT = "root"
_CAPABILITIES = "capabilities"


class RootAgent:
    """
    Attributes:
        rendezvous: where it takes new exchanges from; None before it is there.
        turn: whoever holds it may have it made.
    """

    def __init__(self) -> None:
        self.rendezvous: Rendezvous | None = None
        self.turn = Baton()

    def is_there(self) -> bool:
        """Whether it has been made and lives. Root inside can kill it, being the same user."""
        rendezvous = self.rendezvous
        if rendezvous is None:
            return False
        poll = select.poll()
        poll.register(rendezvous.fileno(), 0)
        return not poll.poll(0)


def check_policy(policy: Policy) -> None:
    """
    Raises:
        AuthenticationException: sandboxes of this policy have no root.
    """
    if not policy.process.root_user:
        raise AuthenticationException(
            f'there is no user "root" in this sandbox: profile {policy.name!r} has '
            "process.root_user: false"
        )


def with_root(isolation: Isolation, answer: Message) -> Isolation:
    """What stands around a sandbox once its root's agent has said what that may do.

    Raises:
        ProtocolError: it did not say.
    """
    ready = answer.get("ready")
    names = ready.get("capabilities") if isinstance(ready, dict) else None
    if not isinstance(names, list):
        raise ProtocolError("the agent of root did not report its capabilities")
    detail = f"user: none, and none to be had; root: {', '.join(map(str, names))} over its own ids"
    return Isolation(
        tuple(
            dataclasses.replace(wall, detail=detail) if wall.name == _CAPABILITIES else wall
            for wall in isolation.walls
        )
    )
