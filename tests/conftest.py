"""Fixtures for every test."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from localbox import Sandbox, WallError
from localbox.engine import zygote_process
from tests import leftovers

# A spare would be a process that no test has made; tests/client/test_pool.py wants some.
os.environ["LOCALBOX_POOL"] = "0"

# What outlives a program: a test that sets no directory of its own must not find the user's.
_DATA = tempfile.TemporaryDirectory(prefix="lb-data-", ignore_cleanup_errors=True)
os.environ["LOCALBOX_DATA_DIR"] = _DATA.name

# Directories whose tests make sandboxes.
_WITH_SANDBOXES = {"client", "confinement", "templates"}


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The async client speaks asyncio; trio is not promised."""
    return "asyncio"


@pytest.fixture(scope="session")
def _sandboxes_can_be_made() -> Iterator[None]:
    """Start the zygote once, and skip where the kernel does not let it do its work."""
    try:
        Sandbox.create(timeout=60).kill()
    except WallError as error:
        # CI promises a machine on which everything can be tested.
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"no sandbox can be made here: {error}")
    yield
    zygote_process.stop_zygotes()


@pytest.fixture(scope="module", autouse=True)
def _only_what_is_new_is_collected() -> None:
    """Looking for leftovers collects garbage, and all of pytest's objects are looked at each time.

    Half the time of the whole suite went there.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """After the test, and after its other fixtures: nothing is left of its sandboxes."""
    if not _WITH_SANDBOXES & set(Path(request.path).parts):
        yield
        return
    request.getfixturevalue("_sandboxes_can_be_made")
    before = leftovers.holdings()
    yield
    leftovers.check_nothing_new(before)
