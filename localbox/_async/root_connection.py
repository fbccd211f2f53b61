"""The way to the agent of a sandbox's root, and to all the agents that a sandbox has."""

from __future__ import annotations

import socket

from localbox._async.connection import AsyncConnection
from localbox.engine import registry
from localbox.engine.answers import read_answer
from localbox.engine.root_agent import ROOT, check_policy, with_root
from localbox.errors import AuthenticationException, SandboxException, TimeoutException
from localbox.protocol.frames import Message
from localbox.transport import asyncio as transport
from localbox.transport.wire import PeerGoneError, rendezvous_pair


class AsyncRootConnection(AsyncConnection):
    """As AsyncConnection; what is asked for is done by uid 0 of the sandbox."""

    @property
    def rendezvous(self) -> socket.socket:
        return registry.root_of(self.record).rendezvous or registry.NOBODY

    def agents(self) -> list[AsyncConnection]:
        return [self]

    async def why_gone(self) -> SandboxException:
        info = await self.ask_zygote({"op": "info"})
        if not info["running"]:
            return await super().why_gone()
        # It may still be dying: its sockets are closed one after the other.
        registry.root_of(self.record).rendezvous = None
        return SandboxException(
            f"the agent of root in sandbox {self.record.sandbox_id} has ended: a process of root's "
            "killed it, or the sandbox's memory ran out. The next call starts another"
        )

    async def start(self) -> None:
        """Have the agent made, if there is none.

        Raises:
            AuthenticationException: this sandbox has no root; the message says why.
            SandboxNotRunningException: it has ended.
            WallError: a wall could not be built.
        """
        if self.record.may_be_paused:
            await self.wake()
        root = registry.root_of(self.record)
        if root.is_there():
            return
        deadline = self.request_deadline(None)
        try:
            await transport.take(root.turn, deadline)
            try:
                if not root.is_there():
                    await self._make(deadline)
            finally:
                root.turn.give_back()
        except TimeoutError:
            raise TimeoutException("the agent of root was not ready in time") from None

    async def _make(self, deadline: float | None) -> None:
        ours, theirs = rendezvous_pair()
        request: Message = {"op": "root_agent", "id": self.record.sandbox_id}
        try:
            exchange = await transport.open_exchange(
                self.record.zygote.rendezvous, request, (theirs.fileno(),), deadline
            )
        except PeerGoneError:
            raise await self.why_gone() from None
        finally:
            theirs.close()
        async with exchange:
            try:
                answer = read_answer(await exchange.receive(deadline))
            except PeerGoneError:
                raise await self.why_gone() from None
        if "ready" not in answer:
            raise await super().why_gone()
        isolation = with_root(self.record.isolation, answer)
        if self.record.envs:
            # Not with the order; see sandbox_birth.py.
            variables = {"op": "set_env", "env": dict(self.record.envs)}
            async with await transport.open_exchange(ours, variables, (), deadline) as exchange:
                read_answer(await exchange.receive(deadline))
        self.record.isolation = isolation
        registry.root_of(self.record).rendezvous = ours


async def connect_as(connection: AsyncConnection, user: str) -> AsyncConnection:
    """See AsyncConnection.as_user."""
    if user != ROOT:
        raise AuthenticationException(f"there is no user {user!r} in this sandbox")
    check_policy(connection.record.policy)
    root = AsyncRootConnection(connection.record, connection.request_timeout)
    await root.start()
    return root


def all_agents(connection: AsyncConnection) -> list[AsyncConnection]:
    """See AsyncConnection.agents."""
    agents = [connection]
    if registry.root_of(connection.record).is_there():
        agents.append(AsyncRootConnection(connection.record, connection.request_timeout))
    return agents
