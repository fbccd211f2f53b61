"""What the README says can be done, can be done."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from localbox.policy import load_profile

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_readme_has_an_example_of_about_fifteen_lines() -> None:
    first = blocks(ROOT / "README.md", "python")[0]
    assert 10 <= len([line for line in first.splitlines() if line.strip()]) <= 18


@pytest.mark.parametrize("number", range(len(blocks(ROOT / "README.md", "python"))))
def test_python_in_the_readme_runs(number: int, tmp_path: Path) -> None:
    code = blocks(ROOT / "README.md", "python")[number]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "print(sandbox.isolation)" not in code or "private-root" in done.stdout


def test_the_profile_in_the_readme_is_valid(tmp_path: Path) -> None:
    (text,) = blocks(ROOT / "README.md", "yaml")
    data = tmp_path / "data"
    data.mkdir()
    profile = tmp_path / "exam.yaml"
    profile.write_text(text.replace("/srv/exam/data", str(data)))
    policy = load_profile(profile)
    assert policy.resources.memory_bytes == 1 << 30
    assert policy.network.mode == "none"


def test_the_table_of_profiles_says_what_the_profiles_say() -> None:
    table = (ROOT / "README.md").read_text()
    for name in ("default", "strict", "data-analysis", "trusted"):
        policy = load_profile(name)
        (row,) = re.findall(rf"^\| `{name}` \|.*\|$", table, re.MULTILINE)
        network, memory, disk = (cell.strip() for cell in row.split("|")[3:6])
        assert size(memory) == policy.resources.memory_bytes, row
        assert size(disk) == policy.filesystem.disk_bytes, row
        words = {"loopback": "localhost inside", "none": "none", "host": "this machine's"}
        assert network == words[policy.network.mode], row


def size(text: str) -> int:
    number, unit = text.split()
    return int(number) << {"MiB": 20, "GiB": 30}[unit]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
