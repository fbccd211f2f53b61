"""scripts/as_ordinary_user.py: the second half of `make test` is worth what this script is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import as_ordinary_user

ROOT = Path(__file__).resolve().parents[2]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def run(*command: str) -> subprocess.CompletedProcess[str]:
    script = str(ROOT / "scripts/as_ordinary_user.py")
    return subprocess.run(
        [sys.executable, script, *command], capture_output=True, text=True, check=False
    )


def test_a_closed_directory_shows_only_the_entry_that_leads_on(tmp_path: Path):
    wanted = tmp_path / "closed" / "open" / "wanted"
    wanted.mkdir(parents=True)
    (tmp_path / "closed" / "private").mkdir()
    (tmp_path / "closed").chmod(0o700)
    found = as_ordinary_user.closed_directories([wanted])
    assert found[tmp_path / "closed"] == {"open"}
    assert tmp_path / "closed" / "open" not in found


def test_a_closed_directory_that_is_itself_wanted_shows_everything(tmp_path: Path):
    for name in ("a", "b"):
        (tmp_path / "wanted" / name).mkdir(parents=True)
    (tmp_path / "wanted").chmod(0o700)
    found = as_ordinary_user.closed_directories([tmp_path / "wanted"])
    assert found[tmp_path / "wanted"] == {"a", "b"}


def test_closed_directories_come_outermost_first(tmp_path: Path):
    inner = tmp_path / "outer" / "inner"
    inner.mkdir(parents=True)
    for directory in (inner, tmp_path / "outer"):
        directory.chmod(0o700)
    found = [
        path for path in as_ordinary_user.closed_directories([inner]) if tmp_path in path.parents
    ]
    assert found == [tmp_path / "outer", inner]


@needs_root
def test_the_command_has_an_ordinary_uid_and_no_capability():
    program = "import os; print(*os.getresuid(), *os.getresgid(), *os.getgroups())"
    ids = {int(number) for number in run(sys.executable, "-c", program).stdout.split()}
    assert ids == {as_ordinary_user.unused_uid()}
    status = run("grep", "^Cap[IPEA]", "/proc/self/status").stdout
    assert {line.split()[1] for line in status.splitlines()} == {"0" * 16}


@needs_root
def test_the_home_is_writable_and_gone_afterwards():
    done = run("sh", "-c", 'echo x >"$HOME/a" && echo x >"$TMPDIR/b" && echo "$HOME"')
    home = Path(done.stdout.strip())
    assert done.returncode == 0
    assert home.parent == Path("/tmp")
    assert not home.exists()


@needs_root
def test_the_checkout_is_readable_but_not_writable():
    assert run("cat", "pyproject.toml").stdout == (ROOT / "pyproject.toml").read_text("utf-8")
    done = run("touch", "pyproject.toml")
    assert done.returncode == 1
    assert "Permission denied" in done.stderr


@needs_root
@pytest.mark.parametrize(("command", "status"), [("exit 3", 3), ("kill -9 $$", 137)])
def test_the_status_of_the_command_is_passed_on(command: str, status: int):
    assert run("sh", "-c", command).returncode == status


@needs_root
def test_no_mount_is_left_behind():
    before = Path("/proc/self/mountinfo").read_text("utf-8")
    run("true")
    assert Path("/proc/self/mountinfo").read_text("utf-8") == before
