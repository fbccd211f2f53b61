# generated from tests/client/_async/test_pause.py by scripts/unasync.py; edit that, not this
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
    InvalidArgumentException,
    Sandbox,
    SandboxNotFoundException,
    SandboxNotRunningException,
    SandboxState,
    ServiceBusyException,
    TimeoutException,
)
from localbox._sync import sandbox_control
from tests.client._sync.doing import all_at_once, until


def test_pause_is_true_once_and_connect_resumes(sandbox: Sandbox) -> None:
    assert sandbox.pause() is True
    assert sandbox.pause() is False
    assert not sandbox.is_running()
    assert sandbox.get_info().state is SandboxState.PAUSED
    assert sandbox.connect() is sandbox
    assert sandbox.is_running()
    assert sandbox.get_info().state is SandboxState.RUNNING
    assert sandbox.commands.run("echo back").stdout == "back\n"


def test_every_call_on_a_paused_sandbox_says_so_and_how_to_go_on(
    sandbox: Sandbox,
) -> None:
    the_class: Any = Sandbox
    same = the_class.connect(sandbox.sandbox_id)
    sandbox.run_code("x = 1")
    sandbox.pause()
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
                call()


def test_processes_variables_and_files_are_there_after_a_pause(
    sandbox: Sandbox,
) -> None:
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.run_code("x = 41")
    sandbox.files.write("note", "kept")
    sandbox.pause()
    sandbox.connect()
    handle.send_stdin("it\n")
    handle.close_stdin()
    assert handle.wait().stdout == "it\n"
    assert sandbox.run_code("x + 1").text == "42"
    assert sandbox.files.read("note") == "kept"


@pytest.mark.parametrize("options", [{"mode": "filesystem"}, {"keep_memory": False}])
def test_filesystem_mode_keeps_files_and_ends_processes(
    sandbox: Sandbox, options: dict[str, Any]
) -> None:
    sandbox.files.write("note", "kept")
    sandbox.run_code("x = 41")
    handle = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    assert sandbox.pause(**options)
    sandbox.connect()
    assert sandbox.files.read("note") == "kept"
    assert sandbox.commands.list() == []
    assert not sandbox.commands.kill(handle.pid)
    error = sandbox.run_code("x").error
    assert error is not None
    assert error.name == "NameError"


def test_a_reboot_ends_the_processes_of_a_paused_sandbox_only(
    sandbox: Sandbox,
) -> None:
    handle = sandbox.commands.run("sleep 1000", background=True, timeout=0)
    sandbox.connect(on_resume="reboot")
    assert [process.pid for process in sandbox.commands.list()] == [handle.pid]
    sandbox.pause()
    sandbox.connect(on_resume="reboot")
    assert sandbox.commands.list() == []


def test_pause_and_connect_work_on_the_class(sandbox: Sandbox) -> None:
    the_class: Any = Sandbox
    assert the_class.pause(sandbox.sandbox_id)
    assert not the_class.beta_pause(sandbox)
    other = the_class.connect(sandbox.sandbox_id, timeout=100)
    assert other is not sandbox
    assert other.sandbox_id == sandbox.sandbox_id
    assert sandbox.is_running()
    for call in (the_class.pause, the_class.connect):
        with pytest.raises(SandboxNotFoundException):
            call("i" + "0" * 19)


def test_a_sandbox_that_was_killed_can_be_neither_paused_nor_connected(
    sandbox: Sandbox,
) -> None:
    sandbox.pause()
    sandbox.kill()
    with pytest.raises(SandboxNotFoundException, match="killed"):
        sandbox.pause()
    with pytest.raises(SandboxNotFoundException, match="killed"):
        sandbox.connect()


def test_connect_extends_a_running_sandbox_and_never_shortens_it(
    sandbox: Sandbox,
) -> None:
    sandbox.set_timeout(1000)
    sandbox.connect(timeout=10)
    assert _left(sandbox) > 900
    sandbox.connect(timeout=2000)
    assert _left(sandbox) > 1900


def test_a_paused_sandbox_does_not_expire_and_gets_its_time_from_connect(
    sandbox: Sandbox,
) -> None:
    sandbox.set_timeout(1)
    sandbox.pause()
    paused_at = sandbox.get_info().end_at
    # The zygote looks at deadlines before it answers anything later than them.
    with Sandbox.create(timeout=1) as other:
        until(lambda: _has_ended(other))
    assert sandbox.get_info().state is SandboxState.PAUSED
    assert abs(sandbox.get_info().end_at - paused_at) < timedelta(seconds=0.1)
    sandbox.connect(timeout=500)
    assert 490 < _left(sandbox) <= 500


def test_at_its_timeout_a_sandbox_pauses_if_its_lifecycle_says_so() -> None:
    lifecycle: Any = {"on_timeout": "pause"}
    with Sandbox.create(timeout=60, lifecycle=cast(Any, lifecycle)) as sandbox:
        info = sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": False}
        handle = sandbox.commands.run("cat", background=True, stdin=True)
        sandbox.set_timeout(cast(int, 0.05))
        until(lambda: _is_paused(sandbox))
        with pytest.raises(SandboxNotRunningException, match="paused"):
            sandbox.commands.run("true")
        sandbox.connect(timeout=60)
        handle.send_stdin("it\n")
        handle.close_stdin()
        assert handle.wait().stdout == "it\n"


def test_at_its_timeout_a_sandbox_may_lose_its_processes_and_keep_its_files() -> None:
    lifecycle: Any = {"on_timeout": {"action": "pause", "mode": "filesystem"}}
    with Sandbox.create(timeout=60, lifecycle=cast(Any, lifecycle)) as sandbox:
        sandbox.files.write("note", "kept")
        sandbox.commands.run("sleep 1000", background=True, timeout=0)
        sandbox.set_timeout(cast(int, 0.05))
        until(lambda: _is_paused(sandbox))
        sandbox.connect()
        assert sandbox.files.read("note") == "kept"
        assert sandbox.commands.list() == []


def test_with_auto_resume_the_next_call_goes_through() -> None:
    lifecycle: Any = {"on_timeout": "pause", "auto_resume": True}
    with Sandbox.create(timeout=60, lifecycle=cast(Any, lifecycle)) as sandbox:
        info = sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "pause", "auto_resume": True}
        sandbox.run_code("x = 41")
        sandbox.pause()
        # Asking whether it runs does not make it run.
        assert not sandbox.is_running()
        assert not sandbox.is_running()
        assert sandbox.run_code("x + 1").text == "42"
        sandbox.pause()
        assert sandbox.commands.run("echo awake").stdout == "awake\n"
        assert 50 < _left(sandbox) <= 60


def test_at_its_wall_time_a_sandbox_ends_whatever_its_lifecycle_says() -> None:
    lifecycle: Any = {"on_timeout": "pause"}
    with Sandbox.create(lifecycle=lifecycle, resources={"wall_time": 0.5}) as sandbox:
        until(lambda: _has_ended(sandbox))


def test_the_wall_time_does_not_pass_in_a_pause() -> None:
    with Sandbox.create(resources={"wall_time": 1}) as sandbox:
        sandbox.pause()
        with Sandbox.create(timeout=1) as other:
            until(lambda: _has_ended(other))
        sandbox.connect()
        assert 0 < _left(sandbox) <= 1


def test_a_sandbox_with_a_cgroup_pauses_like_any_other() -> None:
    # "strict" has one where one can be made.
    with Sandbox.create(timeout=60, profile="strict") as sandbox:
        sandbox.run_code("x = 41")
        assert sandbox.pause()
        assert not sandbox.is_running()
        sandbox.connect()
        assert sandbox.run_code("x + 1").text == "42"


def test_without_a_lifecycle_a_sandbox_is_killed_at_its_timeout() -> None:
    with Sandbox.create(timeout=60) as sandbox:
        info = sandbox.get_info()
        assert info.lifecycle == {"on_timeout": "kill", "auto_resume": False}
        sandbox.set_timeout(cast(int, 0.05))
        until(lambda: _has_ended(sandbox))


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
def test_a_lifecycle_that_cannot_be_is_refused(lifecycle: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgumentException, match=complaint):
        Sandbox.create(lifecycle=cast(Any, lifecycle))


def test_arguments_that_cannot_be_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="mode must be"):
        sandbox.pause(mode=cast(Any, "half"))
    with pytest.raises(InvalidArgumentException, match="not both"):
        sandbox.pause(True, mode="full")
    with pytest.raises(InvalidArgumentException, match="on_resume must be"):
        sandbox.connect(on_resume=cast(Any, "again"))
    with pytest.raises(InvalidArgumentException, match="timeout"):
        sandbox.connect(timeout=-1)
    assert sandbox.is_running()


def test_a_pause_may_insist_on_an_agent_that_answers(sandbox: Sandbox) -> None:
    assert sandbox.pause(strict=True)
    assert not sandbox.pause(strict=True)


def test_strict_refuses_to_pause_a_sandbox_whose_agent_hangs(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_control, "_HEALTHY_WITHIN_S", 0.05)
    pid = sandbox._connection.ask_zygote({"op": "info"})["pid"]
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(ServiceBusyException, match="did not answer"):
        sandbox.pause(strict=True)
    os.kill(pid, signal.SIGCONT)
    assert sandbox.is_running()
    assert sandbox.pause(strict=True)


def test_a_cell_whose_timeout_expires_in_a_pause_keeps_its_context(
    sandbox: Sandbox,
) -> None:
    sandbox.run_code("import time; x = 41")

    def run_cell() -> None:
        with pytest.raises(TimeoutException, match="paused"):
            sandbox.run_code("open('begun', 'w').close(); time.sleep(1000)", timeout=1)

    def pause() -> None:
        until(lambda: sandbox.files.exists("begun"))
        sandbox.pause()

    all_at_once([run_cell, pause])
    sandbox.connect()
    assert sandbox.run_code("x + 1").text == "42"


def test_all_can_pause_and_connect_at_once(sandbox: Sandbox) -> None:
    answers = all_at_once([sandbox.pause] * 8)
    assert sorted(answers) == [False] * 7 + [True]
    all_at_once([sandbox.connect] * 8)
    assert sandbox.is_running()


def test_a_paused_sandbox_ends_with_the_with_block() -> None:
    with Sandbox.create() as sandbox:
        pid = sandbox._connection.ask_zygote({"op": "info"})["pid"]
        sandbox.pause()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _left(sandbox: Sandbox) -> float:
    return (sandbox.get_info().end_at - datetime.now(UTC)).total_seconds()


def _is_paused(sandbox: Sandbox) -> bool:
    return sandbox.get_info().state is SandboxState.PAUSED


def _has_ended(sandbox: Sandbox) -> bool:
    try:
        sandbox.get_info()
    except SandboxNotFoundException:
        return True
    return False
