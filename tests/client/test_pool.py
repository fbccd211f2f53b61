"""Spare sandboxes: as good as new ones, only sooner."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from localbox import Sandbox
from localbox.engine import zygote_process
from localbox.engine.pool import Spare
from tests import leftovers


@pytest.fixture(autouse=True)
def _pool(monkeypatch: pytest.MonkeyPatch, _leaves_nothing_behind: None) -> Iterator[None]:
    zygote_process.stop_zygotes()
    monkeypatch.setenv("LOCALBOX_POOL", "1")
    yield
    zygote_process.stop_zygotes()


def spare_of(sandbox: Sandbox) -> Spare:
    """The spare that the creation of `sandbox` has ordered, once it is ready."""
    (spare,) = sandbox._record.zygote.pool._spares.values()
    leftovers.wait_until(spare.is_ready, "no spare has become ready")
    return spare


def make_until_there_is_a_spare(*, cells: bool = False, profile: str | None = None) -> Spare:
    for _ in range(2):
        with Sandbox.create(profile=profile) as sandbox:
            if cells:
                sandbox.run_code("x = 1")
            last = sandbox
    return spare_of(last)


def test_a_program_that_makes_one_sandbox_has_no_spare() -> None:
    with Sandbox.create() as sandbox:
        assert sandbox._record.zygote.pool._spares == {}


def test_a_program_that_makes_several_gets_a_spare() -> None:
    spare = make_until_there_is_a_spare()
    with Sandbox.create() as sandbox:
        assert sandbox.sandbox_id == spare.sandbox_id
        assert sandbox.commands.run("echo hello").stdout == "hello\n"
        assert sandbox.commands.list() == []


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALBOX_POOL", "0")
    for _ in range(3):
        with Sandbox.create() as sandbox:
            assert sandbox._record.zygote.pool._spares == {}


def test_a_spare_has_the_same_walls() -> None:
    with Sandbox.create() as sandbox:
        walls = sandbox.isolation
    spare = make_until_there_is_a_spare()
    with Sandbox.create() as sandbox:
        assert sandbox.sandbox_id == spare.sandbox_id
        assert sandbox.isolation == walls


def test_the_life_of_a_spare_counts_from_when_it_is_asked_for() -> None:
    spare = make_until_there_is_a_spare()
    before = datetime.now(UTC)
    with Sandbox.create(timeout=77, metadata={"a": "b"}) as sandbox:
        assert sandbox.sandbox_id == spare.sandbox_id
        info = sandbox.get_info()
        assert info.metadata == {"a": "b"}
        assert info.started_at >= before
        assert 70 < (info.end_at - before).total_seconds() < 80


def test_variables_reach_the_commands_and_cells_of_a_spare() -> None:
    spare = make_until_there_is_a_spare(cells=True)
    assert spare.kernel is not None
    with Sandbox.create(envs={"WHOSE": "mine", "LONG": "x" * 100_000}) as sandbox:
        assert sandbox.sandbox_id == spare.sandbox_id
        assert sandbox.commands.run("echo $WHOSE").stdout == "mine\n"
        read = "import os; print(os.environ['WHOSE'], len(os.environ['LONG']))"
        assert sandbox.commands.run_python(read).stdout == "mine 100000\n"
        assert sandbox.run_code(read).logs.stdout == ["mine 100000\n"]


def test_the_context_of_a_spare_is_as_new() -> None:
    spare = make_until_there_is_a_spare(cells=True)
    with Sandbox.create() as sandbox:
        assert sandbox.sandbox_id == spare.sandbox_id
        names = "sorted(name for name in globals() if not name.startswith('_'))"
        first = sandbox.run_code(f"print({names}); Out, len(In)")
        assert first.execution_count == 1
        assert first.text == "({}, 2)"
        with Sandbox.create() as other:
            assert other.sandbox_id != sandbox.sandbox_id
            assert other.run_code(f"print({names})").logs.stdout == first.logs.stdout


def test_no_two_spares_draw_the_same_random_numbers() -> None:
    make_until_there_is_a_spare(cells=True)
    drawn = []
    for _ in range(3):
        with Sandbox.create() as sandbox:
            drawn.append(sandbox.run_code("import random; random.random()").text)
            spare_of(sandbox)
    assert len(set(drawn)) == 3


def test_a_spare_that_has_ended_is_replaced_and_nobody_notices() -> None:
    spare = make_until_there_is_a_spare()
    (zygote,) = zygote_process._zygotes.values()
    children = leftovers.descendants(zygote.pid)
    spare.rendezvous.close()  # its agent ends when nobody can ask it any more
    leftovers.wait_until(lambda: not children & leftovers.descendants(zygote.pid))
    with Sandbox.create() as sandbox:
        assert sandbox.sandbox_id != spare.sandbox_id
        assert sandbox.commands.run("echo hello").stdout == "hello\n"


def test_a_spare_is_of_one_profile() -> None:
    spare = make_until_there_is_a_spare(profile="strict")
    with Sandbox.create() as sandbox:
        assert sandbox.sandbox_id != spare.sandbox_id
    with Sandbox.create(profile="strict") as sandbox:
        assert sandbox.sandbox_id == spare.sandbox_id


def test_a_spare_is_handed_out_once() -> None:
    make_until_there_is_a_spare(cells=True)
    made: list[Sandbox] = []
    threads = [threading.Thread(target=lambda: made.append(Sandbox.create())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({sandbox.sandbox_id for sandbox in made}) == 8
    for number, sandbox in enumerate(made):
        sandbox.run_code(f"x = {number}")
    assert [sandbox.run_code("x").text for sandbox in made] == [str(n) for n in range(8)]
    for sandbox in made:
        sandbox.kill()


def test_spares_end_with_their_zygote() -> None:
    make_until_there_is_a_spare(cells=True)
    (zygote,) = zygote_process._zygotes.values()
    assert leftovers.descendants(zygote.pid)
    # The fixture's stop, and the check for what is left behind after it, are the test.
