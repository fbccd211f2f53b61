# generated from tests/client/_async/test_lifecycle.py by scripts/unasync.py; edit that, not this
"""A sandbox from `create` to its end, however it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from localbox import (
    InvalidArgumentException,
    Sandbox,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxState,
)
from localbox.engine import registry
from tests.client._sync.doing import all_at_once, until


def test_create_returns_a_sandbox_that_runs(sandbox: Sandbox) -> None:
    assert sandbox.is_running()
    assert sandbox.commands.run("echo hello").stdout == "hello\n"


def test_ids_have_e2bs_form_and_differ(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        assert other.sandbox_id != sandbox.sandbox_id
    assert len(sandbox.sandbox_id) == 20
    assert sandbox.sandbox_id.isalnum()


def test_the_constructor_creates_where_it_can() -> None:
    with Sandbox(timeout=60, envs={"A": "1"}, resources={"pids": 33}) as sandbox:
        assert sandbox.commands.run("echo $A").stdout == "1\n"
        assert sandbox.policy.resources.pids == 33


def test_the_with_block_kills_at_its_end() -> None:
    with Sandbox.create() as sandbox:
        assert sandbox.is_running()
    assert not sandbox.is_running()


def test_the_with_block_kills_when_an_error_leaves_it() -> None:
    def fail_inside() -> None:
        nonlocal sandbox
        with Sandbox.create() as sandbox:
            raise ZeroDivisionError

    sandbox: Sandbox | None = None
    with pytest.raises(ZeroDivisionError):
        fail_inside()
    assert sandbox is not None
    assert not sandbox.is_running()


def test_kill_says_whether_there_was_something_to_kill(sandbox: Sandbox) -> None:
    assert sandbox.kill() is True
    assert sandbox.kill() is False


def test_kill_works_on_the_class_with_an_id_and_with_a_sandbox() -> None:
    first, second = Sandbox.create(), Sandbox.create()
    assert Sandbox.kill(first.sandbox_id) is True
    assert Sandbox.kill(first.sandbox_id) is False
    assert Sandbox.kill(second) is True
    assert not first.is_running()
    assert not second.is_running()


def test_kill_of_an_unknown_id_is_false() -> None:
    assert Sandbox.kill("inosuchsandboxatall0") is False


def test_kill_ends_commands_that_run(sandbox: Sandbox) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True)
    sandbox.kill()
    with pytest.raises(SandboxNotRunningException):
        handle.wait()


def test_every_call_on_a_killed_sandbox_says_that_it_does_not_run(
    sandbox: Sandbox,
) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, stdin=True)
    pid = handle.pid
    sandbox.kill()
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
            call()
    assert sandbox.is_running() is False
    with pytest.raises(SandboxNotFoundException):
        sandbox.set_timeout(10)
    with pytest.raises(SandboxNotFoundException):
        sandbox.get_info()


def test_a_sandbox_that_reached_its_timeout_says_so() -> None:
    sandbox = Sandbox.create(timeout=1)

    def ended() -> bool:
        return not sandbox.is_running()

    until(ended)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        sandbox.commands.run("true")
    assert sandbox.kill() is False


def test_the_timeout_holds_while_a_command_is_waited_for() -> None:
    sandbox = Sandbox.create(timeout=1)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        sandbox.commands.run("sleep 1000", timeout=0)
    sandbox.kill()


def test_set_timeout_shortens() -> None:
    sandbox = Sandbox.create(timeout=3600)
    sandbox.set_timeout(1)
    with pytest.raises(SandboxNotRunningException, match="timeout expired"):
        sandbox.commands.run("sleep 1000", timeout=0)
    sandbox.kill()


def test_set_timeout_lengthens() -> None:
    sandbox = Sandbox.create(timeout=2)
    sandbox.set_timeout(3600)
    # Longer than it would have lived; the clock is the guest's, which starts later than ours.
    assert sandbox.commands.run("sleep 2.2; echo alive").stdout == "alive\n"
    assert sandbox.get_info().end_at > datetime.now(UTC) + timedelta(seconds=3000)
    sandbox.kill()


def test_set_timeout_works_on_the_class() -> None:
    with Sandbox.create(timeout=60) as sandbox:
        Sandbox.set_timeout(sandbox.sandbox_id, 1000)
        assert sandbox.get_info().end_at > datetime.now(UTC) + timedelta(seconds=900)
        Sandbox.set_timeout(sandbox, 2000)
        assert sandbox.get_info().end_at > datetime.now(UTC) + timedelta(seconds=1900)


def test_set_timeout_of_an_unknown_id_is_not_found() -> None:
    with pytest.raises(SandboxNotFoundException):
        Sandbox.set_timeout("inosuchsandboxatall0", 10)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), 10**12, "soon", True])
def test_a_timeout_that_is_none_is_refused(timeout: object) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        Sandbox.create(timeout=timeout)  # type: ignore[arg-type]


@pytest.mark.parametrize("timeout", [0, -1])
def test_set_timeout_refuses_what_is_not_positive(sandbox: Sandbox, timeout: int) -> None:
    with pytest.raises(InvalidArgumentException, match="timeout"):
        sandbox.set_timeout(timeout)
    assert sandbox.is_running()


def test_get_info_tells_what_create_was_told() -> None:
    earlier = datetime.now(UTC)
    with Sandbox.create(timeout=100, metadata={"owner": "me"}) as sandbox:
        info = sandbox.get_info()
        assert Sandbox.get_info(sandbox).started_at == info.started_at
        assert Sandbox.get_info(sandbox.sandbox_id).metadata == {"owner": "me"}
    assert info.sandbox_id == sandbox.sandbox_id
    assert info.template_id == "base"
    assert info.metadata == {"owner": "me"}
    assert info.state is SandboxState.RUNNING
    # Two clocks: the zygote's start of the sandbox, ours before it.
    second = timedelta(seconds=1)
    assert earlier - second <= info.started_at <= datetime.now(UTC) + second
    assert timedelta(seconds=90) < info.end_at - info.started_at < timedelta(seconds=110)
    assert info.memory_mb == sandbox.policy.resources.memory_bytes >> 20


def test_the_default_timeout_is_five_minutes(sandbox: Sandbox) -> None:
    with Sandbox.create() as sandbox:
        info = sandbox.get_info()
    assert timedelta(seconds=290) < info.end_at - info.started_at < timedelta(seconds=310)


def test_get_info_of_an_unknown_id_is_not_found() -> None:
    with pytest.raises(SandboxNotFoundException):
        Sandbox.get_info("inosuchsandboxatall0")


def test_sandboxes_share_nothing(sandbox: Sandbox) -> None:
    with Sandbox.create() as other:
        sandbox.files.write("mine", "1")
        sandbox.files.write("/tmp/mine", "1")
        assert not other.files.exists("mine")
        assert not other.files.exists("/tmp/mine")


def test_a_sandbox_made_in_a_shipped_profile_reports_its_walls(
    sandbox: Sandbox,
) -> None:
    for wall in ("user-namespace", "private-root", "capabilities", "seccomp", "rlimits"):
        assert wall in sandbox.isolation


def test_a_killed_sandbox_is_not_kept_in_mind(sandbox: Sandbox) -> None:
    sandbox.kill()
    assert registry.find(sandbox.sandbox_id) is None


def test_many_sandboxes_at_once_never_cross() -> None:
    def one(number: int) -> tuple[str, str, str]:
        with Sandbox.create(envs={"NUMBER": str(number)}) as sandbox:
            sandbox.files.write("number", f"file {number}")
            ran = sandbox.commands.run("echo $NUMBER; cat number")
            python = sandbox.commands.run_python("import os; print(os.environ['NUMBER'])")
            return ran.stdout, python.stdout, sandbox.files.read("number")

    results = all_at_once([lambda n=n: one(n) for n in range(16)])  # type: ignore[misc]
    for number, result in enumerate(results):
        assert result == (f"{number}\nfile {number}", f"{number}\n", f"file {number}")


def test_many_calls_on_one_sandbox_at_once_never_cross(sandbox: Sandbox) -> None:
    def one(number: int) -> bool:
        text = f"{number}-" * 20_000
        path = f"file-{number}"
        sandbox.files.write(path, text)
        ran = sandbox.commands.run(f"cat {path}; echo {number} >&2")
        read = sandbox.files.read(path)
        return ran.stdout == text == read and ran.stderr == f"{number}\n"

    assert all(all_at_once([lambda n=n: one(n) for n in range(24)]))  # type: ignore[misc]
