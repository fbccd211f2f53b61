"""Templates from asyncio, in the background, several at once, and broken off."""

from __future__ import annotations

import asyncio
import threading

import pytest

from localbox import (
    AsyncSandbox,
    AsyncTemplate,
    BuildException,
    BuildInfo,
    LogEntry,
    Sandbox,
    Template,
    TemplateBuildStatus,
)
from localbox.engine import registry
from tests.leftovers import wait_until

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.mark.anyio
async def test_a_template_is_built_and_used_from_asyncio():
    threads: set[int] = set()
    template = AsyncTemplate().from_base_image().run_cmd("echo async > file").set_workdir("/app")
    info = await AsyncTemplate.build(
        template, "mine", on_build_logs=lambda _entry: threads.add(threading.get_ident())
    )
    assert threads == {threading.get_ident()}
    assert await AsyncTemplate.exists("mine")
    assert [tag.tag for tag in await AsyncTemplate.get_tags(info.template_id)] == ["default"]
    async with await AsyncSandbox.create("mine") as sandbox:
        assert (await sandbox.commands.run("cat ~/file; pwd")).stdout == "async\n/app\n"


@pytest.mark.anyio
async def test_a_start_command_is_waited_for_without_stopping_the_loop():
    template = (
        AsyncTemplate().from_base_image().set_start_cmd("sleep 0.2; touch /tmp/x", "[ -f /tmp/x ]")
    )
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    await AsyncTemplate.build(template, "mine")
    ticking = asyncio.create_task(tick())
    async with await AsyncSandbox.create("mine") as sandbox:
        assert ticks > 3
        assert await sandbox.files.exists("/tmp/x")
    ticking.cancel()


@pytest.mark.anyio
async def test_a_build_that_nobody_waits_for_any_more_ends():
    running = asyncio.Event()

    def look(entry: LogEntry) -> None:
        if "RUN sleep" in entry.message:
            running.set()

    template = AsyncTemplate().from_base_image().run_cmd("sleep 1000")
    building = asyncio.create_task(AsyncTemplate.build(template, "mine", on_build_logs=look))
    await running.wait()
    wait_until(lambda: len(registry.all_records()) == 1)
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    await asyncio.to_thread(wait_until, lambda: not registry.all_records())
    assert not await AsyncTemplate.exists("mine")


@pytest.mark.anyio
async def test_an_error_in_the_log_s_function_ends_the_build():
    def fail(entry: LogEntry) -> None:
        if "[1/1]" in entry.message:
            raise LookupError("no")

    with pytest.raises(LookupError):
        await AsyncTemplate.build(
            AsyncTemplate().from_base_image().run_cmd("true"), "mine", on_build_logs=fail
        )


def test_a_build_goes_on_in_the_background():
    template = Template().from_base_image().run_cmd("echo done > file")
    entries: list[LogEntry] = []
    info = Template.build_in_background(template, "mine", on_build_logs=entries.append)
    assert info.tags == ["default"]
    finish(info)
    assert Template.get_build_status(info).status is TemplateBuildStatus.READY
    assert any("RUN echo" in entry.message for entry in entries)
    with Sandbox.create("mine") as sandbox:
        assert sandbox.files.read("file") == "done\n"


def test_a_failure_in_the_background_is_told_by_the_status():
    info = Template.build_in_background(Template().from_base_image().run_cmd("exit 5"), "mine")
    finish(info)
    status = Template.get_build_status(info)
    assert status.status is TemplateBuildStatus.ERROR
    assert status.reason is not None
    assert "exit code 5" in status.reason.message
    assert status.reason.step == "1"


def test_several_builds_at_once_do_not_disturb_each_other():
    infos = [
        Template.build_in_background(
            Template().from_base_image().run_cmd("echo same").run_cmd(f"echo {number} > file"),
            f"mine-{number % 2}:v{number}",
        )
        for number in range(4)
    ]
    for info in infos:
        finish(info)
    for number in range(4):
        with Sandbox.create(f"mine-{number % 2}:v{number}") as sandbox:
            assert sandbox.files.read("file") == f"{number}\n"


def test_one_description_is_for_both_clients():
    Template.build(AsyncTemplate().from_base_image().run_cmd("echo x > file"), "mine")
    with pytest.raises(BuildException):
        Template.build(AsyncTemplate().from_image("nothing:1"), "other")


def finish(info: BuildInfo) -> None:
    running = {TemplateBuildStatus.BUILDING, TemplateBuildStatus.WAITING}
    wait_until(lambda: Template.get_build_status(info).status not in running)
    for thread in threading.enumerate():
        if thread.name.startswith("localbox-build-"):
            thread.join()
