# generated from tests/client/_async/test_fork.py by scripts/unasync.py; edit that, not this
"""Forks: sandboxes that start with another one's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from localbox import (
    InvalidArgumentException,
    Sandbox,
    SandboxNotFoundException,
    Volume,
)
from localbox.policy import load_profile, merge_overrides
from tests import leftovers
from tests.client._sync.layered import disk_bytes, layers_in, open_files


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def fork(sandbox: Sandbox, count: int) -> list[Sandbox]:
    forks = sandbox.fork(60, count)
    assert len(forks) == count
    return [made for made in forks if isinstance(made, Sandbox)]


def test_forks_start_with_its_files_and_share_nothing_later(sandbox: Sandbox, data: Path):
    sandbox.files.write("file", "source")
    forks = fork(sandbox, 3)
    assert len(forks) == 3
    assert len({made.sandbox_id for made in [sandbox, *forks]}) == 4
    for number, made in enumerate(forks):
        assert made.files.read("file") == "source"
        made.files.write("file", str(number))
        made.files.write(f"own{number}", "")
    for number, made in enumerate(forks):
        assert made.files.read("file") == str(number)
        assert made.commands.run("ls").stdout.split() == ["file", f"own{number}"]
    assert sandbox.commands.run("ls; cat file").stdout == "file\nsource"
    assert len(layers_in(data)) == 1
    for made in forks:
        made.kill()
    assert layers_in(data) == []


def test_the_source_can_go_first(sandbox: Sandbox, data: Path):
    sandbox.files.write("file", "x")
    (made,) = fork(sandbox, 1)
    sandbox.kill()
    assert made.files.read("file") == "x"
    (again,) = fork(made, 1)
    made.kill()
    assert again.files.read("file") == "x"
    again.kill()
    assert layers_in(data) == []


def test_what_comes_from_a_layer_is_not_copied_again(sandbox: Sandbox, data: Path):
    sandbox.commands.run("head -c 3000000 /dev/urandom > data")
    (made,) = fork(sandbox, 1)
    before = disk_bytes(data)
    assert before > 3_000_000
    forks = fork(made, 3)
    assert disk_bytes(data) - before < 100_000
    for each in forks:
        assert each.commands.run("stat -c %s data").stdout == "3000000\n"
    for each in [made, *forks]:
        each.kill()


def test_a_fork_has_the_policy_variables_and_metadata_of_its_source():
    with Sandbox.create(
        envs={"KEY": "value"}, metadata={"a": "b"}, profile="strict", timeout=60
    ) as sandbox:
        (made,) = fork(sandbox, 1)
        with made:
            assert made.commands.run("echo $KEY").stdout == "value\n"
            info = made.get_info()
            assert info.metadata == {"a": "b"}
            assert info.template_id == sandbox.get_info().template_id
            assert made.policy == sandbox.policy


def test_without_a_timeout_it_is_e2bs(sandbox: Sandbox):
    (made,) = sandbox.fork()
    assert isinstance(made, Sandbox)
    with made:
        info = made.get_info()
        assert 10 < (info.end_at - info.started_at).total_seconds() < 16


def test_a_fork_that_cannot_be_made_is_an_exception_among_the_others(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, data: Path
):
    make = Sandbox._make
    calls = 0

    def failing(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError("no more processes")
        return make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(Sandbox, "_make", failing)
    forks = sandbox.fork(60, 3)
    assert [type(each) for each in forks] == [Sandbox, OSError, Sandbox]
    for each in forks:
        if isinstance(each, Sandbox):
            each.kill()
    assert layers_in(data) == []


@pytest.mark.parametrize("count", [0, 21, -1, True, 1.5, "2"])
def test_a_count_out_of_range_is_refused(sandbox: Sandbox, count: int):
    with pytest.raises(InvalidArgumentException, match="count"):
        sandbox.fork(count=count)


def test_mode_full_is_refused_and_names_what_works(sandbox: Sandbox):
    with pytest.raises(InvalidArgumentException, match='mode="filesystem"'):
        sandbox.fork(mode="full")


def test_both_forms(sandbox: Sandbox):
    forks = Sandbox.fork(sandbox.sandbox_id, timeout=60, count=2)
    assert len(forks) == 2
    for each in forks:
        assert isinstance(each, Sandbox)
        each.kill()
    with pytest.raises(SandboxNotFoundException):
        Sandbox.fork("i0000000000000000000")


def test_forks_leave_no_templates_in_the_zygote(sandbox: Sandbox):
    zygote = sandbox._record.zygote
    for made in fork(sandbox, 2):
        made.kill()
    known, before = len(zygote.known_plans), open_files(zygote.pid)
    for _ in range(4):
        for made in fork(sandbox, 2):
            made.kill()
    # A template is a descriptor, and there were four; the child that copied may be one for a while.
    leftovers.wait_until(lambda: open_files(zygote.pid) <= before)
    assert len(zygote.known_plans) == known


def test_few_templates_of_layers_that_nobody_uses_are_kept(sandbox: Sandbox):
    from localbox.engine.layer_use import _MOST_IDLE

    zygote = sandbox._record.zygote
    snapshot = sandbox.create_snapshot()
    for number in range(_MOST_IDLE + 3):
        policy = merge_overrides(load_profile("default"), pids=100 + number)
        with Sandbox.create(snapshot.snapshot_id, profile=policy, timeout=60):
            assert len(zygote.plan_uses) <= _MOST_IDLE + 1
    assert len(zygote.plan_uses) == _MOST_IDLE
    assert set(zygote.plan_uses) <= zygote.known_plans


def test_a_fork_has_the_volumes_of_its_source():
    Volume.create("shared")
    with Sandbox.create(volume_mounts={"/home/user/data": "shared"}, timeout=60) as source:
        source.files.write("data/file", "in the volume")
        source.files.write("file", "its own")
        (made,) = fork(source, 1)
        with made:
            assert made.files.read("data/file") == "in the volume"
            assert made.files.read("file") == "its own"
            made.files.write("data/file", "for both")
        assert source.files.read("data/file") == "for both"
        snapshot = source.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.files.list("data") == []
