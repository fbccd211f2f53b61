# generated from tests/client/_async/conftest.py by scripts/unasync.py; edit that, not this
"""What the tests of the client share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox.create(timeout=120) as sandbox:
        yield sandbox
