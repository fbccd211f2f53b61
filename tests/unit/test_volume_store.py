"""The store of volumes: programs that make and destroy them at once need no agreement."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localbox import VolumeException
from localbox.engine import volumes


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "volumes"


def attempt(name: str) -> str | None:
    try:
        return volumes.create(name).volume_id
    except VolumeException:
        return None


def test_of_many_that_make_a_volume_at_once_one_has_made_it(store: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        for number in range(20):
            made = [*threads.map(attempt, [f"v{number}"] * 8)]
            winners = [volume_id for volume_id in made if volume_id is not None]
            assert winners == [volumes.find_by_name(f"v{number}").volume_id]
    assert len(os.listdir(store)) == 20


def test_of_many_that_destroy_a_volume_at_once_one_has_destroyed_it(store: Path) -> None:
    def destroy(volume_id: str) -> bool:
        try:
            return volumes.destroy(volume_id)
        except VolumeException:
            # Another was just at it.
            return False

    with ThreadPoolExecutor(8) as threads:
        for _ in range(20):
            volume = volumes.create("data")
            (volume.content / "f").write_text("x")
            assert [*threads.map(destroy, [volume.volume_id] * 8)].count(True) == 1
            assert os.listdir(store) == []


def test_a_volume_on_its_way_is_not_swept_up(store: Path) -> None:
    """Others sweep all the time; what one has just made is there when it returns."""

    def make_and_destroy(number: int) -> None:
        for turn in range(20):
            volume = volumes.create(f"v{number}-{turn}")
            assert volumes.find_by_id(volume.volume_id) == volume
            assert volumes.destroy(volume.volume_id)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(make_and_destroy, range(4)))
    assert os.listdir(store) == []
