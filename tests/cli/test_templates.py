"""`localbox template`: build, list and rm."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localbox.templates import registry
from tests.cli.command import complaint, localbox
from tests.cli.terminal import Terminal


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    directory = tmp_path / "project"
    directory.mkdir()
    (directory / "Dockerfile").write_text("FROM python:3\nWORKDIR /app\nCOPY f .\nRUN cat f\n")
    (directory / "f").write_text("the file\n")
    return directory


def built(project: Path, *words: str) -> str:
    done = localbox("template", "build", str(project), *words)
    assert done.returncode == 0, done.stderr
    return str(done.stdout.decode())


def test_a_template_is_built_and_listed(project: Path):
    said = built(project, "--name", "mine:v1", "--tag", "new")
    assert "RUN cat f" in said
    assert "[stdout]: the file" in said
    assert "\x1b" not in said
    (row,) = json.loads(localbox("template", "list", "--json").stdout)
    assert row["name"] == "mine"
    assert row["tags"] == ["new", "v1"]
    lines = localbox("template", "list").stdout.decode().splitlines()
    assert lines[1].split()[:3] == ["mine", "new,", "v1"]


def test_a_tag_is_removed_and_a_template_with_all_it_was_made_of(project: Path):
    built(project, "--name", "mine:v1", "--tag", "new", "--quiet")
    assert localbox("template", "rm", "mine:new").returncode == 0
    (template,) = registry.templates()
    assert list(template.tags) == ["v1"]
    assert localbox("template", "rm", "mine").returncode == 0
    assert registry.templates() == []
    kept = project.parent / "data"
    assert list((kept / "templates" / "cache").iterdir()) == []
    assert [entry for entry in (kept / "layers").iterdir() if entry.is_dir()] == []


def test_the_outcome_can_be_read_by_machines(project: Path):
    built = localbox("template", "build", "-f", "Dockerfile", "-n", "mine", "--json", cwd=project)
    assert built.returncode == 0, built.stderr
    assert json.loads(built.stdout)["tags"] == ["default"]
    assert "the file" in built.stderr.decode()
    again = localbox("template", "build", str(project), "-n", "mine", "--quiet")
    assert (again.returncode, again.stdout, again.stderr) == (0, b"", b"")


def test_a_step_that_fails_is_one_line_and_exit_code_1(project: Path):
    (project / "Dockerfile").write_text("FROM python:3\nRUN echo why; exit 7\n")
    built = localbox("template", "build", str(project), "-n", "mine", "-q")
    assert built.returncode == 1
    assert "RUN echo why; exit 7: exit code 7" in complaint(built)


@pytest.mark.parametrize(
    ("dockerfile", "exit_code", "words"),
    [
        ('FROM python:3\nSHELL ["sh"]\n', 1, "line 2: SHELL is not supported"),
        ("FROM postgres:16\n", 1, "cannot build from image 'postgres:16'"),
        (None, 2, "there is no"),
    ],
    ids=["instruction", "image", "no file"],
)
def test_a_dockerfile_that_cannot_be_built_says_why(
    dockerfile: str | None, exit_code: int, words: str, project: Path
):
    (project / "Dockerfile").unlink()
    if dockerfile is not None:
        (project / "Dockerfile").write_text(dockerfile)
    built = localbox("template", "build", str(project), "-n", "mine", "-q")
    assert built.returncode == exit_code
    assert words in complaint(built)


def test_a_name_is_needed(project: Path):
    built = localbox("template", "build", str(project))
    assert built.returncode == 2
    assert "--name" in complaint(built)


def test_what_is_not_there_cannot_be_removed(project: Path):
    removed = localbox("template", "rm", "nothing")
    assert removed.returncode == 1
    assert "'nothing' is not found" in complaint(removed)


def test_on_a_terminal_a_line_tells_that_it_goes_on(project: Path):
    (project / "Dockerfile").write_text("FROM python:3\nRUN echo first; read < /tmp/fifo || true\n")
    with Terminal("template", "build", "-n", "mine", cwd=project) as terminal:
        terminal.expect("RUN echo first")
        terminal.expect("Building")
        terminal.expect("Built mine:default")
        assert terminal.wait() == 0
