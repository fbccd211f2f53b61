"""Methods that work on a sandbox, and on the class with the sandbox or its id."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localbox import AsyncSandbox, SandboxNotFoundException, SandboxQuery, SandboxState

pytestmark = pytest.mark.anyio


def with_first(name: str, first: object) -> Callable[..., Any]:
    method = getattr(AsyncSandbox, name)
    return lambda *arguments, **keywords: method(first, *arguments, **keywords)


FORMS: dict[str, Callable[[str, AsyncSandbox], Callable[..., Any]]] = {
    "on the sandbox": lambda name, sandbox: getattr(sandbox, name),
    "on the class with its id": lambda name, sandbox: with_first(name, sandbox.sandbox_id),
    "on the class with the sandbox": with_first,
}


def dual_methods() -> set[str]:
    return {
        name
        for name, static in inspect.getmembers_static(AsyncSandbox)
        if hasattr(static, "class_method_name")
    }


async def kill(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    assert await call() is True
    assert not await sandbox.is_running()


async def set_timeout(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    before = (await sandbox.get_info()).end_at
    await call(1000)
    assert ((await sandbox.get_info()).end_at - before).total_seconds() > 500


async def get_info(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    info = await call(request_timeout=10)
    assert info.sandbox_id == sandbox.sandbox_id


async def get_metrics(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    assert (await call())[-1].mem_total > 0


async def pause(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    assert await call() is True
    assert (await sandbox.get_info()).state is SandboxState.PAUSED
    assert await call() is False


async def connect(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    await sandbox.pause()
    same = await call(timeout=100)
    assert same.sandbox_id == sandbox.sandbox_id
    assert (await same.commands.run("echo hello")).stdout == "hello\n"


async def fork(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("/home/user/file", "hello")
    [other] = await call(count=1, mode="filesystem")
    async with other:
        assert other.sandbox_id != sandbox.sandbox_id
        assert await other.files.read("/home/user/file") == "hello"


async def create_snapshot(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    snapshot = await call(name="mine", mode="filesystem")
    assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id) is True


async def list_snapshots(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    snapshot = await sandbox.create_snapshot(mode="filesystem")
    assert [found.snapshot_id for found in await call().next_items()] == [snapshot.snapshot_id]


async def update_network(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    await call({"allow_internet_access": False})
    assert (await sandbox.get_info()).network == {"deny_out": ["0.0.0.0/0"]}


async def set_limits(call: Callable[..., Any], sandbox: AsyncSandbox) -> None:
    await call(max_memory="512MB")
    assert (await sandbox.get_info()).memory_mb < 600


CHECKS = {
    "beta_pause": pause,
    "connect": connect,
    "create_snapshot": create_snapshot,
    "fork": fork,
    "get_info": get_info,
    "get_metrics": get_metrics,
    "kill": kill,
    "list_snapshots": list_snapshots,
    "pause": pause,
    "set_limits": set_limits,
    "set_timeout": set_timeout,
    "update_network": update_network,
}
# What else they need to be called at all.
ARGUMENTS: dict[str, list[Any]] = {"set_timeout": [10], "update_network": [{}]}


def test_every_method_with_a_class_form_is_tested_here() -> None:
    # `list` has nothing of the sandbox in its class form; see test_listing.
    assert dual_methods() - {"list"} == set(CHECKS)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", CHECKS)
async def test_it_works_in_every_form(
    name: str,
    form: str,
    sandbox: AsyncSandbox,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path))
    await CHECKS[name](FORMS[form](name, sandbox), sandbox)


@pytest.mark.parametrize("name", sorted({*CHECKS} - {"kill", "list_snapshots"}))
async def test_an_id_nobody_has_is_not_found(name: str) -> None:
    with pytest.raises(SandboxNotFoundException, match="inosuchsandboxatall0"):
        await with_first(name, "inosuchsandboxatall0")(*ARGUMENTS.get(name, []))


async def test_the_methods_of_the_class_alone_are_callable_on_a_sandbox_too(
    sandbox: AsyncSandbox,
) -> None:
    async with await sandbox.create() as other:
        listed = await sandbox.list(SandboxQuery()).next_items()
        assert {info.sandbox_id for info in listed} == {sandbox.sandbox_id, other.sandbox_id}
