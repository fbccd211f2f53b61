"""Forks: sandboxes that start with another one's files."""

from __future__ import annotations

from pathlib import Path

import pytest

from localbox import (
    AsyncSandbox,
    AsyncVolume,
    InvalidArgumentException,
    SandboxNotFoundException,
)
from localbox.policy import load_profile, merge_overrides
from tests import leftovers
from tests.client._async.layered import disk_bytes, layers_in, open_files

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


async def fork(sandbox: AsyncSandbox, count: int) -> list[AsyncSandbox]:
    forks = await sandbox.fork(60, count)
    assert len(forks) == count
    return [made for made in forks if isinstance(made, AsyncSandbox)]


async def test_forks_start_with_its_files_and_share_nothing_later(
    sandbox: AsyncSandbox, data: Path
):
    await sandbox.files.write("file", "source")
    forks = await fork(sandbox, 3)
    assert len(forks) == 3
    assert len({made.sandbox_id for made in [sandbox, *forks]}) == 4
    for number, made in enumerate(forks):
        assert await made.files.read("file") == "source"
        await made.files.write("file", str(number))
        await made.files.write(f"own{number}", "")
    for number, made in enumerate(forks):
        assert await made.files.read("file") == str(number)
        assert (await made.commands.run("ls")).stdout.split() == ["file", f"own{number}"]
    assert (await sandbox.commands.run("ls; cat file")).stdout == "file\nsource"
    assert len(layers_in(data)) == 1
    for made in forks:
        await made.kill()
    assert layers_in(data) == []


async def test_the_source_can_go_first(sandbox: AsyncSandbox, data: Path):
    await sandbox.files.write("file", "x")
    (made,) = await fork(sandbox, 1)
    await sandbox.kill()
    assert await made.files.read("file") == "x"
    (again,) = await fork(made, 1)
    await made.kill()
    assert await again.files.read("file") == "x"
    await again.kill()
    assert layers_in(data) == []


async def test_what_comes_from_a_layer_is_not_copied_again(sandbox: AsyncSandbox, data: Path):
    await sandbox.commands.run("head -c 3000000 /dev/urandom > data")
    (made,) = await fork(sandbox, 1)
    before = disk_bytes(data)
    assert before > 3_000_000
    forks = await fork(made, 3)
    assert disk_bytes(data) - before < 100_000
    for each in forks:
        assert (await each.commands.run("stat -c %s data")).stdout == "3000000\n"
    for each in [made, *forks]:
        await each.kill()


async def test_a_fork_has_the_policy_variables_and_metadata_of_its_source():
    async with await AsyncSandbox.create(
        envs={"KEY": "value"}, metadata={"a": "b"}, profile="strict", timeout=60
    ) as sandbox:
        (made,) = await fork(sandbox, 1)
        async with made:
            assert (await made.commands.run("echo $KEY")).stdout == "value\n"
            info = await made.get_info()
            assert info.metadata == {"a": "b"}
            assert info.template_id == (await sandbox.get_info()).template_id
            assert made.policy == sandbox.policy


async def test_without_a_timeout_it_is_e2bs(sandbox: AsyncSandbox):
    (made,) = await sandbox.fork()
    assert isinstance(made, AsyncSandbox)
    async with made:
        info = await made.get_info()
        assert 10 < (info.end_at - info.started_at).total_seconds() < 16


async def test_a_fork_that_cannot_be_made_is_an_exception_among_the_others(
    sandbox: AsyncSandbox, monkeypatch: pytest.MonkeyPatch, data: Path
):
    make = AsyncSandbox._make
    calls = 0

    # unasync: async
    async def failing(*args: object) -> object:
        # unasync: sync
        # def failing(*args: object) -> object:
        # unasync: end
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError("no more processes")
        return await make(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(AsyncSandbox, "_make", failing)
    forks = await sandbox.fork(60, 3)
    assert [type(each) for each in forks] == [AsyncSandbox, OSError, AsyncSandbox]
    for each in forks:
        if isinstance(each, AsyncSandbox):
            await each.kill()
    assert layers_in(data) == []


@pytest.mark.parametrize("count", [0, 21, -1, True, 1.5, "2"])
async def test_a_count_out_of_range_is_refused(sandbox: AsyncSandbox, count: int):
    with pytest.raises(InvalidArgumentException, match="count"):
        await sandbox.fork(count=count)


async def test_mode_full_is_refused_and_names_what_works(sandbox: AsyncSandbox):
    with pytest.raises(InvalidArgumentException, match='mode="filesystem"'):
        await sandbox.fork(mode="full")


async def test_both_forms(sandbox: AsyncSandbox):
    forks = await AsyncSandbox.fork(sandbox.sandbox_id, timeout=60, count=2)
    assert len(forks) == 2
    for each in forks:
        assert isinstance(each, AsyncSandbox)
        await each.kill()
    with pytest.raises(SandboxNotFoundException):
        await AsyncSandbox.fork("i0000000000000000000")


async def test_forks_leave_no_templates_in_the_zygote(sandbox: AsyncSandbox):
    zygote = sandbox._record.zygote
    for made in await fork(sandbox, 2):
        await made.kill()
    known, before = len(zygote.known_plans), open_files(zygote.pid)
    for _ in range(4):
        for made in await fork(sandbox, 2):
            await made.kill()
    # A template is a descriptor, and there were four; the child that copied may be one for a while.
    leftovers.wait_until(lambda: open_files(zygote.pid) <= before)
    assert len(zygote.known_plans) == known


async def test_few_templates_of_layers_that_nobody_uses_are_kept(sandbox: AsyncSandbox):
    from localbox.engine.layer_use import _MOST_IDLE

    zygote = sandbox._record.zygote
    snapshot = await sandbox.create_snapshot()
    for number in range(_MOST_IDLE + 3):
        policy = merge_overrides(load_profile("default"), pids=100 + number)
        async with await AsyncSandbox.create(snapshot.snapshot_id, profile=policy, timeout=60):
            assert len(zygote.plan_uses) <= _MOST_IDLE + 1
    assert len(zygote.plan_uses) == _MOST_IDLE
    assert set(zygote.plan_uses) <= zygote.known_plans


async def test_a_fork_has_the_volumes_of_its_source():
    await AsyncVolume.create("shared")
    async with await AsyncSandbox.create(
        volume_mounts={"/home/user/data": "shared"}, timeout=60
    ) as source:
        await source.files.write("data/file", "in the volume")
        await source.files.write("file", "its own")
        (made,) = await fork(source, 1)
        async with made:
            assert await made.files.read("data/file") == "in the volume"
            assert await made.files.read("file") == "its own"
            await made.files.write("data/file", "for both")
        assert await source.files.read("data/file") == "for both"
        snapshot = await source.create_snapshot()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert await other.files.list("data") == []
