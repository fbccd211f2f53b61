"""`localbox doctor`: finds the walls that stand, and would find one that does not."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from localbox.cli import doctor, outside, probes
from localbox.policy import MANDATORY_WALLS, OPTIONAL_WALLS
from tests.cli.command import ROOT, environment, localbox

# These two write outside a home directory; the first would do so on this machine as root.
_CHANGE_THE_MACHINE = ("private-root", "python-overlay")


@pytest.fixture(scope="module")
def report(_sandboxes_can_be_made):
    result = localbox("doctor", "--json")
    return result, json.loads(result.stdout)


def test_every_mandatory_wall_is_shown_to_hold_here(report):
    result, found = report
    walls = {wall["name"]: wall for wall in found["walls"] if wall["mandatory"]}
    assert set(walls) == set(MANDATORY_WALLS)
    assert [name for name, wall in walls.items() if wall["stands"] is not True] == []
    assert all(wall["shown"] and not wall["fix"] for wall in walls.values())
    assert (result.returncode, found["ok"]) == (0, True)


def test_an_optional_wall_holds_or_comes_with_a_fix(report):
    walls = {wall["name"]: wall for wall in report[1]["walls"] if not wall["mandatory"]}
    assert set(walls) == set(OPTIONAL_WALLS)
    for wall in walls.values():
        assert wall["stands"] is True or wall["fix"]
        # Whoever reads this is there already.
        assert "localbox doctor" not in wall["fix"]


def test_json_is_all_there_is_and_keeps_its_keys(report):
    result, found = report
    assert result.stderr == b""
    assert found["schema"] == 1
    assert list(found) == ["schema", "ok", "machine", "walls", "checks"]
    assert list(found["machine"]) == ["localbox", "kernel", "architecture", "python", "user"]
    assert {tuple(wall) for wall in found["walls"]} == {
        ("name", "stands", "mandatory", "shown", "fix")
    }
    checks = {check["name"]: check for check in found["checks"]}
    assert list(checks) == ["kernel", "libseccomp", "disk-limit", "python-overlay"]
    for name in ("kernel", "libseccomp", "disk-limit"):
        assert checks[name]["stands"] is True


def test_the_table_lists_every_wall():
    result = localbox("doctor")
    assert result.returncode == 0
    lines = result.stdout.decode().splitlines()
    for wall in (*MANDATORY_WALLS, *OPTIONAL_WALLS, "kernel"):
        assert any(line.split()[:1] == [wall] for line in lines), wall
    assert "mandatory walls hold" in lines[-1] or lines[-1] == "All walls hold."


def test_a_wall_that_cannot_be_built_is_named_with_its_fix(tmp_path):
    # Without the library there is no filter, unless one is left from before.
    code = (
        "import sys; sys.modules['pyseccomp'] = None; sys.argv.insert(1, 'doctor');"
        "from localbox.cli import main; main()"
    )
    env = environment(XDG_CACHE_HOME=str(tmp_path), HOME=str(tmp_path))
    command = [sys.executable, "-c", code]
    result = subprocess.run([*command, "--json"], env=env, capture_output=True, check=False)
    found = json.loads(result.stdout)
    assert (result.returncode, found["ok"]) == (1, False)
    walls = {wall["name"]: wall for wall in found["walls"]}
    assert walls["seccomp"]["stands"] is False
    assert "pip install pyseccomp" in walls["seccomp"]["fix"]
    assert walls["user-namespace"]["stands"] is None
    table = subprocess.run(command, env=env, capture_output=True, check=False)
    assert table.returncode == 1
    assert b"pip install pyseccomp" in b" ".join(table.stdout.split())
    assert b"Traceback" not in table.stderr


def test_where_no_sandbox_can_be_made_it_says_for_want_of_which_wall(open_directory):
    # Such a place is at hand: inside a sandbox there are no user namespaces, and depending on the
    # profile no way to ask the kernel about filters.
    for name in ("localbox", "profiles"):
        shutil.copytree(ROOT / name, open_directory / name)
    subprocess.run(["chmod", "-R", "a+rX", str(open_directory)], check=True)
    words = ("--ro", f"{open_directory}:/mnt/copy", "--env", "PYTHONPATH=/mnt/copy")
    result = localbox("run", *words, "--", "python", "-m", "localbox.cli", "doctor", "--json")
    found = json.loads(result.stdout)
    assert (result.returncode, found["ok"], result.stderr) == (1, False, b"")
    walls = {wall["name"]: wall for wall in found["walls"]}
    assert len(walls) == len(found["walls"]) == len(MANDATORY_WALLS) + len(OPTIONAL_WALLS)
    (missing,) = [name for name, wall in walls.items() if wall["stands"] is False]
    assert missing in {"user-namespace", "seccomp"}
    assert walls[missing]["shown"]
    assert walls[missing]["fix"]
    others = [wall for name, wall in walls.items() if name != missing]
    assert {(wall["stands"], wall["shown"]) for wall in others} == {
        (None, f"not tried without {missing}")
    }


@pytest.mark.parametrize("name", sorted(set(probes.PROBES) - set(_CHANGE_THE_MACHINE)))
def test_no_probe_is_satisfied_outside_a_sandbox(name, tmp_path):
    with doctor._bait() as facts:
        # Nothing is mounted here, so the bait is where it was made.
        facts["fifo"] = f"{facts['share']}/fifo"
        result = subprocess.run(
            [sys.executable, probes.__file__, name, json.dumps(facts)],
            env=environment(HOME=str(tmp_path)),
            capture_output=True,
            check=True,
        )
    verdict = json.loads(result.stdout)
    assert verdict["holds"] is False
    assert "the probe failed" not in verdict["shown"]


def test_the_hosts_own_processes_do_not_pass_for_contained():
    facts = {"pids": 48}
    assert outside.ids(1, facts)[0] is False
    assert outside.group(1, facts)[0] is False
