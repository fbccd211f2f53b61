"""A server in a thread of the tests' program, and E2B's own SDKs, unmodified, that find it."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator

import e2b
import pytest

import localbox
from localbox.server.run import Server
from tests import leftovers


@pytest.fixture(scope="session")
def server(_sandboxes_can_be_made: None) -> Iterator[Server]:
    """One for all tests, as people run it."""
    with localbox.serve(port=0) as running:
        yield running


@pytest.fixture(autouse=True)
def _sdks_come_here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("E2B_DEBUG", "E2B_DOMAIN", "E2B_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def _leaves_no_sandbox_behind(server: Server) -> Iterator[None]:
    """As tests/conftest.py has it, but for descriptors: SDKs keep connections for the next call."""
    before = dataclasses.replace(leftovers.holdings(), descriptors=frozenset())
    yield

    def nothing_new() -> bool:
        return not dataclasses.replace(leftovers.holdings(), descriptors=frozenset()).beyond(before)

    leftovers.wait_until(nothing_new, "processes, mounts, cgroups or directories are left behind")


@pytest.fixture
def sandbox(_leaves_no_sandbox_behind: None, _sdks_come_here: None) -> Iterator[e2b.Sandbox]:
    """E2B's own sandbox object."""
    made = e2b.Sandbox.create(timeout=60)
    yield made
    made.kill()


@pytest.fixture
async def async_sandbox(
    _leaves_no_sandbox_behind: None, _sdks_come_here: None
) -> AsyncIterator[e2b.AsyncSandbox]:
    """The same, asynchronous."""
    made = await e2b.AsyncSandbox.create(timeout=60)
    yield made
    await made.kill()
