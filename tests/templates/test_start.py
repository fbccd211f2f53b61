"""What a template starts in each of its sandboxes, and how it is waited for."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from localbox import (
    BuildException,
    CommandExitException,
    ReadyCmd,
    Sandbox,
    SandboxException,
    Template,
    TimeoutException,
    wait_for_file,
    wait_for_port,
    wait_for_process,
    wait_for_timeout,
    wait_for_url,
)
from localbox._sync import template_start
from localbox.engine import registry
from localbox.templates import readycmd

pytestmark = pytest.mark.usefixtures("data_dir")
_SERVER = "python -m http.server 8731"


@pytest.mark.parametrize(
    "ready",
    [
        wait_for_port(8731),
        wait_for_url("http://localhost:8731/"),
        wait_for_process("python"),
        "curl -s localhost:8731",
    ],
    ids=["port", "url", "process", "command"],
)
def test_a_server_runs_when_create_returns(ready: object):
    template = Template().from_base_image().set_workdir("/app").run_cmd("echo page > index.html")
    Template.build(template.set_start_cmd(_SERVER, ready), "served")  # type: ignore[arg-type]
    with Sandbox.create("served") as sandbox:
        if not isinstance(ready, str) and "pgrep" in ready.get_cmd():  # type: ignore[attr-defined]
            assert sandbox.commands.run("pgrep -f http.server").stdout
        else:
            assert sandbox.commands.run("curl -s localhost:8731").stdout == "page\n"


def test_the_command_has_the_template_s_variables_and_directory():
    template = Template().from_base_image().set_envs({"A": "1"}).set_workdir("/app")
    Template.build(template.set_start_cmd("echo $A $B $PWD > out", wait_for_file("out")), "env")
    with Sandbox.create("env", envs={"B": "2"}) as sandbox:
        assert sandbox.files.read("/app/out") == "1 2 /app\n"


def test_a_daemon_may_leave_its_command():
    start = "setsid sh -c 'sleep 0.1; touch /tmp/ready; sleep 1000' > /dev/null 2>&1 &"
    template = Template().from_base_image().set_start_cmd(start, wait_for_file("/tmp/ready"))
    Template.build(template, "daemon")
    with Sandbox.create("daemon") as sandbox:
        assert sandbox.files.exists("/tmp/ready")


def test_a_command_that_fails_fails_the_build_with_what_it_said():
    template = Template().from_base_image().set_start_cmd("echo broken >&2; exit 4", "false")
    with pytest.raises(BuildException, match="exit code 4") as caught:
        Template.build(template, "broken")
    assert "broken" in str(caught.value)
    assert not Template.exists("broken")


def test_a_dockerfile_s_command_that_fails_at_once_fails_the_build(context: Path):
    dockerfile = 'FROM python:3\nCMD ["no-such-program"]\n'
    with pytest.raises(BuildException, match="exit code 127"):
        Template.build(Template(context).from_dockerfile(dockerfile), "broken")


def test_a_sandbox_that_does_not_get_ready_is_no_sandbox(monkeypatch: pytest.MonkeyPatch):
    template = (
        Template().from_base_image().set_ready_cmd('[ -z "$NEVER" ] || (echo not yet; false)')
    )
    Template.build(template, "slow")
    monkeypatch.setattr(template_start, "READY_TIMEOUT_S", 0.2)
    before = len(registry.all_records())
    with pytest.raises(TimeoutException, match="not ready within") as caught:
        Sandbox.create("slow", envs={"NEVER": "1"})
    assert "not yet" in str(caught.value)
    assert len(registry.all_records()) == before


def test_a_ready_command_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    template = Template().from_base_image().set_ready_cmd('[ -z "$NEVER" ] || sleep 1000')
    Template.build(template, "hung")
    monkeypatch.setattr(template_start, "READY_TIMEOUT_S", 0.2)
    started = time.monotonic()
    with pytest.raises(TimeoutException):
        Sandbox.create("hung", envs={"NEVER": "1"})
    assert time.monotonic() - started < 10


def test_a_command_that_fails_in_a_sandbox_fails_its_creation():
    template = Template().from_base_image().set_start_cmd('[ -z "$BAD" ]', '[ -z "$BAD" ]')
    Template.build(template, "fails")
    Sandbox.create("fails").kill()
    with pytest.raises(SandboxException, match="start command ended with exit code 1"):
        Sandbox.create("fails", envs={"BAD": "1"})


def test_a_template_on_another_starts_what_that_starts():
    below = Template().from_base_image().set_start_cmd("touch /tmp/up", wait_for_file("/tmp/up"))
    Template.build(below, "below")
    Template.build(Template().from_template("below").run_cmd("touch more"), "above")
    with Sandbox.create("above") as sandbox:
        assert sandbox.files.exists("/tmp/up")


def test_a_time_to_wait_is_waited():
    Template.build(Template().from_base_image().set_ready_cmd("sleep 0.3"), "timed")
    started = time.monotonic()
    Sandbox.create("timed").kill()
    assert time.monotonic() - started >= 0.3
    assert wait_for_timeout(300).get_cmd() == "sleep 1"


def test_what_was_started_ends_with_the_sandbox():
    Template.build(Template().from_base_image().set_start_cmd("sleep 1000", "true"), "ends")
    sandbox = Sandbox.create("ends")
    (process,) = sandbox.commands.list()
    assert sandbox.commands.kill(process.pid)
    with pytest.raises(CommandExitException):
        sandbox.commands.run("pgrep sleep")
    sandbox.kill()


@pytest.mark.parametrize(
    "ready",
    [wait_for_port(8731), wait_for_url("http://localhost:8731/"), wait_for_process("python")],
    ids=["port", "url", "process"],
)
def test_ready_commands_work_where_their_tools_are_not_installed(
    ready: ReadyCmd, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(readycmd.shutil, "which", lambda *_words, **_options: None)
    command, variables = readycmd.with_missing_tools(ready.get_cmd())
    with Sandbox.create() as sandbox:
        with pytest.raises(CommandExitException) as caught:
            sandbox.commands.run(command, envs=variables)
        assert caught.value.stderr == ""
        sandbox.commands.run(_SERVER, background=True)
        while sandbox.commands.run(f"{command} && echo yes || true", envs=variables).stdout == "":
            pass


def test_tools_that_are_there_are_used():
    assert readycmd.with_missing_tools("test -f /x") == ("test -f /x", {})
