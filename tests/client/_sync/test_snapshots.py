# generated from tests/client/_async/test_snapshots.py by scripts/unasync.py; edit that, not this
"""Snapshots: a sandbox's files, kept, and sandboxes that start with them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localbox import (
    InvalidArgumentException,
    NotFoundException,
    Sandbox,
    SandboxException,
    SandboxNotFoundException,
    SnapshotInfo,
)
from localbox.engine.layers import MOST_LAYERS
from localbox.policy import load_profile, merge_overrides
from tests.client._sync.layered import layers_in


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def test_a_sandbox_made_from_a_snapshot_starts_with_its_files(sandbox: Sandbox):
    sandbox.files.write("notes/a.txt", "kept")
    sandbox.commands.run("echo t > /tmp/t; ln -s notes/a.txt link; chmod 700 notes")
    snapshot = sandbox.create_snapshot()
    assert isinstance(snapshot, SnapshotInfo)
    assert snapshot.names == []
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.files.read("notes/a.txt") == "kept"
        seen = other.commands.run("cat link /tmp/t; stat -c '%a %U' notes notes/a.txt")
        assert seen.stdout == "keptt\n700 user\n644 user\n"
        assert other.get_info().template_id == snapshot.snapshot_id


def test_the_source_keeps_running(sandbox: Sandbox):
    sandbox.run_code("value = 41")
    waiting = sandbox.commands.run("read word; echo got $word", background=True, stdin=True)
    sandbox.create_snapshot()
    assert sandbox.run_code("value + 1").text == "42"
    assert sandbox.is_running()
    waiting.send_stdin("it\n")
    assert waiting.wait().stdout == "got it\n"


def test_what_is_written_later_is_in_neither(sandbox: Sandbox):
    sandbox.files.write("file", "then")
    snapshot = sandbox.create_snapshot()
    sandbox.files.write("file", "later")
    with (
        Sandbox.create(snapshot.snapshot_id, timeout=60) as first,
        Sandbox.create(snapshot.snapshot_id, timeout=60) as second,
    ):
        first.files.write("file", "first")
        first.files.remove("/tmp/none")
        assert second.files.read("file") == "then"
        assert first.files.read("file") == "first"
    assert sandbox.files.read("file") == "later"


def test_what_was_deleted_stays_deleted_in_a_snapshot_of_a_snapshot(sandbox: Sandbox):
    sandbox.commands.run("mkdir -p d/e gone; touch d/e/f d/keep gone/x old")
    below = sandbox.create_snapshot()
    with Sandbox.create(below.snapshot_id, timeout=60) as middle:
        middle.commands.run("rm -r gone old d/e/f; rm -rf d/e; mkdir d/e; touch d/e/new")
        above = middle.create_snapshot()
    with Sandbox.create(above.snapshot_id, timeout=60) as other:
        found = other.commands.run("find . -mindepth 1 | sort")
        assert found.stdout.split() == ["./d", "./d/e", "./d/e/new", "./d/keep"]


def test_a_snapshot_of_many_layers_is_joined_and_the_same(sandbox: Sandbox):
    sandbox.commands.run("mkdir gone; touch gone/x f0")
    current = sandbox
    forks = []
    for number in range(1, MOST_LAYERS + 3):
        (fork,) = current.fork(timeout=120)
        assert isinstance(fork, Sandbox)
        forks.append(fork)
        change = {3: "rm -r gone", 5: "mkdir gone; touch gone/new"}.get(number, "true")
        fork.commands.run(f"touch f{number}; rm -f f{number - 2}; {change}")
        current = fork
    found = current.commands.run("ls; ls gone")
    assert found.stdout.split() == [f"f{number - 1}", f"f{number}", "gone", "new"]
    assert current._record.use is not None
    assert len(current._record.use.stack.layers) <= MOST_LAYERS
    snapshot = current.create_snapshot()
    for fork in forks:
        fork.kill()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.commands.run("ls; ls gone").stdout == found.stdout


def test_what_is_hidden_of_the_hosts_files_stays_hidden(tmp_path: Path, data: Path):
    """In an overlay over a directory of the host's, such as the Python environment."""
    for name in ("a", "b", "d/x", "gone/y"):
        (tmp_path / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lib" / name).write_text(name)
    policy = merge_overrides(load_profile("default"), readonly=[(tmp_path / "lib", "/opt/lib")])
    overlay = dataclasses.replace(policy.filesystem, overlay=("/opt/lib",))
    policy = dataclasses.replace(policy, filesystem=overlay)
    with Sandbox.create(profile=policy, timeout=60) as sandbox:
        sandbox.commands.run("cd /opt/lib; rm -r a d gone; mkdir d; echo n > d/new; echo more >> b")
        expected = "/opt/lib/b\n/opt/lib/d\n/opt/lib/d/new\nbmore\n"
        current = sandbox
        forks = []
        look = "find /opt/lib -mindepth 1 | sort; cat /opt/lib/b"
        # Far enough for layers to be joined.
        for _ in range(MOST_LAYERS + 2):
            assert current.commands.run(look).stdout == expected
            (made,) = current.fork(60)
            assert isinstance(made, Sandbox)
            forks.append(made)
            current = made
            current.commands.run("touch /opt/lib/t; rm /opt/lib/t")
        snapshot = current.create_snapshot()
        for made in forks:
            made.kill()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.commands.run(look).stdout == expected
        other.commands.run("mkdir /opt/lib/gone; test -z $(ls /opt/lib/gone)")
    assert (tmp_path / "lib" / "a").exists()


def test_a_name_is_as_good_as_the_id_and_moves_to_the_newest(sandbox: Sandbox):
    sandbox.files.write("file", "1")
    first = sandbox.create_snapshot("nightly")
    assert first.names == ["nightly:default"]
    sandbox.files.write("file", "2")
    second = sandbox.create_snapshot("nightly")
    tagged = sandbox.create_snapshot("nightly:v1")
    assert tagged.names == ["nightly:v1"]
    for name, content in (("nightly", "2"), (first.snapshot_id, "1"), ("nightly:default", "2")):
        with Sandbox.create(name, timeout=60) as other:
            assert other.files.read("file") == content
    assert {second.snapshot_id, tagged.snapshot_id} == {
        info.snapshot_id for info in sandbox.list_snapshots(name="nightly").next_items()
    }


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", ":tag", "a:", "base", ".hidden", "a\n"])
def test_what_cannot_be_a_name_is_refused(sandbox: Sandbox, name: str, data: Path):
    with pytest.raises(InvalidArgumentException, match="name="):
        sandbox.create_snapshot(name)
    assert layers_in(data) == []


def test_mode_full_is_refused_and_names_what_works(sandbox: Sandbox):
    with pytest.raises(InvalidArgumentException, match='mode="filesystem"'):
        sandbox.create_snapshot(mode="full")
    with pytest.raises(InvalidArgumentException, match="mode"):
        sandbox.create_snapshot(mode="nonsense")  # type: ignore[arg-type]
    sandbox.create_snapshot(mode="filesystem")


def test_snapshots_are_listed_page_by_page_the_newest_first(sandbox: Sandbox):
    ids = [sandbox.create_snapshot().snapshot_id for _ in range(3)]
    with Sandbox.create(timeout=60) as other:
        foreign = other.create_snapshot("other")
    pages = sandbox.list_snapshots(limit=2)
    assert [info.snapshot_id for info in pages.next_items()] == [ids[2], ids[1]]
    rest = Sandbox.list_snapshots(sandbox.sandbox_id, next_token=pages.next_token)
    assert [info.snapshot_id for info in rest.next_items()] == [ids[0]]
    assert pages.has_next
    assert not rest.has_next
    with pytest.raises(SandboxException, match="has_next"):
        rest.next_items()
    everything = Sandbox.list_snapshots().next_items()
    assert [info.snapshot_id for info in everything] == [foreign.snapshot_id, *reversed(ids)]
    assert Sandbox.list_snapshots(name="other:default").next_items() == [foreign]
    assert Sandbox.list_snapshots(name="project/other").next_items() == [foreign]
    with pytest.raises(InvalidArgumentException, match="next_token"):
        Sandbox.list_snapshots(next_token="bm8=").next_items()


def test_both_forms_and_unknown_sandboxes(sandbox: Sandbox):
    snapshot = Sandbox.create_snapshot(sandbox.sandbox_id, "by-id")
    assert snapshot.names == ["by-id:default"]
    with pytest.raises(SandboxNotFoundException):
        Sandbox.create_snapshot("i0000000000000000000")
    sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        sandbox.create_snapshot()


def test_a_deleted_snapshot_is_gone_and_its_sandboxes_are_not(sandbox: Sandbox, data: Path):
    sandbox.files.write("file", "kept")
    snapshot = sandbox.create_snapshot("short-lived")
    with Sandbox.create("short-lived", timeout=60) as other:
        assert Sandbox.delete_snapshot(snapshot.snapshot_id)
        assert not Sandbox.delete_snapshot(snapshot.snapshot_id)
        for name in ("short-lived", snapshot.snapshot_id):
            with pytest.raises(NotFoundException, match=name):
                Sandbox.create(name)
        assert Sandbox.list_snapshots().next_items() == []
        assert other.files.read("file") == "kept"
        above = other.create_snapshot()
    with Sandbox.create(above.snapshot_id, timeout=60) as last:
        assert last.files.read("file") == "kept"
    assert Sandbox.delete_snapshot(above.snapshot_id)
    assert layers_in(data) == []
    assert os.listdir(data / "layer-names") == []


def test_a_snapshot_is_there_for_another_program(sandbox: Sandbox):
    sandbox.files.write("file", "from another program")
    snapshot = sandbox.create_snapshot()
    code = (
        "import sys; from localbox import Sandbox\n"
        "with Sandbox.create(sys.argv[1], timeout=60) as s: print(s.files.read('file'), end='')"
    )
    command = [sys.executable, "-c", code, snapshot.snapshot_id]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: ASYNC221
    assert run.stdout == "from another program"


def test_the_profile_is_kept_and_can_be_chosen_anew(data: Path):
    policy = merge_overrides(load_profile("strict"), pids=77)
    with Sandbox.create(profile=policy, timeout=60) as sandbox:
        own = sandbox.create_snapshot()
    with Sandbox.create(profile="strict", timeout=60) as sandbox:
        shipped = sandbox.create_snapshot()
    for snapshot, profile, expected in (
        (own, None, policy),
        (shipped, None, load_profile("strict")),
        (own, "default", load_profile("default")),
    ):
        with Sandbox.create(snapshot.snapshot_id, profile=profile, timeout=60) as other:
            assert other.policy == expected
    text = (data / "layers" / shipped.snapshot_id / "layer.json").read_text()
    assert json.loads(text)["profile"] == "strict"


def test_variables_and_metadata_are_not_kept(data: Path):
    with Sandbox.create(envs={"KEY": "secret"}, metadata={"a": "b"}, timeout=60) as sandbox:
        snapshot = sandbox.create_snapshot()
    assert "secret" not in (data / "layers" / snapshot.snapshot_id / "layer.json").read_text()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.commands.run("echo $KEY").stdout == "\n"
        assert other.get_info().metadata == {}


def test_metadata_of_files_is_kept(sandbox: Sandbox):
    sandbox.files.write("file", "x", metadata={"origin": "here"})
    before = sandbox.files.get_info("file")
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        after = other.files.get_info("file")
    assert after.metadata == before.metadata
    assert after.modified_time == before.modified_time


def test_cells_run_on_a_snapshot(sandbox: Sandbox):
    sandbox.files.write("module.py", "answer = 42")
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.run_code("import module; module.answer").text == "42"


def test_a_paused_sandbox_is_captured_and_stays_paused(sandbox: Sandbox):
    sandbox.files.write("file", "x")
    sandbox.pause()
    snapshot = sandbox.create_snapshot()
    assert not sandbox.pause()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert other.files.read("file") == "x"
    sandbox.connect()
    assert sandbox.files.read("file") == "x"


def test_renaming_a_directory_of_a_snapshot_works(sandbox: Sandbox):
    sandbox.files.write("old/file", "x")
    snapshot = sandbox.create_snapshot()
    with Sandbox.create(snapshot.snapshot_id, timeout=60) as other:
        other.files.rename("old", "new")
        other.commands.run("mv new newer")
        assert other.files.read("newer/file") == "x"
        assert not other.files.exists("old")
