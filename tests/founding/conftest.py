"""What the tests of the founding document share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from localbox import Sandbox
from localbox.legacy import LegacyMethods
from tests import leftovers


class LegacySandbox(LegacyMethods, Sandbox):
    """Sandbox with the methods that the founding document takes for granted."""


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(_sandboxes_can_be_made: None) -> Iterator[None]:
    before = leftovers.holdings()
    yield
    leftovers.check_nothing_new(before)


@pytest.fixture
def sandbox() -> Iterator[LegacySandbox]:
    with LegacySandbox(timeout=120) as sandbox:
        yield sandbox
