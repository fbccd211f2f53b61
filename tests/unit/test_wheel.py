"""What is in the wheel, built from the sdist, as anyone who installs localbox gets it."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import localbox

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    # Without isolation: the tests of an offline machine have the build backend installed.
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(directory), str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def wheel(built: Path) -> Iterator[zipfile.ZipFile]:
    [path] = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    [path] = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {name.partition("/")[2] for name in archive.getnames()}


def test_the_wheel_needs_no_compiler_and_fits_every_python_3(built: Path):
    [path] = built.glob("*.whl")
    assert path.name == f"localbox-{localbox.__version__}-py3-none-any.whl"


def test_the_wheel_ships_every_profile(wheel: zipfile.ZipFile):
    profiles = {path.name for path in (ROOT / "profiles").glob("*.yaml")}
    assert {"data-analysis.yaml", "default.yaml", "strict.yaml", "trusted.yaml"} <= profiles
    shipped = {Path(name).name for name in wheel.namelist() if "localbox/profiles/" in name}
    assert profiles <= shipped
    for name in profiles:
        assert wheel.read(f"localbox/profiles/{name}") == (ROOT / "profiles" / name).read_bytes()


def test_the_wheel_ships_every_module_and_the_types_marker(wheel: zipfile.ZipFile):
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "localbox").rglob("*.py")}
    assert {*modules, "localbox/py.typed"} <= set(wheel.namelist())


def test_the_wheel_holds_the_package_and_its_metadata_only(wheel: zipfile.ZipFile):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"localbox", f"localbox-{localbox.__version__}.dist-info"}
    assert not [name for name in wheel.namelist() if name.endswith((".pyc", ".so"))]


def test_the_wheel_carries_the_licence_and_the_command(wheel: zipfile.ZipFile):
    information = f"localbox-{localbox.__version__}.dist-info"
    licence = wheel.read(f"{information}/licenses/LICENSE").decode()
    assert licence == (ROOT / "LICENSE").read_text("utf-8")
    assert "localbox = localbox.cli:main" in wheel.read(f"{information}/entry_points.txt").decode()


def test_the_core_depends_on_two_packages(wheel: zipfile.ZipFile):
    metadata = wheel.read(f"localbox-{localbox.__version__}.dist-info/METADATA").decode()
    required = [line for line in metadata.splitlines() if line.startswith("Requires-Dist:")]
    core = {line.split()[1].partition(">")[0] for line in required if "extra ==" not in line}
    assert core == {"pyyaml", "pyseccomp"}


def test_the_sdist_can_be_tested(sdist: set[str]):
    expected = {"Makefile", "pyproject.toml", "LICENSE", "tests/conftest.py", "scripts/unasync.py"}
    assert expected <= sdist


def test_the_sdist_leaves_out_what_git_ignores(sdist: set[str]):
    assert not [name for name in sdist if name.startswith(".venv") or name.endswith(".pyc")]
