"""Steps of a build are guests: what they may do to the host, and to sandboxes made from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localbox import BuildException, Sandbox, Template
from localbox.templates import job, registry

pytestmark = pytest.mark.confinement


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_step_sees_no_file_of_the_host_s(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("the host's")
    step = f"[ ! -e {secret} ] && [ ! -e /etc/shadow ] && ! touch /usr/x && ! cat /root/x"
    Template.build(Template().from_base_image().run_cmd(step), "seen")


def test_a_step_sees_neither_the_context_nor_the_data_directory(
    tmp_path: Path, data_dir: Path
) -> None:
    (tmp_path / "file").write_text("not copied")
    step = f"[ ! -e {tmp_path}/file ] && [ ! -e {data_dir}/templates ]"
    Template.build(Template(tmp_path).from_base_image().run_cmd(step), "seen")


def test_a_link_that_a_step_leaves_leads_nowhere_on_the_host(tmp_path: Path) -> None:
    """Later steps write through it: the archive, the files, the working directory."""
    target = tmp_path / "target"
    target.mkdir()
    (tmp_path / "file").write_text("f")
    target.chmod(0o777)
    template = (
        Template(tmp_path)
        .from_base_image()
        .run_cmd(f"mkdir -p /app && ln -s {target} /app/out; ln -s {target}/a /tmp/.localbox-copy")
        .set_workdir("/app/out/made")
        .copy("file", "/app/out/")
    )
    # Inside, the target does not exist; what is made there is the sandbox's.
    with pytest.raises(BuildException):
        Template.build(template, "linked")
    assert list(target.iterdir()) == []


def test_what_a_step_prints_does_not_fill_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job, "MOST_LOG_BYTES", 10_000)
    info = Template.build(Template().from_base_image().run_cmd("seq 100000"), "loud")
    assert registry.log_path(info.build_id).stat().st_size < 12_000
    assert "the log is full" in Template.get_build_status(info).log_entries[-1].message


def test_what_a_step_prints_does_not_drive_the_terminal() -> None:
    said: list[str] = []
    step = r"printf '\033]0;title\007\033[2J\033[31mred\033[0m\033c\302\2332Jx\n'"
    Template.build(
        Template().from_base_image().run_cmd(step),
        "escapes",
        on_build_logs=lambda entry: said.append(entry.message),
    )
    # Of the command itself, which the log repeats, the escapes are words.
    shown = [line for line in said if "[stdout]" in line]
    assert shown == ["[1/1] [stdout]: redx"]


def test_the_network_of_a_build_stays_with_the_build() -> None:
    step = "grep -c : /proc/net/dev > interfaces"
    Template.build(Template().from_base_image().run_cmd(step), "networked")
    with Sandbox.create("networked") as sandbox:
        assert sandbox.commands.run("grep -c : /proc/net/dev").stdout == "1\n"
        assert "network-namespace" in sandbox.isolation


def test_nothing_a_step_has_is_left_running(tmp_path: Path) -> None:
    Template.build(
        Template().from_base_image().run_cmd("setsid sleep 1000 > /dev/null 2>&1 &"), "daemon"
    )
    with Sandbox.create("daemon") as sandbox:
        assert sandbox.commands.run("pgrep sleep || true").stdout == ""


def test_what_is_written_down_of_a_template_is_the_user_s_alone(data_dir: Path) -> None:
    Template.build(Template().from_base_image().set_envs({"TOKEN": "t"}).run_cmd("true"), "mine")
    (file,) = (data_dir / "templates").glob("*.json")
    assert json.loads(file.read_text())["name"] == "mine"
    assert file.stat().st_mode & 0o777 == 0o600
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_an_overlay_over_nothing_is_the_sandbox_s_own_and_one_over_a_directory_shows_it(
    tmp_path: Path,
) -> None:
    profile = tmp_path / "own.yaml"
    profile.write_text("filesystem: {overlay: [python, /app, /etc/ssl]}\n")
    with Sandbox.create(profile=str(profile)) as sandbox:
        sandbox.commands.run("touch /app/x && touch /etc/ssl/y && ls /etc/ssl/certs")
    assert not Path("/app/x").exists()
    assert not Path("/etc/ssl/y").exists()
    with Sandbox.create(profile=str(profile)) as sandbox:
        assert sandbox.commands.run("ls -A /app").stdout == ""
