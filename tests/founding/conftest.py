"""What the tests of the founding document share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localbox import Sandbox
from localbox.engine import registry
from tests import leftovers

SNIPPETS = Path(__file__).parent / "snippets"


@pytest.fixture(autouse=True)
def _leaves_nothing_behind(_sandboxes_can_be_made: None) -> Iterator[None]:
    before = leftovers.holdings()
    yield
    leftovers.check_nothing_new(before)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(timeout=120) as sandbox:
        yield sandbox


@pytest.fixture
def run_block(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., dict[str, Any]]]:
    """Run a block of the document in an empty directory, with what earlier blocks defined.

    Sandboxes that a block leaves to the end of the program end here.
    """
    monkeypatch.chdir(tmp_path)
    before = set(registry._records)

    def run(name: str, **defined: object) -> dict[str, Any]:
        path = SNIPPETS / f"{name}.py"
        namespace = {"__name__": name, **defined}
        exec(compile(path.read_text("utf-8"), path, "exec"), namespace)
        return namespace

    yield run
    for sandbox_id in set(registry._records) - before:
        Sandbox.kill(sandbox_id)
