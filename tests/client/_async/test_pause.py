"""Pausing, connecting, and what a lifecycle does when the time is up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, cast

import pytest

from localbox import (
    AsyncSandbox,
    InvalidArgumentException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxState,
    ServiceBusyException,
    TimeoutException,
)
from localbox._async import sandbox_control
from tests.client._async.doing import all_at_once, until

pytestmark = pytest.mark.anyio


async def test_pause_is_true_once_and_connect_resumes(sandbox: AsyncSandbox) -> None:
    assert await sandbox.pause() is True
    assert await sandbox.pause() is False
    assert not await sandbox.is_running()
    assert (await sandbox.get_info()).state is SandboxState.PAUSED
    assert await sandbox.connect() is sandbox
    assert await sandbox.is_running()
    assert (await sandbox.get_info()).state is SandboxState.RUNNING
    assert (await sandbox.commands.run("echo back")).stdout == "back\n"


async def test_every_call_on_a_paused_sandbox_says_so_and_how_to_go_on(
    sandbox: AsyncSandbox,
) -> None:
    the_class: Any = AsyncSandbox
    same = await the_class.connect(sandbox.sandbox_id)
    await sandbox.run_code("x = 1")
    await sandbox.pause()
    for it in (sandbox, same):
        calls: list[Callable[[], Any]] = [
            partial(it.commands.run, "true"),
            it.commands.list,
            partial(it.files.read, "/etc/hostname"),
            partial(it.files.write, "file", "content"),
            partial(it.run_code, "x"),
            it.create_code_context,
            it.list_code_contexts,
            partial(it.set_timeout, 60),
        ]
        for call in calls:
            with pytest.raises(SandboxNotRunningException, match=r"paused; connect\(\) resumes"):
                await call()


async def test_processes_variables_and_files_are_there_after_a_pause(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run("cat", background=True, stdin=True)
    await sandbox.run_code("x = 41")
    await sandbox.files.write("note", "kept")
    await sandbox.pause()
    await sandbox.connect()
    await handle.send_stdin("it\n")
    await handle.close_stdin()
    assert (await handle.wait()).stdout == "it\n"
    assert (await sandbox.run_code("x + 1")).text == "42"
    assert await sandbox.files.read("note") == "kept"


@pytest.mark.parametrize("options", [{"mode": "filesystem"}, {"keep_memory": False}])
async def test_filesystem_mode_keeps_files_and_ends_processes(
    sandbox: AsyncSandbox, options: dict[str, Any]
) -> None:
    await sandbox.files.write("note", "kept")
    await sandbox.run_code("x = 41")
    handle = await sandbox.commands.run("sleep 1000", background=True, timeout=0)
    assert await sandbox.pause(**options)
    await sandbox.connect()
    assert await sandbox.files.read("note") == "kept"
    assert await sandbox.commands.list() == []
    assert not await sandbox.commands.kill(handle.pid)
    error = (await sandbox.run_code("x")).error
    assert error is not None
    assert error.name == "NameError"


async def test_a_reboot_ends_the_processes_of_a_paused_sandbox_only(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True, timeout=0)
    await sandbox.connect(on_resume="reboot")
    assert [process.pid for process in await sandbox.commands.list()] == [handle.pid]
    await sandbox.pause()
    await sandbox.connect(on_resume="reboot")
    assert await sandbox.commands.list() == []


async def test_pause_and_connect_work_on_the_class(sandbox: AsyncSandbox) -> None:
    the_class: Any = AsyncSandbox
    assert await the_class.pause(sandbox.sandbox_id)
    assert not await the_class.beta_pause(sandbox)
    other = await the_class.connect(sandbox.sandbox_id, timeout=100)
    assert other is not sandbox
    assert other.sandbox_id == sandbox.sandbox_id
    assert await sandbox.is_running()
    for call in (the_class.pause, the_class.connect):
        with pytest.raises(SandboxNotFoundException):
            await call("i" + "0" * 19)


async def test_a_sandbox_that_was_killed_can_be_neither_paused_nor_connected(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.pause()
    await sandbox.kill()
    with pytest.raises(SandboxNotFoundException, match="killed"):
        await sandbox.pause()
    with pytest.raises(SandboxNotFoundException, match="killed"):
        await sandbox.connect()


async def test_connect_extends_a_running_sandbox_and_never_shortens_it(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.set_timeout(1000)
    await sandbox.connect(timeout=10)
    assert await _left(sandbox) > 900
    await sandbox.connect(timeout=2000)
    assert await _left(sandbox) > 1900


async def test_a_paused_sandbox_does_not_expire_and_gets_its_time_from_connect(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.set_timeout(1)
    await sandbox.pause()
    paused_at = (await sandbox.get_info()).end_at
    # The zygote looks at deadlines before it answers anything later than them.
    async with await AsyncSandbox.create(timeout=1) as other:
        await until(lambda: _has_ended(other))
    assert (await sandbox.get_info()).state is SandboxState.PAUSED
    assert abs((await sandbox.get_info()).end_at - paused_at) < timedelta(seconds=0.1)
    await sandbox.connect(timeout=500)
    assert 490 < await _left(sandbox) <= 500


async def test_at_its_timeout_a_sandbox_pauses_if_its_lifecycle_says_so() -> None:
    lifecycle: Any = {"on_timeout": "pause"}
    async with await AsyncSandbox.create(timeout=60, lifecycle=cast(Any, lifecycle)) as sandbox:
        info = await sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": False}
        handle = await sandbox.commands.run("cat", background=True, stdin=True)
        await sandbox.set_timeout(cast(int, 0.05))
        await until(lambda: _is_paused(sandbox))
        with pytest.raises(SandboxNotRunningException, match="paused"):
            await sandbox.commands.run("true")
        await sandbox.connect(timeout=60)
        await handle.send_stdin("it\n")
        await handle.close_stdin()
        assert (await handle.wait()).stdout == "it\n"


async def test_at_its_timeout_a_sandbox_may_lose_its_processes_and_keep_its_files() -> None:
    lifecycle: Any = {"on_timeout": {"action": "pause", "mode": "filesystem"}}
    async with await AsyncSandbox.create(timeout=60, lifecycle=cast(Any, lifecycle)) as sandbox:
        await sandbox.files.write("note", "kept")
        await sandbox.commands.run("sleep 1000", background=True, timeout=0)
        await sandbox.set_timeout(cast(int, 0.05))
        await until(lambda: _is_paused(sandbox))
        await sandbox.connect()
        assert await sandbox.files.read("note") == "kept"
        assert await sandbox.commands.list() == []


async def test_with_auto_resume_the_next_call_goes_through() -> None:
    lifecycle: Any = {"on_timeout": "pause", "auto_resume": True}
    async with await AsyncSandbox.create(timeout=60, lifecycle=cast(Any, lifecycle)) as sandbox:
        info = await sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": True}
        await sandbox.run_code("x = 41")
        await sandbox.pause()
        # Asking whether it runs does not make it run.
        assert not await sandbox.is_running()
        assert not await sandbox.is_running()
        assert (await sandbox.run_code("x + 1")).text == "42"
        await sandbox.pause()
        assert (await sandbox.commands.run("echo awake")).stdout == "awake\n"
        assert 50 < await _left(sandbox) <= 60


async def test_at_its_wall_time_a_sandbox_ends_whatever_its_lifecycle_says() -> None:
    lifecycle: Any = {"on_timeout": "pause"}
    async with await AsyncSandbox.create(
        lifecycle=lifecycle, resources={"wall_time": 0.5}
    ) as sandbox:
        await until(lambda: _has_ended(sandbox))


async def test_the_wall_time_does_not_pass_in_a_pause() -> None:
    async with await AsyncSandbox.create(resources={"wall_time": 1}) as sandbox:
        await sandbox.pause()
        async with await AsyncSandbox.create(timeout=1) as other:
            await until(lambda: _has_ended(other))
        await sandbox.connect()
        assert 0 < await _left(sandbox) <= 1


async def test_a_sandbox_with_a_cgroup_pauses_like_any_other() -> None:
    # "strict" has one where one can be made.
    async with await AsyncSandbox.create(timeout=60, profile="strict") as sandbox:
        await sandbox.run_code("x = 41")
        assert await sandbox.pause()
        assert not await sandbox.is_running()
        await sandbox.connect()
        assert (await sandbox.run_code("x + 1")).text == "42"


async def test_without_a_lifecycle_a_sandbox_is_killed_at_its_timeout() -> None:
    async with await AsyncSandbox.create(timeout=60) as sandbox:
        info = await sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "kill", "auto_resume": False}
        await sandbox.set_timeout(cast(int, 0.05))
        await until(lambda: _has_ended(sandbox))


@pytest.mark.parametrize(
    ("lifecycle", "complaint"),
    [
        ({"on_timeout": "hibernate"}, "on_timeout must be"),
        ({"on_timeout": {"action": "stop"}}, r'on_timeout\["action"\] must be'),
        ({"on_timeout": {"action": "kill", "mode": "full"}}, "none of kill"),
        ({"on_timeout": {"action": "pause", "mode": "half"}}, r'on_timeout\["mode"\] must be'),
        (
            {"on_timeout": {"action": "pause", "mode": "full", "keep_memory": True}},
            "not both",
        ),
        ({"on_timeout": "kill", "auto_resume": True}, "auto_resume=True needs"),
        (
            {"on_timeout": {"action": "pause", "mode": "filesystem"}, "auto_resume": True},
            "cannot go with",
        ),
    ],
)
async def test_a_lifecycle_that_cannot_be_is_refused(
    lifecycle: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidArgumentException, match=complaint):
        await AsyncSandbox.create(lifecycle=cast(Any, lifecycle))


async def test_arguments_that_cannot_be_are_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="mode must be"):
        await sandbox.pause(mode=cast(Any, "half"))
    with pytest.raises(InvalidArgumentException, match="not both"):
        await sandbox.pause(True, mode="full")
    with pytest.raises(InvalidArgumentException, match="on_resume must be"):
        await sandbox.connect(on_resume=cast(Any, "again"))
    with pytest.raises(InvalidArgumentException, match="timeout"):
        await sandbox.connect(timeout=-1)
    assert await sandbox.is_running()


async def test_a_pause_may_insist_on_an_agent_that_answers(sandbox: AsyncSandbox) -> None:
    assert await sandbox.pause(strict=True)
    assert not await sandbox.pause(strict=True)


async def test_strict_refuses_to_pause_a_sandbox_whose_agent_hangs(
    sandbox: AsyncSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_control, "_HEALTHY_WITHIN_S", 0.05)
    pid = (await sandbox._connection.ask_zygote({"op": "info"}))["pid"]
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ServiceBusyException, match="did not answer"):
        await sandbox.pause(strict=True)
    os.kill(pid, signal.SIGCONT)
    assert await sandbox.is_running()
    assert await sandbox.pause(strict=True)


async def test_a_cell_whose_timeout_expires_in_a_pause_keeps_its_context(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.run_code("import time; x = 41")

    async def run_cell() -> None:
        with pytest.raises(TimeoutException, match="paused"):
            await sandbox.run_code("open('begun', 'w').close(); time.sleep(1000)", timeout=1)

    async def pause() -> None:
        await until(lambda: sandbox.files.exists("begun"))
        await sandbox.pause()

    await all_at_once([run_cell, pause])
    await sandbox.connect()
    assert (await sandbox.run_code("x + 1")).text == "42"


async def test_all_can_pause_and_connect_at_once(sandbox: AsyncSandbox) -> None:
    answers = await all_at_once([sandbox.pause] * 8)
    assert sorted(answers) == [False] * 7 + [True]
    await all_at_once([sandbox.connect] * 8)
    assert await sandbox.is_running()


async def test_a_paused_sandbox_ends_with_the_with_block() -> None:
    async with await AsyncSandbox.create() as sandbox:
        pid = (await sandbox._connection.ask_zygote({"op": "info"}))["pid"]
        await sandbox.pause()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def _left(sandbox: AsyncSandbox) -> float:
    return ((await sandbox.get_info()).end_at - datetime.now(UTC)).total_seconds()


async def _is_paused(sandbox: AsyncSandbox) -> bool:
    return (await sandbox.get_info()).state is SandboxState.PAUSED


async def _has_ended(sandbox: AsyncSandbox) -> bool:
    try:
        await sandbox.get_info()
    except SandboxNotFoundException:
        return True
    return False
