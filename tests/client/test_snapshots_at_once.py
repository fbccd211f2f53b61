"""Snapshots and forks that meet, are given up half-way, or are of a sandbox that ends meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from localbox import AsyncSandbox, Sandbox, SandboxException, TimeoutException
from tests import leftovers


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def left_in(data: Path) -> list[str]:
    return sorted(set(os.listdir(data / "layers")) - {"lock"})


def test_snapshots_of_one_sandbox_from_many_threads_take_turns(data: Path) -> None:
    with Sandbox.create(timeout=60) as sandbox, ThreadPoolExecutor(6) as pool:
        sandbox.files.write("file", "x")
        forks = [pool.submit(sandbox.fork, 60, 2) for _ in range(3)]
        snapshots = [pool.submit(sandbox.create_snapshot) for _ in range(3)]
        for future in forks:
            for made in future.result():
                assert isinstance(made, Sandbox)
                assert made.files.read("file") == "x"
                made.kill()
        assert len({future.result().snapshot_id for future in snapshots}) == 3
        assert sandbox.files.read("file") == "x"
    assert len(left_in(data)) == 3


def test_forks_from_many_tasks_do_not_meet(data: Path) -> None:
    async def everything() -> None:
        async with await AsyncSandbox.create(timeout=60) as sandbox:
            await sandbox.files.write("file", "x")
            groups = await asyncio.gather(*(sandbox.fork(60, 2) for _ in range(4)))
            for made in (each for group in groups for each in group):
                assert isinstance(made, AsyncSandbox)
                assert await made.files.read("file") == "x"
                await made.kill()

    asyncio.run(everything())
    assert left_in(data) == []


@pytest.mark.parametrize("progress", ["draft", "copying"])
def test_a_snapshot_that_is_given_up_leaves_nothing(data: Path, progress: str) -> None:
    async def everything() -> None:
        async with await AsyncSandbox.create(timeout=60) as sandbox:
            await sandbox.commands.run("head -c 200M /dev/zero | tr '\\0' x > big")
            task = asyncio.create_task(sandbox.create_snapshot())
            wanted = {"draft": "s*", "copying": "s*/0/big"}[progress]
            while not list((data / "layers").glob(wanted)):  # noqa: ASYNC110 (it is no event)
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await sandbox.is_running()
            assert left_in(data) == []

    asyncio.run(everything())


def test_a_request_that_is_out_of_time_leaves_nothing(data: Path) -> None:
    with Sandbox.create(timeout=60) as sandbox:
        sandbox.commands.run("head -c 200M /dev/zero | tr '\\0' x > big")
        with pytest.raises(TimeoutException):
            sandbox.create_snapshot(request_timeout=0.02)
        assert sandbox.is_running()
        assert left_in(data) == []


def test_a_sandbox_that_is_killed_while_it_is_copied_leaves_nothing_half_made(data: Path) -> None:
    with Sandbox.create(timeout=60) as sandbox, ThreadPoolExecutor(1) as pool:
        sandbox.commands.run("head -c 100M /dev/zero | tr '\\0' x > big")
        future = pool.submit(sandbox.create_snapshot)
        leftovers.wait_until(lambda: list(data.glob("layers/s*/0/big")))
        sandbox.kill()
        try:
            snapshot = future.result()
        except SandboxException:
            assert left_in(data) == []
            return
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.commands.run("stat -c %s big").stdout == f"{100 << 20}\n"


def test_when_the_copier_is_killed_the_sandbox_goes_on(data: Path) -> None:
    with Sandbox.create(timeout=60) as sandbox, ThreadPoolExecutor(1) as pool:
        sandbox.commands.run("head -c 200M /dev/zero | tr '\\0' x > big")
        zygote = sandbox._record.zygote.pid
        before = leftovers._children(zygote)
        future = pool.submit(sandbox.create_snapshot)
        leftovers.wait_until(lambda: list(data.glob("layers/s*/0/big")))
        (copier,) = set(leftovers._children(zygote)) - set(before)
        os.kill(copier, signal.SIGKILL)
        with pytest.raises(SandboxException, match="were not copied"):
            future.result()
        assert sandbox.commands.run("echo on").stdout == "on\n"
        assert left_in(data) == []


def test_sandboxes_that_reached_their_timeout_let_go_of_their_layers(data: Path) -> None:
    with Sandbox.create(timeout=60) as sandbox:
        (made,) = sandbox.fork(1)
        assert isinstance(made, Sandbox)
        assert len(left_in(data)) == 1
        leftovers.wait_until(lambda: not made.is_running())
        # Whoever makes the next layer looks after those that ended by themselves.
        snapshot = sandbox.create_snapshot()
        assert left_in(data) == [snapshot.snapshot_id]
