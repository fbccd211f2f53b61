"""The history of samples: how long it is, and what it makes of processor time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localbox.zygote import metrics
from localbox.zygote.control import Control

MIB = 1 << 20


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What the sandbox has used, for tests to change."""
    amounts = {"cpu_s": 0.0, "memory": 0}
    monkeypatch.setattr(metrics, "processes", lambda _sandbox: [])
    monkeypatch.setattr(metrics, "used_cpu_s", lambda _pids: amounts["cpu_s"])
    monkeypatch.setattr(metrics, "memory_of", lambda _sandbox: {1: amounts["memory"]})
    monkeypatch.setattr(metrics, "_disk", lambda _sandbox: (100, 10))
    return amounts


def sandbox_since(started: float) -> Any:
    return SimpleNamespace(started=started, metrics=None, paused=False)


def test_each_row_has_the_processors_used_since_the_one_before(used: dict[str, float]) -> None:
    sandbox = sandbox_since(100.0)
    used.update(cpu_s=5.0, memory=MIB)
    metrics.record(sandbox, 105.0)
    used.update(cpu_s=15.0, memory=3 * MIB)
    rows = metrics.history(sandbox, 110.0)
    assert [row[1:] for row in rows] == [[1.0, MIB, 10], [2.0, 3 * MIB, 10]]


def test_a_sample_that_is_fresh_is_not_taken_again(used: dict[str, float]) -> None:
    sandbox = sandbox_since(100.0)
    metrics.record(sandbox, 105.0)
    assert len(metrics.history(sandbox, 105.1)) == 1
    assert len(metrics.history(sandbox, 106.0)) == 2
    assert len(sandbox.metrics.samples) == 1


def test_a_process_that_takes_its_time_with_it_is_no_negative_use(used: dict[str, float]) -> None:
    sandbox = sandbox_since(100.0)
    used["cpu_s"] = 5.0
    metrics.record(sandbox, 105.0)
    used["cpu_s"] = 1.0
    assert metrics.history(sandbox, 110.0)[-1][1] == 0.0


def test_the_history_is_an_hour_long_at_most(used: dict[str, float]) -> None:
    sandbox = sandbox_since(0.0)
    for number in range(1000):
        metrics.record(sandbox, number * metrics.INTERVAL_S)
    assert len(sandbox.metrics.samples) == 3600 / metrics.INTERVAL_S


def test_all_sandboxes_are_sampled_but_not_all_at_once(used: dict[str, float]) -> None:
    control = Control(SimpleNamespace())  # type: ignore[arg-type]
    sandboxes = [sandbox_since(0.0) for _ in range(500)]
    sandboxes[0].paused = True
    most = 0
    now = 10.0
    while now < 10.0 + metrics.INTERVAL_S:
        before = sum(sandbox.metrics is not None for sandbox in sandboxes)
        control.look(sandboxes, now)
        most = max(most, sum(sandbox.metrics is not None for sandbox in sandboxes) - before)
        now += 0.1
    assert sum(sandbox.metrics is None for sandbox in sandboxes) == 1
    assert most < 20
