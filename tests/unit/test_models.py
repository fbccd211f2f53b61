"""What localbox adds to E2B's values: the report on walls."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from localbox import models
from localbox.models import Isolation, Wall

ISOLATION = Isolation(
    (
        Wall("seccomp", True, "286 calls allowed"),
        Wall("landlock", False, "this kernel has none"),
        Wall("pid-namespace", True),
    )
)


def test_isolation_separates_walls_that_stand_from_those_that_do_not():
    assert [wall.name for wall in ISOLATION.standing] == ["seccomp", "pid-namespace"]
    assert [wall.name for wall in ISOLATION.missing] == ["landlock"]


def test_a_missing_wall_is_not_in_the_isolation():
    assert "seccomp" in ISOLATION
    assert "landlock" not in ISOLATION
    assert "moat" not in ISOLATION


def test_isolation_prints_as_a_table():
    assert str(ISOLATION) == (
        "yes  seccomp        286 calls allowed\n"
        "NO   landlock       this kernel has none\n"
        "yes  pid-namespace"
    )


def test_isolation_without_walls_prints_nothing():
    assert str(Isolation(())) == ""


def test_isolation_cannot_be_talked_into_a_wall():
    with pytest.raises(dataclasses.FrozenInstanceError):
        ISOLATION.walls[1].stands = True  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        ISOLATION.walls = ()  # type: ignore[misc]


def test_iterating_over_isolation_gives_every_wall():
    assert tuple(ISOLATION) == ISOLATION.walls


def test_state_is_a_string_and_prints_as_one():
    assert models.SandboxState("running") is models.SandboxState.RUNNING
    assert models.SandboxState.RUNNING == "running"
    assert f"{models.SandboxState.PAUSED}" == str(models.SandboxState.PAUSED) == "paused"


def test_entry_info_can_be_built_by_position():
    now = datetime.now(UTC)
    entry = models.EntryInfo(
        "a", models.FileType.FILE, "/a", 1, 0o644, "rw-r--r--", "user", "user", now
    )
    assert (entry.size, entry.modified_time, entry.symlink_target, entry.metadata) == (
        1,
        now,
        None,
        None,
    )


def test_volume_mounts_are_not_shared_between_infos():
    fields = [field.name for field in dataclasses.fields(models.SandboxInfo)][:11]
    infos = [models.SandboxInfo(**dict.fromkeys(fields)) for _ in range(2)]
    infos[0].volume_mounts.append({"name": "v", "path": "/v"})
    assert infos[1].volume_mounts == []
