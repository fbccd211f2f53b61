"""A sandbox from `create` to its end, however it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from localbox import (
    AsyncSandbox,
    InvalidArgumentException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxState,
)
from localbox.engine import registry
from tests.client._async.doing import all_at_once, until

pytestmark = pytest.mark.anyio


async def test_create_returns_a_sandbox_that_runs(sandbox: AsyncSandbox) -> None:
    assert await sandbox.is_running()
    assert (await sandbox.commands.run("echo hello")).stdout == "hello\n"


async def test_ids_have_e2bs_form_and_differ(sandbox: AsyncSandbox) -> None:
    async with await AsyncSandbox.create() as other:
        assert other.sandbox_id != sandbox.sandbox_id
    assert len(sandbox.sandbox_id) == 20
    assert sandbox.sandbox_id.isalnum()


async def test_the_constructor_creates_where_it_can() -> None:
    # unasync: async
    with pytest.raises(TypeError, match=r"AsyncSandbox\.create"):
        AsyncSandbox()  # type: ignore[call-arg]
    # unasync: sync
    # with Sandbox(timeout=60, envs={"A": "1"}, resources={"pids": 33}) as sandbox:
    #     assert sandbox.commands.run("echo $A").stdout == "1\n"
    #     assert sandbox.policy.resources.pids == 33
    # unasync: end


async def test_the_with_block_kills_at_its_end() -> None:
    async with await AsyncSandbox.create() as sandbox:
        assert await sandbox.is_running()
    assert not await sandbox.is_running()


async def test_the_with_block_kills_when_an_error_leaves_it() -> None:
    async def fail_inside() -> None:
        nonlocal sandbox
        async with await AsyncSandbox.create() as sandbox:
            raise ZeroDivisionError

    sandbox: AsyncSandbox | None = None
    with pytest.raises(ZeroDivisionError):
        await fail_inside()
    assert sandbox is not None
    assert not await sandbox.is_running()


async def test_kill_says_whether_there_was_something_to_kill(sandbox: AsyncSandbox) -> None:
    assert await sandbox.kill() is True
    assert await sandbox.kill() is False


async def test_kill_works_on_the_class_with_an_id_and_with_a_sandbox() -> None:
    first, second = await AsyncSandbox.create(), await AsyncSandbox.create()
    assert await AsyncSandbox.kill(first.sandbox_id) is True
    assert await AsyncSandbox.kill(first.sandbox_id) is False
    assert await AsyncSandbox.kill(second) is True
    assert not await first.is_running()
    assert not await second.is_running()


async def test_kill_of_an_unknown_id_is_false() -> None:
    assert await AsyncSandbox.kill("inosuchsandboxatall0") is False


async def test_kill_ends_commands_that_run(sandbox: AsyncSandbox) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True)
    await sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        await handle.wait()


async def test_every_call_on_a_killed_sandbox_says_that_it_does_not_run(
    sandbox: AsyncSandbox,
) -> None:
    handle = await sandbox.commands.run("sleep 1000", background=True, stdin=True)
    pid = handle.pid
    await sandbox.kill()
    calls = [
        lambda: sandbox.commands.run("true"),
        lambda: sandbox.commands.run("true", background=True),
        lambda: sandbox.commands.run_python("pass"),
        sandbox.commands.list,
        lambda: sandbox.commands.kill(pid),
        lambda: sandbox.commands.connect(pid),
        lambda: sandbox.commands.send_stdin(pid, "x"),
        lambda: sandbox.commands.close_stdin(pid),
        handle.wait,
        handle.kill,
        lambda: handle.send_stdin("x"),
        handle.close_stdin,
        lambda: sandbox.files.read("a"),
        lambda: sandbox.files.read("a", format="bytes"),
        lambda: sandbox.files.read("a", format="stream"),
        lambda: sandbox.files.write("a", "x"),
        lambda: sandbox.files.write_files([{"path": "a", "data": "x"}]),
        lambda: sandbox.files.list("/"),
        lambda: sandbox.files.exists("a"),
        lambda: sandbox.files.get_info("a"),
        lambda: sandbox.files.remove("a"),
        lambda: sandbox.files.rename("a", "b"),
        lambda: sandbox.files.make_dir("a"),
    ]
    for call in calls:
        with pytest.raises(SandboxNotRunningException, match=f"{sandbox.sandbox_id}.*killed"):
            await call()
    assert await sandbox.is_running() is False
    with pytest.raises(SandboxNotFoundException):
        await sandbox.set_timeout(10)
    with pytest.raises(SandboxNotFoundException):
        await sandbox.get_info()


async def test_a_sandbox_that_reached_its_timeout_says_so() -> None:
    sandbox = await AsyncSandbox.create(timeout=1)

    async def ended() -> bool:
        return not await sandbox.is_running()

    await until(ended)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        await sandbox.commands.run("true")
    assert await sandbox.kill() is False


async def test_the_timeout_holds_while_a_command_is_waited_for() -> None:
    sandbox = await AsyncSandbox.create(timeout=1)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        await sandbox.commands.run("sleep 1000", timeout=0)
    await sandbox.kill()


async def test_set_timeout_shortens() -> None:
    sandbox = await AsyncSandbox.create(timeout=3600)
    await sandbox.set_timeout(1)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        await sandbox.commands.run("sleep 1000", timeout=0)
    await sandbox.kill()


async def test_set_timeout_lengthens() -> None:
    sandbox = await AsyncSandbox.create(timeout=2)
    await sandbox.set_timeout(3600)
    # Longer than it would have lived; the clock is the guest's, which starts later than ours.
    assert (await sandbox.commands.run("sleep 2.2; echo alive")).stdout == "alive\n"
    assert (await sandbox.get_info()).end_at > datetime.now(UTC) + timedelta(seconds=3000)
    await sandbox.kill()


async def test_set_timeout_works_on_the_class() -> None:
    async with await AsyncSandbox.create(timeout=60) as sandbox:
        await AsyncSandbox.set_timeout(sandbox.sandbox_id, 1000)
        assert (await sandbox.get_info()).end_at > datetime.now(UTC) + timedelta(seconds=900)
        await AsyncSandbox.set_timeout(sandbox, 2000)
        assert (await sandbox.get_info()).end_at > datetime.now(UTC) + timedelta(seconds=1900)


async def test_set_timeout_of_an_unknown_id_is_not_found() -> None:
    with pytest.raises(SandboxNotFoundException):
        await AsyncSandbox.set_timeout("inosuchsandboxatall0", 10)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 10**12, "soon", True])
async def test_a_timeout_that_is_none_is_refused(timeout: object) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        await AsyncSandbox.create(timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1])
async def test_set_timeout_refuses_what_is_not_positive(
    sandbox: AsyncSandbox, timeout: int
) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        await sandbox.set_timeout(timeout)
    assert await sandbox.is_running()


async def test_get_info_tells_what_create_was_told() -> None:
    earlier = datetime.now(UTC)
    async with await AsyncSandbox.create(timeout=100, metadata={"owner": "me"}) as sandbox:
        info = await sandbox.get_info()
        assert (await AsyncSandbox.get_info(sandbox)).started_at == info.started_at
        assert (await AsyncSandbox.get_info(sandbox.sandbox_id)).metadata == {"owner": "me"}
    assert info.sandbox_id == sandbox.sandbox_id
    assert info.template_id == "base"
    assert info.metadata == {"owner": "me"}
    assert info.state is SandboxState.RUNNING
    # Two clocks: the zygote's start of the sandbox, ours before it.
    second = timedelta(seconds=1)
    assert earlier - second <= info.started_at <= datetime.now(UTC) + second
    assert timedelta(seconds=90) < info.end_at - info.started_at < timedelta(seconds=110)
    assert info.memory_mb == sandbox.policy.resources.memory_bytes >> 20


async def test_the_default_timeout_is_five_minutes(sandbox: AsyncSandbox) -> None:
    async with await AsyncSandbox.create() as sandbox:
        info = await sandbox.get_info()
    assert timedelta(seconds=290) < info.end_at - info.started_at < timedelta(seconds=310)


async def test_get_info_of_an_unknown_id_is_not_found() -> None:
    with pytest.raises(SandboxNotFoundException):
        await AsyncSandbox.get_info("inosuchsandboxatall0")


async def test_sandboxes_share_nothing(sandbox: AsyncSandbox) -> None:
    async with await AsyncSandbox.create() as other:
        await sandbox.files.write("mine", "1")
        await sandbox.files.write("/tmp/mine", "1")
        assert not await other.files.exists("mine")
        assert not await other.files.exists("/tmp/mine")


async def test_a_sandbox_made_in_a_shipped_profile_reports_its_walls(
    sandbox: AsyncSandbox,
) -> None:
    for wall in ("user-namespace", "private-root", "capabilities", "seccomp", "rlimits"):
        assert wall in sandbox.isolation


async def test_a_killed_sandbox_is_not_kept_in_mind(sandbox: AsyncSandbox) -> None:
    await sandbox.kill()
    assert registry.find(sandbox.sandbox_id) is None


async def test_many_sandboxes_at_once_never_cross() -> None:
    async def one(number: int) -> tuple[str, str, str]:
        async with await AsyncSandbox.create(envs={"NUMBER": str(number)}) as sandbox:
            await sandbox.files.write("number", f"file {number}")
            ran = await sandbox.commands.run("echo $NUMBER; cat number")
            python = await sandbox.commands.run_python("import os; print(os.environ['NUMBER'])")
            return ran.stdout, python.stdout, await sandbox.files.read("number")

    results = await all_at_once([lambda n=n: one(n) for n in range(16)])  # type: ignore[misc]
    for number, result in enumerate(results):
        assert result == (f"{number}\nfile {number}", f"{number}\n", f"file {number}")


async def test_many_calls_on_one_sandbox_at_once_never_cross(sandbox: AsyncSandbox) -> None:
    async def one(number: int) -> bool:
        text = f"{number}-" * 20_000
        path = f"file-{number}"
        await sandbox.files.write(path, text)
        ran = await sandbox.commands.run(f"cat {path}; echo {number} >&2")
        read = await sandbox.files.read(path)
        return ran.stdout == text == read and ran.stderr == f"{number}\n"

    assert all(await all_at_once([lambda n=n: one(n) for n in range(24)]))  # type: ignore[misc]
