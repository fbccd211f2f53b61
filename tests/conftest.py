"""Fixtures for every test."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The async client speaks asyncio; trio is not promised."""
    return "asyncio"
