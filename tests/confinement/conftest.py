"""What the attacks share: a sandbox to attack from, and a host worth attacking."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox import Sandbox

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.confinement)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.create(timeout=120) as sandbox:
        yield sandbox


@pytest.fixture(params=["default", "strict"])
def any_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """In each profile that is meant to hold."""
    with Sandbox.create(profile=request.param, timeout=120) as sandbox:
        yield sandbox
