# generated from tests/client/_async/test_volumes.py by scripts/unasync.py; edit that, not this
"""Volumes: kept apart from sandboxes, seen by several at once, read and written without any."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localbox import (
    InvalidArgumentException,
    Sandbox,
    TimeoutException,
    Volume,
    VolumeAndToken,
    VolumeException,
    VolumeFileType,
    VolumeInfo,
    VolumeNotFoundException,
    VolumePathNotFoundException,
)

ROOT = os.geteuid() == 0


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LOCALBOX_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data" / "volumes"


@pytest.fixture
def volume() -> Volume:
    return Volume.create("data")


@pytest.fixture
def mounted(volume: Volume) -> Iterator[Sandbox]:
    with Sandbox.create(volume_mounts={"/mnt/data": volume}) as sandbox:
        yield sandbox


# Volumes


def test_a_volume_is_found_by_its_id_and_listed_by_name() -> None:
    assert Volume.list() == []
    second = Volume.create("second")
    first = Volume.create("first_1-A")
    assert Volume.list() == [
        VolumeInfo(first.volume_id, "first_1-A"),
        VolumeInfo(second.volume_id, "second"),
    ]
    again = Volume.connect(second.volume_id)
    assert (again.name, again.volume_id) == ("second", second.volume_id)
    info = Volume.get_info(first.volume_id)
    assert info == VolumeAndToken(first.volume_id, "first_1-A", token="")


def test_what_is_not_there_is_not_found() -> None:
    for volume_id in ("00000000-0000-0000-0000-000000000000", "../data", ""):
        with pytest.raises(VolumeNotFoundException):
            Volume.connect(volume_id)
        with pytest.raises(VolumeNotFoundException):
            Volume.get_info(volume_id)
        assert not Volume.destroy(volume_id)


@pytest.mark.parametrize("name", ["", "a b", "../x", ".", "a/b", "x" * 129, "ü", "a\n"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(VolumeException, match="letters"):
        Volume.create(name)
    assert Volume.list() == []


def test_there_is_one_volume_of_a_name(volume: Volume) -> None:
    with pytest.raises(VolumeException, match="already"):
        Volume.create("data")
    assert Volume.destroy(volume.volume_id)
    again = Volume.create("data")
    assert again.volume_id != volume.volume_id
    # The first object does not get at the second volume.
    with pytest.raises(VolumeNotFoundException):
        volume.list("/")
    assert not volume.exists("/")


def test_destroyed_is_destroyed_with_all_that_was_in_it(volume: Volume, store: Path) -> None:
    volume.write_file("a/b/c", "x", force=True)
    assert Volume.destroy(volume.volume_id)
    assert not Volume.destroy(volume.volume_id)
    assert os.listdir(store) == []
    with pytest.raises(VolumeNotFoundException):
        volume.write_file("a", "x")


def test_what_a_killed_program_left_half_done_is_swept(store: Path) -> None:
    Volume.create("kept")
    (store / ".gone-1" / "id" / "deep").mkdir(parents=True)
    (store / ".new-1").mkdir()
    assert [volume.name for volume in Volume.list()] == ["kept"]
    Volume.create("other")
    assert sorted(os.listdir(store)) == ["kept", "other"]


def test_other_users_of_the_machine_get_at_no_volume(volume: Volume, store: Path) -> None:
    os.chmod(store, 0o755)
    volume.write_file("f", "x")
    assert os.stat(store).st_mode & 0o777 == 0o700


# Content


def test_a_file_is_read_as_it_was_written(volume: Volume) -> None:
    info = volume.write_file("/greeting", "grüße")
    assert (info.name, info.path, info.type) == ("greeting", "/greeting", VolumeFileType.FILE)
    assert (info.size, info.mode, info.uid, info.gid) == (7, 0o644, 1000, 1000)
    assert volume.read_file("greeting") == "grüße"
    assert volume.read_file("./../greeting", format="bytes") == "grüße".encode()
    volume.write_file("greeting", b"\xff")
    assert volume.read_file("greeting") == "\ufffd"


def test_file_objects_and_streams_go_piece_by_piece(volume: Volume) -> None:
    content = os.urandom((2 << 20) + 5)
    volume.write_file("big", io.BytesIO(content))
    pieces = [piece for piece in volume.read_file("big", format="stream")]
    assert len(pieces) == 3
    assert b"".join(pieces) == content
    volume.write_file("text", io.StringIO("short"))
    assert volume.read_file("text") == "short"


def test_a_shorter_file_leaves_nothing_of_the_longer(volume: Volume) -> None:
    volume.write_file("f", "long content")
    volume.write_file("f", "short")
    assert volume.read_file("f") == "short"


def test_data_that_is_none_makes_no_file(volume: Volume) -> None:
    with pytest.raises(InvalidArgumentException, match="int"):
        volume.write_file("f", 7)  # type: ignore[arg-type]
    assert volume.list("/") == []


def test_directories_are_listed_as_deep_as_asked(volume: Volume) -> None:
    volume.make_dir("a/b/c", force=True)
    volume.write_file("a/f", "x")
    assert [entry.path for entry in volume.list("/")] == ["/a"]
    assert [entry.path for entry in volume.list("a")] == ["/a/b", "/a/f"]
    assert [entry.path for entry in volume.list("/", depth=9)] == [
        "/a",
        "/a/b",
        "/a/b/c",
        "/a/f",
    ]
    for depth in (0, -1, True):
        with pytest.raises(InvalidArgumentException, match="depth"):
            volume.list("/", depth=depth)


def test_what_is_missing_in_a_volume_is_an_error_of_its_own(volume: Volume) -> None:
    volume.write_file("file", "x")
    for path in ("gone", "gone/too", "file/below"):
        for call in (volume.list, volume.get_info, volume.read_file, volume.remove):
            with pytest.raises(VolumePathNotFoundException):
                call(path)
        assert not volume.exists(path)
    with pytest.raises(VolumePathNotFoundException):
        volume.make_dir("gone/d")
    with pytest.raises(VolumePathNotFoundException):
        volume.write_file("gone/f", "x")
    with pytest.raises(VolumePathNotFoundException):
        volume.update_metadata("gone", mode=0o600)


def test_only_with_force_is_a_directory_there_already_no_error(volume: Volume) -> None:
    made = volume.make_dir("d", mode=0o700)
    assert (made.type, made.mode) == (VolumeFileType.DIRECTORY, 0o700)
    with pytest.raises(VolumeException, match="exists"):
        volume.make_dir("d")
    assert volume.make_dir("d", force=True).mode == 0o700
    volume.write_file("f", "x")
    with pytest.raises(VolumeException, match="exists"):
        volume.make_dir("f", force=True)


def test_a_directory_goes_with_all_that_is_in_it(volume: Volume) -> None:
    volume.write_file("d/e/f", "x", force=True)
    volume.write_file("other", "x")
    volume.remove("d")
    volume.remove("/other")
    assert volume.list("/") == []
    with pytest.raises(VolumeException, match="destroy"):
        volume.remove("/")


def test_a_directory_is_no_file(volume: Volume) -> None:
    volume.make_dir("d")
    for path in ("d", "/", "d/.."):
        with pytest.raises(VolumeException, match="directory"):
            volume.read_file(path)
        with pytest.raises(VolumeException, match="directory"):
            volume.write_file(path, "x")
    volume.write_file("f", "x")
    with pytest.raises(VolumePathNotFoundException):
        volume.list("f")


def test_links_within_a_volume_are_followed(volume: Volume, store: Path) -> None:
    volume.write_file("v3/data", "three", force=True)
    top = store / "data" / volume.volume_id
    (top / "latest").symlink_to("v3")
    (top / "v3" / "up").symlink_to("../v3/data")
    assert volume.read_file("latest/data") == "three"
    assert volume.read_file("latest/up") == "three"
    info = volume.get_info("latest")
    assert (info.type, info.target) == (VolumeFileType.SYMLINK, "v3")
    volume.write_file("latest/up", "new")
    assert volume.read_file("v3/data") == "new"
    # Removing a link is removing the link.
    volume.remove("latest")
    assert volume.exists("v3/data")


def test_metadata_is_what_was_asked_for(volume: Volume) -> None:
    before = datetime.now(UTC) - timedelta(seconds=5)
    volume.write_file("f", "x", mode=0o600)
    info = volume.update_metadata("f", uid=1000, gid=1000, mode=0o640)
    assert (info.uid, info.gid, info.mode) == (1000, 1000, 0o640)
    assert before < info.mtime < datetime.now(UTC) + timedelta(seconds=5)
    for mode in (0o4755, 0o2755, -1, 0o100644):
        with pytest.raises(InvalidArgumentException, match="mode"):
            volume.update_metadata("f", mode=mode)
    for uid in (-1, 65536, True):
        with pytest.raises(InvalidArgumentException, match="uid"):
            volume.update_metadata("f", uid=uid)


@pytest.mark.skipif(not ROOT, reason="only root has other ids to give")
def test_owners_are_those_that_sandboxes_see(volume: Volume, mounted: Sandbox) -> None:
    info = volume.write_file("theirs", "x", uid=0, gid=33, mode=0o644)
    assert (info.uid, info.gid) == (0, 33)
    seen = mounted.commands.run(
        "stat -c '%u %g' /mnt/data/theirs; echo y > /mnt/data/theirs || echo refused"
    )
    assert seen.stdout == "0 33\nrefused\n"
    mounted.commands.run("echo y > /mnt/data/theirs; touch /mnt/data/roots", user="root")
    assert volume.read_file("theirs") == "y\n"
    assert volume.get_info("roots").uid == 0


@pytest.mark.skipif(ROOT, reason="root has other ids to give")
def test_an_owner_that_cannot_be_is_an_error(volume: Volume) -> None:
    with pytest.raises(VolumeException, match="ordinary user"):
        volume.write_file("f", "x", uid=0)
    with pytest.raises(VolumeException, match="ordinary user"):
        volume.make_dir("d", gid=33)
    with pytest.raises(VolumeException, match="ordinary user"):
        volume.update_metadata("/", uid=1)
    assert volume.list("/") == []


def test_an_unknown_option_is_refused(volume: Volume) -> None:
    with pytest.raises(TypeError, match="tokn"):
        volume.exists("/", tokn="x")
    assert volume.exists("/", token="x", request_timeout=5)
    with pytest.raises(TimeoutException):
        volume.remove("/anything", request_timeout=1e-9)


# In sandboxes


def test_what_a_sandbox_writes_is_there_for_the_host_and_others(
    volume: Volume, mounted: Sandbox
) -> None:
    mounted.files.write("/mnt/data/from-inside", "one")
    with Sandbox.create(volume_mounts={"/home/user/v/w": "data"}) as other:
        assert other.files.read("v/w/from-inside") == "one"
        # Each may change what the other made, and what the host made.
        other.commands.run("echo two >> v/w/from-inside; mkdir v/w/d; echo x > v/w/d/f")
        volume.write_file("d/host", "host", mode=0o600)
        done = mounted.commands.run("cd /mnt/data; cat from-inside d/host; rm -r d; id -u")
        assert done.stdout == "onetwo\nhost1000\n"
    info = volume.get_info("from-inside")
    assert (info.uid, info.gid) == (1000, 1000)
    assert not volume.exists("d")


def test_cells_write_to_it_as_commands_do(mounted: Sandbox) -> None:
    execution = mounted.run_code("open('/mnt/data/cell', 'w').write('x')")
    assert execution.error is None
    assert mounted.files.read("/mnt/data/cell") == "x"


def test_a_sandbox_says_what_is_mounted(mounted: Sandbox) -> None:
    Volume.create("second")
    assert mounted.get_info().volume_mounts == [{"name": "data", "path": "/mnt/data"}]
    mounts: dict[str, Volume | str] = {"/work/": "second", "/tmp/a/b": "data"}
    with Sandbox.create(volume_mounts=mounts) as sandbox:
        assert sandbox.get_info().volume_mounts == [
            {"name": "data", "path": "/tmp/a/b"},
            {"name": "second", "path": "/work"},
        ]
        sandbox.commands.run("echo 1 > /work/f; echo 2 > /tmp/a/b/f")
    assert (_named("second")).read_file("f") == "1\n"
    assert (_named("data")).read_file("f") == "2\n"
    with Sandbox.create(volume_mounts={}) as sandbox:
        assert sandbox.get_info().volume_mounts == []


def _named(name: str) -> Volume:
    [volume_id] = [info.volume_id for info in Volume.list() if info.name == name]
    return Volume.connect(volume_id)


def test_sandboxes_with_different_volumes_at_one_place_have_each_their_own() -> None:
    for name in ("a", "b"):
        Volume.create(name)
    with (
        Sandbox.create(volume_mounts={"/mnt/v": "a"}) as first,
        Sandbox.create(volume_mounts={"/mnt/v": "b"}) as second,
    ):
        first.files.write("/mnt/v/f", "first")
        assert not second.files.exists("/mnt/v/f")
        second.files.write("/mnt/v/f", "second")
        assert first.files.read("/mnt/v/f") == "first"


def test_a_volume_in_use_is_not_destroyed(volume: Volume, mounted: Sandbox) -> None:
    mounted.files.write("/mnt/data/f", "x")
    with pytest.raises(VolumeException, match="running sandbox"):
        Volume.destroy(volume.volume_id)
    assert volume.read_file("f") == "x"
    mounted.kill()
    assert Volume.destroy(volume.volume_id)


def test_no_sandbox_is_made_without_its_volume() -> None:
    with pytest.raises(VolumeNotFoundException, match="nowhere"):
        Sandbox.create(volume_mounts={"/mnt/x": "nowhere"})
    gone = Volume.create("gone")
    Volume.destroy(gone.volume_id)
    with pytest.raises(VolumeNotFoundException, match="gone"):
        Sandbox.create(volume_mounts={"/mnt/x": gone})


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/proc", "/proc/x", "/dev/shm", "/usr/share/x", "/etc", "/home", "/home/user"),
        *("/tmp", "/.localbox/x", "/var", "/var/run/x", "/bin", "/mnt/../etc", "/a\0b", "rel", ""),
    ],
)
def test_a_place_that_belongs_to_the_sandbox_is_refused(volume: Volume, path: str) -> None:
    with pytest.raises(InvalidArgumentException, match="volume_mounts"):
        Sandbox.create(volume_mounts={path: volume})


def test_volumes_do_not_lie_within_each_other(volume: Volume) -> None:
    for paths in (["/mnt/a", "/mnt/a/b"], ["/mnt/a", "/mnt//a/"]):
        with pytest.raises(InvalidArgumentException, match="volume_mounts"):
            Sandbox.create(volume_mounts=dict.fromkeys(paths, "data"))


def test_a_volume_outlives_the_program_that_made_it() -> None:
    program = """
from localbox import Sandbox, Volume
volume = Volume.create("lasting")
sandbox = Sandbox.create(volume_mounts={"/mnt/v": volume})
sandbox.commands.run("echo made > /mnt/v/f; chmod 600 /mnt/v/f")
print(volume.volume_id)
"""
    done = subprocess.run(  # noqa: ASYNC221 (nothing else is to happen meanwhile)
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    volume = Volume.connect(done.stdout.strip())
    assert volume.read_file("f") == "made\n"
    with Sandbox.create(volume_mounts={"/mnt/v": "lasting"}) as sandbox:
        assert sandbox.files.read("/mnt/v/f") == "made\n"


def test_forks_have_the_volumes_of_what_they_were_forked_from(
    mounted: Sandbox, volume: Volume
) -> None:
    [fork] = mounted.fork(mode="filesystem")
    assert isinstance(fork, Sandbox)
    with fork:
        fork.commands.run("echo forked > /mnt/data/f")
        assert fork.get_info().volume_mounts == [{"name": "data", "path": "/mnt/data"}]
    assert mounted.files.read("/mnt/data/f") == "forked\n"
    mounted.kill()
    assert Volume.destroy(volume.volume_id)
