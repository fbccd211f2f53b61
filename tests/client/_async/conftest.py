"""What the tests of the client share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from localbox import AsyncSandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[AsyncSandbox]:
    async with await AsyncSandbox.create(timeout=120) as sandbox:
        yield sandbox
