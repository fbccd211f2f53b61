"""What the server has: its sandboxes, each with the token that opens it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from localbox import AsyncSandbox
from localbox.engine import registry
from localbox.errors import RateLimitException
from localbox.policy import Policy
from localbox.server.errors import Refusal, SandboxGone

# Features of the SDK are gated on it.
ENVD_VERSION = "0.6.13"


@dataclass
class Served:
    """One sandbox.

    Attributes:
        token: envd's access token, unique: signed addresses name no sandbox, it tells them apart.
        envs: as given at its creation; `GET /envs` gives them back.
        notes: for other modules to keep what belongs to this sandbox, under their own names.
    """

    sandbox: AsyncSandbox
    envs: Mapping[str, str] = field(default_factory=dict)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def sandbox_id(self) -> str:
        return self.sandbox.sandbox_id


@dataclass
class State:
    """What all requests share; the server's one event loop is the only one to touch it."""

    api_key: str
    profile: str | Policy | None = None
    max_sandboxes: int | None = None
    # Tokens of volumes are made with it.
    volume_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    # Where it listens.
    host: str = "127.0.0.1"
    # What clients are told to find a sandbox's ports at: `{port}-{id}.{domain}`.
    domain: str = "localhost"
    sandboxes: dict[str, Served] = field(default_factory=dict)
    _on_their_way: int = 0
    _is_closing: bool = False

    async def find(self, sandbox_id: str) -> Served:
        """
        Raises:
            SandboxGone: there is none by that id, or it has ended.
        """
        served = self.sandboxes.get(sandbox_id)
        if served is not None:
            # Nobody tells of a timeout, but the sandbox's socket hangs up.
            registry.sweep()
            if registry.find(sandbox_id) is not None:
                return served
            del self.sandboxes[sandbox_id]
        raise SandboxGone(sandbox_id)

    def add(self, sandbox: AsyncSandbox, envs: Mapping[str, str]) -> Served:
        served = self.sandboxes[sandbox.sandbox_id] = Served(sandbox, dict(envs))
        return served

    def forget_ended(self) -> None:
        """Drop what has ended by itself."""
        registry.sweep()
        for sandbox_id in [*self.sandboxes]:
            if registry.find(sandbox_id) is None:
                del self.sandboxes[sandbox_id]

    def reserve(self, count: int = 1) -> Reservation:
        """Room for sandboxes that are about to be made, to be used as a `with` block.

        Raises:
            RateLimitException: there are as many as there may be.
            Refusal: the server is about to end.
        """
        if self._is_closing:
            raise Refusal(500, "this server is ending")
        if self.max_sandboxes is not None:
            self.forget_ended()
            if len(self.sandboxes) + self._on_their_way + count > self.max_sandboxes:
                raise RateLimitException(
                    f"this server runs at most {self.max_sandboxes} sandboxes (--max-sandboxes)"
                )
        return Reservation(self, count)

    async def end_all(self) -> None:
        """End every sandbox of this server, which makes no more."""
        self._is_closing = True
        ending = [*self.sandboxes.values()]
        self.sandboxes.clear()
        await asyncio.gather(*(served.sandbox.kill() for served in ending), return_exceptions=True)


class Reservation:
    """Counts sandboxes that are being made, so that a crowd cannot pass the limit together."""

    def __init__(self, state: State, count: int) -> None:
        self._state = state
        self._count = count

    def __enter__(self) -> None:
        self._state._on_their_way += self._count

    def __exit__(self, *_exc: object) -> None:
        self._state._on_their_way -= self._count
