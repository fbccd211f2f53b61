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
    AsyncSandbox,
    InvalidArgumentException,
    NotFoundException,
    SandboxException,
    SandboxNotFoundException,
    SnapshotInfo,
)
from localbox.engine.layers import MOST_LAYERS
from localbox.policy import load_profile, merge_overrides
from tests.client._async.layered import layers_in

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


async def test_a_sandbox_made_from_a_snapshot_starts_with_its_files(sandbox: AsyncSandbox):
    await sandbox.files.write("notes/a.txt", "kept")
    await sandbox.commands.run("echo t > /tmp/t; ln -s notes/a.txt link; chmod 700 notes")
    snapshot = await sandbox.create_snapshot()
    assert isinstance(snapshot, SnapshotInfo)
    assert snapshot.names == []
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert await other.files.read("notes/a.txt") == "kept"
        seen = await other.commands.run("cat link /tmp/t; stat -c '%a %U' notes notes/a.txt")
        assert seen.stdout == "keptt\n700 user\n644 user\n"
        assert (await other.get_info()).template_id == snapshot.snapshot_id


async def test_the_source_keeps_running(sandbox: AsyncSandbox):
    await sandbox.run_code("value = 41")
    waiting = await sandbox.commands.run("read word; echo got $word", background=True, stdin=True)
    await sandbox.create_snapshot()
    assert (await sandbox.run_code("value + 1")).text == "42"
    assert await sandbox.is_running()
    await waiting.send_stdin("it\n")
    assert (await waiting.wait()).stdout == "got it\n"


async def test_what_is_written_later_is_in_neither(sandbox: AsyncSandbox):
    await sandbox.files.write("file", "then")
    snapshot = await sandbox.create_snapshot()
    await sandbox.files.write("file", "later")
    async with (
        await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as first,
        await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as second,
    ):
        await first.files.write("file", "first")
        await first.files.remove("/tmp/none")
        assert await second.files.read("file") == "then"
        assert await first.files.read("file") == "first"
    assert await sandbox.files.read("file") == "later"


async def test_what_was_deleted_stays_deleted_in_a_snapshot_of_a_snapshot(sandbox: AsyncSandbox):
    await sandbox.commands.run("mkdir -p d/e gone; touch d/e/f d/keep gone/x old")
    below = await sandbox.create_snapshot()
    async with await AsyncSandbox.create(below.snapshot_id, timeout=60) as middle:
        await middle.commands.run("rm -r gone old d/e/f; rm -rf d/e; mkdir d/e; touch d/e/new")
        above = await middle.create_snapshot()
    async with await AsyncSandbox.create(above.snapshot_id, timeout=60) as other:
        found = await other.commands.run("find . -mindepth 1 | sort")
        assert found.stdout.split() == ["./d", "./d/e", "./d/e/new", "./d/keep"]


async def test_a_snapshot_of_many_layers_is_joined_and_the_same(sandbox: AsyncSandbox):
    await sandbox.commands.run("mkdir gone; touch gone/x f0")
    current = sandbox
    forks = []
    for number in range(1, MOST_LAYERS + 3):
        (fork,) = await current.fork(timeout=120)
        assert isinstance(fork, AsyncSandbox)
        forks.append(fork)
        change = {3: "rm -r gone", 5: "mkdir gone; touch gone/new"}.get(number, "true")
        await fork.commands.run(f"touch f{number}; rm -f f{number - 2}; {change}")
        current = fork
    found = await current.commands.run("ls; ls gone")
    assert found.stdout.split() == [f"f{number - 1}", f"f{number}", "gone", "new"]
    assert current._record.use is not None
    assert len(current._record.use.stack.layers) <= MOST_LAYERS
    snapshot = await current.create_snapshot()
    for fork in forks:
        await fork.kill()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert (await other.commands.run("ls; ls gone")).stdout == found.stdout


async def test_what_is_hidden_of_the_hosts_files_stays_hidden(tmp_path: Path, data: Path):
    """In an overlay over a directory of the host's, such as the Python environment."""
    for name in ("a", "b", "d/x", "gone/y"):
        (tmp_path / "lib" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lib" / name).write_text(name)
    policy = merge_overrides(load_profile("default"), readonly=[(tmp_path / "lib", "/opt/lib")])
    overlay = dataclasses.replace(policy.filesystem, overlay=("/opt/lib",))
    policy = dataclasses.replace(policy, filesystem=overlay)
    async with await AsyncSandbox.create(profile=policy, timeout=60) as sandbox:
        await sandbox.commands.run(
            "cd /opt/lib; rm -r a d gone; mkdir d; echo n > d/new; echo more >> b"
        )
        expected = "/opt/lib/b\n/opt/lib/d\n/opt/lib/d/new\nbmore\n"
        current = sandbox
        forks = []
        look = "find /opt/lib -mindepth 1 | sort; cat /opt/lib/b"
        # Far enough for layers to be joined.
        for _ in range(MOST_LAYERS + 2):
            assert (await current.commands.run(look)).stdout == expected
            (made,) = await current.fork(60)
            assert isinstance(made, AsyncSandbox)
            forks.append(made)
            current = made
            await current.commands.run("touch /opt/lib/t; rm /opt/lib/t")
        snapshot = await current.create_snapshot()
        for made in forks:
            await made.kill()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert (await other.commands.run(look)).stdout == expected
        await other.commands.run("mkdir /opt/lib/gone; test -z $(ls /opt/lib/gone)")
    assert (tmp_path / "lib" / "a").exists()


async def test_a_name_is_as_good_as_the_id_and_moves_to_the_newest(sandbox: AsyncSandbox):
    await sandbox.files.write("file", "1")
    first = await sandbox.create_snapshot("nightly")
    assert first.names == ["nightly:default"]
    await sandbox.files.write("file", "2")
    second = await sandbox.create_snapshot("nightly")
    tagged = await sandbox.create_snapshot("nightly:v1")
    assert tagged.names == ["nightly:v1"]
    for name, content in (("nightly", "2"), (first.snapshot_id, "1"), ("nightly:default", "2")):
        async with await AsyncSandbox.create(name, timeout=60) as other:
            assert await other.files.read("file") == content
    assert {second.snapshot_id, tagged.snapshot_id} == {
        info.snapshot_id for info in await sandbox.list_snapshots(name="nightly").next_items()
    }


@pytest.mark.parametrize("name", ["", "a b", "../x", "a/b", ":tag", "a:", "base", ".hidden", "a\n"])
async def test_what_cannot_be_a_name_is_refused(sandbox: AsyncSandbox, name: str, data: Path):
    with pytest.raises(InvalidArgumentException, match="name="):
        await sandbox.create_snapshot(name)
    assert layers_in(data) == []


async def test_mode_full_is_refused_and_names_what_works(sandbox: AsyncSandbox):
    with pytest.raises(InvalidArgumentException, match='mode="filesystem"'):
        await sandbox.create_snapshot(mode="full")
    with pytest.raises(InvalidArgumentException, match="mode"):
        await sandbox.create_snapshot(mode="nonsense")  # type: ignore[arg-type]
    await sandbox.create_snapshot(mode="filesystem")


async def test_snapshots_are_listed_page_by_page_the_newest_first(sandbox: AsyncSandbox):
    ids = [(await sandbox.create_snapshot()).snapshot_id for _ in range(3)]
    async with await AsyncSandbox.create(timeout=60) as other:
        foreign = await other.create_snapshot("other")
    pages = sandbox.list_snapshots(limit=2)
    assert [info.snapshot_id for info in await pages.next_items()] == [ids[2], ids[1]]
    rest = AsyncSandbox.list_snapshots(sandbox.sandbox_id, next_token=pages.next_token)
    assert [info.snapshot_id for info in await rest.next_items()] == [ids[0]]
    assert pages.has_next
    assert not rest.has_next
    with pytest.raises(SandboxException, match="has_next"):
        await rest.next_items()
    everything = await AsyncSandbox.list_snapshots().next_items()
    assert [info.snapshot_id for info in everything] == [foreign.snapshot_id, *reversed(ids)]
    assert await AsyncSandbox.list_snapshots(name="other:default").next_items() == [foreign]
    assert await AsyncSandbox.list_snapshots(name="project/other").next_items() == [foreign]
    with pytest.raises(InvalidArgumentException, match="next_token"):
        await AsyncSandbox.list_snapshots(next_token="bm8=").next_items()


async def test_both_forms_and_unknown_sandboxes(sandbox: AsyncSandbox):
    snapshot = await AsyncSandbox.create_snapshot(sandbox.sandbox_id, "by-id")
    assert snapshot.names == ["by-id:default"]
    with pytest.raises(SandboxNotFoundException):
        await AsyncSandbox.create_snapshot("i0000000000000000000")
    await sandbox.kill()
    with pytest.raises(SandboxNotFoundException):
        await sandbox.create_snapshot()


async def test_a_deleted_snapshot_is_gone_and_its_sandboxes_are_not(
    sandbox: AsyncSandbox, data: Path
):
    await sandbox.files.write("file", "kept")
    snapshot = await sandbox.create_snapshot("short-lived")
    async with await AsyncSandbox.create("short-lived", timeout=60) as other:
        assert await AsyncSandbox.delete_snapshot(snapshot.snapshot_id)
        assert not await AsyncSandbox.delete_snapshot(snapshot.snapshot_id)
        for name in ("short-lived", snapshot.snapshot_id):
            with pytest.raises(NotFoundException, match=name):
                await AsyncSandbox.create(name)
        assert await AsyncSandbox.list_snapshots().next_items() == []
        assert await other.files.read("file") == "kept"
        above = await other.create_snapshot()
    async with await AsyncSandbox.create(above.snapshot_id, timeout=60) as last:
        assert await last.files.read("file") == "kept"
    assert await AsyncSandbox.delete_snapshot(above.snapshot_id)
    assert layers_in(data) == []
    assert os.listdir(data / "layer-names") == []


async def test_a_snapshot_is_there_for_another_program(sandbox: AsyncSandbox):
    await sandbox.files.write("file", "from another program")
    snapshot = await sandbox.create_snapshot()
    code = (
        "import sys; from localbox import Sandbox\n"
        "with Sandbox.create(sys.argv[1], timeout=60) as s: print(s.files.read('file'), end='')"
    )
    command = [sys.executable, "-c", code, snapshot.snapshot_id]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)  # noqa: ASYNC221
    assert run.stdout == "from another program"


async def test_the_profile_is_kept_and_can_be_chosen_anew(data: Path):
    policy = merge_overrides(load_profile("strict"), pids=77)
    async with await AsyncSandbox.create(profile=policy, timeout=60) as sandbox:
        own = await sandbox.create_snapshot()
    async with await AsyncSandbox.create(profile="strict", timeout=60) as sandbox:
        shipped = await sandbox.create_snapshot()
    for snapshot, profile, expected in (
        (own, None, policy),
        (shipped, None, load_profile("strict")),
        (own, "default", load_profile("default")),
    ):
        async with await AsyncSandbox.create(
            snapshot.snapshot_id, profile=profile, timeout=60
        ) as other:
            assert other.policy == expected
    text = (data / "layers" / shipped.snapshot_id / "layer.json").read_text()
    assert json.loads(text)["profile"] == "strict"


async def test_variables_and_metadata_are_not_kept(data: Path):
    async with await AsyncSandbox.create(
        envs={"KEY": "secret"}, metadata={"a": "b"}, timeout=60
    ) as sandbox:
        snapshot = await sandbox.create_snapshot()
    assert "secret" not in (data / "layers" / snapshot.snapshot_id / "layer.json").read_text()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert (await other.commands.run("echo $KEY")).stdout == "\n"
        assert (await other.get_info()).metadata == {}


async def test_metadata_of_files_is_kept(sandbox: AsyncSandbox):
    await sandbox.files.write("file", "x", metadata={"origin": "here"})
    before = await sandbox.files.get_info("file")
    snapshot = await sandbox.create_snapshot()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        after = await other.files.get_info("file")
    assert after.metadata == before.metadata
    assert after.modified_time == before.modified_time


async def test_cells_run_on_a_snapshot(sandbox: AsyncSandbox):
    await sandbox.files.write("module.py", "answer = 42")
    snapshot = await sandbox.create_snapshot()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert (await other.run_code("import module; module.answer")).text == "42"


async def test_a_paused_sandbox_is_captured_and_stays_paused(sandbox: AsyncSandbox):
    await sandbox.files.write("file", "x")
    await sandbox.pause()
    snapshot = await sandbox.create_snapshot()
    assert not await sandbox.pause()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        assert await other.files.read("file") == "x"
    await sandbox.connect()
    assert await sandbox.files.read("file") == "x"


async def test_renaming_a_directory_of_a_snapshot_works(sandbox: AsyncSandbox):
    await sandbox.files.write("old/file", "x")
    snapshot = await sandbox.create_snapshot()
    async with await AsyncSandbox.create(snapshot.snapshot_id, timeout=60) as other:
        await other.files.rename("old", "new")
        await other.commands.run("mv new newer")
        assert await other.files.read("newer/file") == "x"
        assert not await other.files.exists("old")
