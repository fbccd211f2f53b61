"""A client's way to one sandbox: exchanges with its agent, and with the zygote about it."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from localbox.engine.answers import read_answer
from localbox.engine.base_root import USER
from localbox.engine.creation import check_timeout
from localbox.engine.registry import SandboxRecord
from localbox.errors import (
    InvalidArgumentException,
    ProtocolError,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)
from localbox.protocol.frames import FrameError, Message
from localbox.transport import asyncio as transport
from localbox.transport.wire import PeerGoneError, ProtocolViolationError

REQUEST_TIMEOUT_S = 60.0
# How much longer than the agent's own deadline to wait for its word about it.
GRACE_S = 5.0


class AsyncConnection:
    def __init__(self, record: SandboxRecord, request_timeout: float | None) -> None:
        self.record = record
        self.request_timeout = request_timeout

    @property
    def rendezvous(self) -> socket.socket:
        """Where the agent takes new exchanges from."""
        return self.record.rendezvous

    def request_deadline(self, request_timeout: float | None) -> float | None:
        """The moment a request must be answered by, on the monotonic clock; 0 s means never."""
        if request_timeout is None:
            request_timeout = self.request_timeout
        if request_timeout is None:
            request_timeout = REQUEST_TIMEOUT_S
        timeout_s = check_timeout(request_timeout, "request_timeout", zero_is_none=True)
        return None if timeout_s is None else time.monotonic() + timeout_s

    @asynccontextmanager
    async def exchange(
        self, request: Message, deadline: float | None
    ) -> AsyncIterator[transport.Exchange]:
        """An exchange with the agent; what goes wrong in the block becomes E2B's exceptions.

        Raises:
            SandboxNotRunningException: the sandbox has ended or is paused; the message says why.
            TimeoutException: no answer in time.
            InvalidArgumentException: the request is longer than a request can be.
            ProtocolError: the agent sent nonsense.
        """
        if self.record.may_be_paused:
            await self.wake()
        if self.record.root is not None and "pid" in request:
            owner = await self._owner_of(request["pid"], deadline)
            if owner is not self:
                async with owner.exchange(request, deadline) as exchange:
                    yield exchange
                return
        try:
            exchange = await transport.open_exchange(self.rendezvous, request, (), deadline)
            async with exchange:
                yield exchange
        except PeerGoneError:
            raise await self.why_gone() from None
        except TimeoutError:
            raise await self._why_late() from None
        except FrameError as error:
            raise InvalidArgumentException(f"the request is too long: {error}") from None
        except ProtocolViolationError as error:
            raise ProtocolError(str(error)) from None

    async def ask(self, request: Message, request_timeout: float | None = None) -> Message:
        """One request, one answer."""
        deadline = self.request_deadline(request_timeout)
        async with self.exchange(request, deadline) as exchange:
            return read_answer(await exchange.receive(deadline))

    async def ask_zygote(
        self,
        request: Message,
        request_timeout: float | None = None,
        fds: tuple[int, ...] = (),
    ) -> Message:
        """One question about the sandbox; a zygote that is gone answers that nothing runs."""
        deadline = self.request_deadline(request_timeout)
        request = {**request, "id": self.record.sandbox_id}
        try:
            exchange = await transport.open_exchange(
                self.record.zygote.rendezvous, request, fds, deadline
            )
            async with exchange:
                return read_answer(await exchange.receive(deadline))
        except (PeerGoneError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise TimeoutException("the zygote did not answer in time") from None
            return {"running": False, "killed": False, "reason": "its zygote has ended"}

    async def as_user(self, user: str | None) -> AsyncConnection:
        """The connection on which requests are done as `user`: "user", which None means, or "root".

        Root's agent is made when it is first asked for.

        Raises:
            AuthenticationException: this sandbox has no such user; the message says why.
        """
        if user is None or user in ("", USER):
            return self
        from localbox._async.root_connection import connect_as

        return await connect_as(self, user)

    def agents(self) -> list[AsyncConnection]:
        """A connection to each agent there is, the user's first: a process is one agent's own."""
        if self.record.root is None:
            return [self]
        from localbox._async.root_connection import all_agents

        return all_agents(self)

    async def _owner_of(self, pid: int, deadline: float | None) -> AsyncConnection:
        """The connection to the agent that has started process `pid`.

        The user's is asked, whether or not there is another: root can stop its own.
        """
        first, *others = self.agents()
        if not others:
            return first
        async with first.exchange({"op": "list_processes"}, deadline) as exchange:
            listed = read_answer(await exchange.receive(deadline)).get("processes")
        for process in listed if isinstance(listed, list) else ():
            if isinstance(process, dict) and process.get("pid") == pid:
                return first
        return others[0]

    async def wake(self) -> None:
        """See that the sandbox is not paused; resume it if its lifecycle says so.

        Raises:
            SandboxNotRunningException: it is paused.
        """
        lifecycle = self.record.lifecycle
        resumes = lifecycle is not None and lifecycle.auto_resume
        answer = await self.ask_zygote({"op": "awake", "resume": resumes})
        if answer.get("paused"):
            raise self._paused()

    async def is_paused(self) -> bool:
        """Whether it is paused, and its agent therefore cannot answer."""
        return bool((await self.ask_zygote({"op": "info"})).get("paused"))

    def _paused(self) -> SandboxNotRunningException:
        # A fork of the program that paused it finds out here.
        self.record.may_be_paused = True
        return SandboxNotRunningException(
            f"sandbox {self.record.sandbox_id} is not running: it is paused; connect() resumes it"
        )

    async def _why_late(self) -> TimeoutException:
        # It may have been paused after it was asked.
        if await self.is_paused():
            return self._paused()
        return TimeoutException(
            f"sandbox {self.record.sandbox_id} did not answer in time; see request_timeout"
        )

    async def why_gone(self) -> SandboxException:
        """What to raise when its agent does not talk to us any more."""
        info = await self.ask_zygote({"op": "info"})
        if info.get("paused"):
            return self._paused()
        # Running: it is being reaped this moment, or its agent closed the exchange by itself.
        reason = "it is ending" if info["running"] else info["reason"] or "it has ended"
        return SandboxNotRunningException(
            f"sandbox {self.record.sandbox_id} is not running: {reason}"
        )


def close_quietly(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
