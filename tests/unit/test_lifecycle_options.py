"""`lifecycle=`, `mode=` and `on_resume=`: E2B's words, and what they decide."""

from __future__ import annotations

from typing import Any

import pytest

from localbox import InvalidArgumentException
from localbox.engine.lifecycle import Lifecycle, check_on_resume, resolve_lifecycle, resolve_mode


@pytest.mark.parametrize(
    ("lifecycle", "decided"),
    [
        ({}, Lifecycle("kill", "full", auto_resume=False)),
        ({"on_timeout": None}, Lifecycle("kill", "full", auto_resume=False)),
        ({"on_timeout": "kill"}, Lifecycle("kill", "full", auto_resume=False)),
        ({"on_timeout": {"action": "kill"}}, Lifecycle("kill", "full", auto_resume=False)),
        ({"on_timeout": "pause"}, Lifecycle("pause", "full", auto_resume=False)),
        (
            {"on_timeout": "pause", "auto_resume": True},
            Lifecycle("pause", "full", auto_resume=True),
        ),
        (
            {"on_timeout": {"action": "pause", "mode": "filesystem"}},
            Lifecycle("pause", "filesystem", auto_resume=False),
        ),
        (
            {"on_timeout": {"action": "pause", "keep_memory": False}},
            Lifecycle("pause", "filesystem", auto_resume=False),
        ),
    ],
)
def test_a_lifecycle_is_decided(lifecycle: dict[str, Any], decided: Lifecycle) -> None:
    assert resolve_lifecycle(lifecycle) == decided


@pytest.mark.parametrize(
    "lifecycle", [{"on_timout": "pause"}, {"on_timeout": {"action": "pause", "modes": "full"}}]
)
def test_a_key_that_is_mistyped_is_not_ignored(lifecycle: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentException, match="unknown key"):
        resolve_lifecycle(lifecycle)


def test_a_lifecycle_is_a_mapping() -> None:
    lifecycle: Any = "pause"
    with pytest.raises(InvalidArgumentException, match="must be a dict"):
        resolve_lifecycle(lifecycle)


def test_keep_memory_is_the_older_word_for_the_mode() -> None:
    assert resolve_mode("mode", None, None) == "full"
    assert resolve_mode("mode", None, True) == "full"
    assert resolve_mode("mode", None, False) == "filesystem"
    assert resolve_mode("mode", "filesystem", None) == "filesystem"
    with pytest.raises(InvalidArgumentException, match="not both"):
        resolve_mode("mode", "full", True)


def test_a_way_back_is_one_of_two() -> None:
    assert check_on_resume("reboot")
    assert not check_on_resume("restore")
    assert not check_on_resume(None)
    with pytest.raises(InvalidArgumentException, match='must be "restore" or "reboot"'):
        check_on_resume("again")
