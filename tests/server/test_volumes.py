"""E2B's SDK, unmodified: volumes and secrets of this machine."""

from __future__ import annotations

import io
from collections.abc import Iterator

import e2b
import httpx
import pytest

from localbox.server.run import Server

pytestmark = pytest.mark.anyio


@pytest.fixture
def volume(_sdks_come_here: None) -> Iterator[e2b.Volume]:
    made = e2b.Volume.create("served")
    yield made
    e2b.Volume.destroy(made.volume_id)


def test_a_volume_is_made_found_and_destroyed():
    made = e2b.Volume.create("short-lived")
    assert made.name == "short-lived"
    assert [one.volume_id for one in e2b.Volume.list()] == [made.volume_id]
    assert e2b.Volume.connect(made.volume_id).name == "short-lived"
    with pytest.raises(e2b.VolumeException):
        e2b.Volume.create("short-lived")
    assert e2b.Volume.destroy(made.volume_id)
    assert not e2b.Volume.destroy(made.volume_id)
    with pytest.raises(e2b.VolumeNotFoundException):
        e2b.Volume.connect(made.volume_id)


def test_files_of_a_volume_are_written_described_and_removed(volume: e2b.Volume):
    assert volume.make_dir("/a/b", force=True).path == "/a/b"
    entry = volume.write_file("/a/b/text", "grüße", mode=0o600)
    assert (entry.name, entry.size, entry.mode & 0o777) == ("text", 7, 0o600)
    assert volume.read_file("/a/b/text") == "grüße"
    volume.write_file("/a/b/bytes", io.BytesIO(b"\0" * 3_000_000))
    assert volume.read_file("/a/b/bytes", format="bytes") == b"\0" * 3_000_000
    pieces = volume.read_file("/a/b/bytes", format="stream")
    assert sum(map(len, pieces)) == 3_000_000
    assert [one.path for one in volume.list("/", depth=3)] == [
        "/a",
        "/a/b",
        "/a/b/bytes",
        "/a/b/text",
    ]
    assert volume.update_metadata("/a/b/text", mode=0o644).mode & 0o777 == 0o644
    volume.remove("/a")
    assert not volume.exists("/a")
    with pytest.raises(e2b.VolumePathNotFoundException):
        volume.read_file("/a/b/text")


async def test_the_same_asynchronously(volume: e2b.Volume):
    same = await e2b.AsyncVolume.connect(volume.volume_id)
    await same.write_file("/file", b"x" * 1000)
    assert await same.read_file("/file", format="bytes") == b"x" * 1000
    pieces = await same.read_file("/file", format="stream")
    assert b"".join([piece async for piece in pieces]) == b"x" * 1000


def test_a_sandbox_and_the_api_see_the_same_volume(volume: e2b.Volume):
    volume.write_file("/from-api", "1")
    with e2b.Sandbox.create(timeout=60, volume_mounts={"/mnt/data": volume}) as sandbox:
        sandbox.commands.run("cat /mnt/data/from-api > /mnt/data/from-sandbox")
        assert sandbox.get_info().volume_mounts == [{"name": "served", "path": "/mnt/data"}]
    assert volume.read_file("/from-sandbox") == "1"


def test_a_volume_opens_to_its_token_only(server: Server, volume: e2b.Volume):
    other = e2b.Volume.create("other")
    try:
        for token in ("x", str(other.token), server.api_key):
            answer = httpx.get(
                f"{server.url}/volumecontent/{volume.volume_id}/dir?path=/",
                headers={"Authorization": f"Bearer {token}"},
            )
            assert answer.status_code == 401
    finally:
        e2b.Volume.destroy(other.volume_id)


@pytest.mark.parametrize("path", ["/../../etc/passwd", "../..", "/link/etc/passwd"])
def test_no_path_leads_out_of_a_volume(volume: e2b.Volume, path: str):
    with e2b.Sandbox.create(timeout=60, volume_mounts={"/mnt/data": volume}) as sandbox:
        sandbox.commands.run("ln -s / /mnt/data/link; ln -s /etc/passwd /mnt/data/file")
    with pytest.raises((e2b.VolumeException, e2b.NotFoundException)):
        volume.read_file(path)
    with pytest.raises((e2b.VolumeException, e2b.NotFoundException)):
        volume.read_file("/file")


def test_a_secret_is_kept_described_and_destroyed():
    made = e2b.Secret.create("a/b c", "hidden", metadata={"of": "tests"})
    try:
        assert made.name == "a/b c"
        again = e2b.Secret.get_info(made.secret_id)
        assert (again.metadata, again.version) == ({"of": "tests"}, 1)
        assert e2b.Secret.get_info("a/b c").secret_id == made.secret_id
        assert e2b.Secret.update("a/b c", "other").version == 2
        assert [one.name for one in e2b.Secret.list().next_items()] == ["a/b c"]
        with pytest.raises(e2b.SecretException):
            e2b.Secret.create("a/b c", "again")
    finally:
        assert e2b.Secret.destroy("a/b c")
    assert not e2b.Secret.exists("a/b c")
    assert not e2b.Secret.destroy("a/b c")
