"""These tests make sandboxes, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _with_sandboxes(_sandboxes_can_be_made: None) -> None:
    pass


@pytest.fixture
def open_directory(tmp_path: Path) -> Path:
    """A directory that sandboxes started by root may use too: they own nothing on the host."""
    directory = tmp_path / "open"
    directory.mkdir()
    directory.chmod(0o777)
    return directory
