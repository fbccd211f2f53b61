# generated from localbox/_async/root_connection.py by scripts/unasync.py; edit that, not this
"""The way to the agent of a sandbox's root, and to all the agents that a sandbox has."""

from __future__ import annotations

import socket

from localbox._sync.connection import Connection
from localbox.engine import registry
from localbox.engine.answers import read_answer
from localbox.engine.root_agent import ROOT, check_policy, with_root
from localbox.errors import AuthenticationException, SandboxException, TimeoutException
from localbox.protocol.frames import Message
from localbox.transport import blocking as transport
from localbox.transport.wire import PeerGoneError, rendezvous_pair


class RootConnection(Connection):
    """As Connection; what is asked for is done by uid 0 of the sandbox."""

    @property
    def rendezvous(self) -> socket.socket:
        return registry.root_of(self.record).rendezvous or registry.NOBODY

    def agents(self) -> list[Connection]:
        return [self]

    def why_gone(self) -> SandboxException:
        info = self.ask_zygote({"op": "info"})
        if not info["running"]:
            return super().why_gone()
        # It may still be dying: its sockets are closed one after the other.
        registry.root_of(self.record).rendezvous = None
        return SandboxException(
            f"the agent of root in sandbox {self.record.sandbox_id} has ended: a process of root's "
            "killed it, or the sandbox's memory ran out. The next call starts another"
        )

    def start(self) -> None:
        """Have the agent made, if there is none.

        Raises:
            AuthenticationException: this sandbox has no root; the message says why.
            SandboxNotRunningException: it has ended.
            WallError: a wall could not be built.
        """
        if self.record.may_be_paused:
            self.wake()
        root = registry.root_of(self.record)
        if root.is_there():
            return
        deadline = self.request_deadline(None)
        try:
            transport.take(root.turn, deadline)
            try:
                if not root.is_there():
                    self._make(deadline)
            finally:
                root.turn.give_back()
        except TimeoutError:
            raise TimeoutException("the agent of root was not ready in time") from None

    def _make(self, deadline: float | None) -> None:
        ours, theirs = rendezvous_pair()
        request: Message = {"op": "root_agent", "id": self.record.sandbox_id}
        try:
            exchange = transport.open_exchange(
                self.record.zygote.rendezvous, request, (theirs.fileno(),), deadline
            )
        except PeerGoneError:
            raise self.why_gone() from None
        finally:
            theirs.close()
        with exchange:
            try:
                answer = read_answer(exchange.receive(deadline))
            except PeerGoneError:
                raise self.why_gone() from None
        if "ready" not in answer:
            raise super().why_gone()
        isolation = with_root(self.record.isolation, answer)
        if self.record.envs:
            # Not with the order; see sandbox_birth.py.
            variables = {"op": "set_env", "env": dict(self.record.envs)}
            with transport.open_exchange(ours, variables, (), deadline) as exchange:
                read_answer(exchange.receive(deadline))
        self.record.isolation = isolation
        registry.root_of(self.record).rendezvous = ours


def connect_as(connection: Connection, user: str) -> Connection:
    """See Connection.as_user."""
    if user != ROOT:
        raise AuthenticationException(f"there is no user {user!r} in this sandbox")
    check_policy(connection.record.policy)
    root = RootConnection(connection.record, connection.request_timeout)
    root.start()
    return root


def all_agents(connection: Connection) -> list[Connection]:
    """See Connection.agents."""
    agents = [connection]
    if registry.root_of(connection.record).is_there():
        agents.append(RootConnection(connection.record, connection.request_timeout))
    return agents
