"""Files through E2B's own SDK, unmodified, against a local server."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import resource
from collections.abc import AsyncIterator

import e2b
import httpx
import pytest
from e2b import AsyncSandbox, FileType, Sandbox

_MIB = 1024 * 1024


def get(sandbox: Sandbox, path: str, **headers: str) -> httpx.Response:
    return httpx.get(
        f"{sandbox.envd_api_url}/files",
        params={"path": path},
        headers={**_ours(sandbox), **headers},
    )


def _ours(sandbox: Sandbox) -> dict[str, str]:
    return {
        "E2b-Sandbox-Id": sandbox.sandbox_id,
        "X-Access-Token": sandbox._envd_access_token or "",
    }


@pytest.mark.parametrize("octets", [False, True])
@pytest.mark.parametrize("data", ["", "héllo\n", b"\0\xff" * 3000, "x" * 3 * _MIB])
def test_what_is_written_is_read(sandbox: Sandbox, data: str | bytes, octets: bool) -> None:
    info = sandbox.files.write("deep/er/file.bin", data, use_octet_stream=octets)
    assert (info.path, info.name) == ("/home/user/deep/er/file.bin", "file.bin")
    content = data.encode() if isinstance(data, str) else data
    assert bytes(sandbox.files.read("~/deep/er/file.bin", "bytes")) == content
    assert b"".join(sandbox.files.read("deep/er/file.bin", "stream")) == content


def test_several_files_in_one_form(sandbox: Sandbox) -> None:
    entries = [{"path": f'dir/ä "{number}".txt', "data": str(number)} for number in range(3)]
    infos = sandbox.files.write_files(entries)  # type: ignore[arg-type]
    assert len(infos) == 3
    listed = sandbox.files.list("dir")
    assert sorted(entry.path for entry in listed) == sorted(info.path for info in infos)
    assert [sandbox.files.read(info.path) for info in infos] == ["0", "1", "2"]
    assert infos[0].path.startswith("/home/user/dir/ä")


def test_streams_and_gzip_both_ways(sandbox: Sandbox) -> None:
    content = os.urandom(1000) * 3000
    sandbox.files.write("f", io.BytesIO(content))
    assert bytes(sandbox.files.read("f", "bytes", gzip=True)) == content
    sandbox.files.write("g", content, gzip=True)
    sandbox.files.write(
        "h", (content[start : start + 99_999] for start in range(0, 3 * _MIB, 99_999))
    )
    sums = sandbox.commands.run("sha256sum f g h | cut -c-64 | uniq").stdout
    assert sums.strip() == hashlib.sha256(content).hexdigest()
    answer = get(sandbox, "f", **{"Accept-Encoding": "gzip"})
    assert (answer.headers["content-encoding"], answer.content) == ("gzip", content)


def test_gzip_that_breaks_off_is_refused(sandbox: Sandbox) -> None:
    for body in (gzip.compress(b"x" * 1000)[:-5], b"no gzip"):
        answer = httpx.post(
            f"{sandbox.envd_api_url}/files",
            params={"path": "broken"},
            content=body,
            headers={
                **_ours(sandbox),
                "Content-Type": "application/octet-stream",
                "Content-Encoding": "gzip",
            },
        )
        assert answer.status_code == 400


def test_metadata_is_kept_and_told(sandbox: Sandbox) -> None:
    for octets in (False, True):
        written = sandbox.files.write(
            "noted", "x", metadata={"Kind": "a b"}, use_octet_stream=octets
        )
        assert written.metadata == {"kind": "a b"}
        assert sandbox.files.get_info("noted").metadata == {"kind": "a b"}


def test_entries_say_what_stat_says(sandbox: Sandbox) -> None:
    sandbox.files.write("dir1/sub/file", "1234")
    sandbox.commands.run("ln -sf sub/file dir1/link; chmod 640 dir1/sub/file")
    info = sandbox.files.get_info("dir1/sub/file")
    assert (info.name, info.type, info.size) == ("file", FileType.FILE, 4)
    assert (info.mode, info.permissions) == (0o640, "-rw-r-----")
    assert (info.owner, info.group, info.symlink_target) == ("user", "user", None)
    link = sandbox.files.get_info("dir1/link")
    assert (link.type, link.symlink_target) == (FileType.SYMLINK, "/home/user/dir1/sub/file")
    directory = sandbox.files.get_info("dir1")
    assert (directory.type, directory.permissions) == (FileType.DIR, "drwxr-xr-x")
    assert [entry.name for entry in sandbox.files.list("dir1")] == ["link", "sub"]
    assert {entry.name for entry in sandbox.files.list("dir1", depth=2)} == {"link", "sub", "file"}


def test_directories_are_made_moved_and_removed(sandbox: Sandbox) -> None:
    assert sandbox.files.make_dir("new/dir")
    assert not sandbox.files.make_dir("new/dir")
    sandbox.files.write("new/dir/f", "x")
    moved = sandbox.files.rename("new/dir", "other/place")
    assert moved.path == "/home/user/other/place"
    assert sandbox.files.exists("other/place/f")
    assert not sandbox.files.exists("new/dir")
    sandbox.files.remove("other")
    sandbox.files.remove("other")
    assert not sandbox.files.exists("other")


def test_what_cannot_be_done_is_the_exception_of_the_sdk(sandbox: Sandbox) -> None:
    sandbox.files.write("plain", "x")
    for missing in (
        lambda: sandbox.files.read("nothing"),
        lambda: sandbox.files.get_info("nothing"),
        lambda: sandbox.files.list("nothing"),
        lambda: sandbox.files.rename("nothing", "x"),
    ):
        with pytest.raises(e2b.FileNotFoundException):
            missing()
    for invalid in (
        lambda: sandbox.files.read("/home/user"),
        lambda: sandbox.files.write("/home/user", "x"),
        lambda: sandbox.files.write("plain/below", "x"),
        lambda: sandbox.files.list("plain"),
        lambda: sandbox.files.read("~bob/x"),
    ):
        with pytest.raises(e2b.InvalidArgumentException):
            invalid()
    with pytest.raises(e2b.AuthenticationException):
        sandbox.files.read("plain", user="nobody-here")


def test_root_has_its_own_home(sandbox: Sandbox) -> None:
    info = sandbox.files.write("mine", "x", user="root")
    assert info.path == "/root/mine"
    assert sandbox.files.get_info("mine", user="root").owner == "root"


def test_a_full_disk_is_told(sandbox: Sandbox) -> None:
    disk = sandbox.get_metrics()[-1].disk_total
    sandbox.commands.run(f"fallocate -l {disk - 4 * _MIB} rest")
    for octets in (False, True):
        with pytest.raises(e2b.NotEnoughSpaceException):
            sandbox.files.write("big", bytes(8 * _MIB), use_octet_stream=octets)
    piece = bytes(_MIB)
    with pytest.raises(e2b.NotEnoughSpaceException):
        sandbox.files.write("big", (piece for _ in range(8)))
    assert sandbox.files.write("small", "x").name == "small"


def test_ranges_of_a_file(sandbox: Sandbox) -> None:
    sandbox.files.write("digits", "0123456789")
    for wanted, content, shown in (
        ("bytes=2-4", "234", "2-4/10"),
        ("bytes=7-", "789", "7-9/10"),
        ("bytes=-3", "789", "7-9/10"),
        ("bytes=8-99", "89", "8-9/10"),
    ):
        answer = get(sandbox, "digits", Range=wanted)
        assert (answer.status_code, answer.text) == (206, content)
        assert answer.headers["content-range"] == f"bytes {shown}"
    answer = get(sandbox, "digits", Range="bytes=10-")
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")
    assert get(sandbox, "digits", Range="bytes=5-2").text == "0123456789"


def test_signed_addresses_need_no_header(sandbox: Sandbox) -> None:
    sandbox.files.write("signed ä.txt", "x")
    url = sandbox.download_url("signed ä.txt")
    assert httpx.get(url).text == "x"
    assert httpx.get(url.replace("signed", "other")).status_code == 401
    assert httpx.post(url, content=b"y").status_code == 401
    upload = sandbox.upload_url("up.txt", use_signature_expiration=60)
    assert httpx.post(upload, files={"file": ("up.txt", b"content")}).status_code == 200
    assert sandbox.files.read("up.txt") == "content"
    late = httpx.get(sandbox.download_url("up.txt", use_signature_expiration=-5))
    assert (late.status_code, late.json()["message"]) == (401, "signature is already expired")


def test_nobody_reads_without_token_or_signature(sandbox: Sandbox) -> None:
    assert get(sandbox, "/etc/passwd", **{"X-Access-Token": "wrong"}).status_code == 401
    url = f"{sandbox.envd_api_url}/files?path=/etc/passwd"
    headers = {"E2b-Sandbox-Id": sandbox.sandbox_id}
    assert httpx.get(url, headers=headers).status_code == 401


def test_files_without_a_size_of_their_own(sandbox: Sandbox) -> None:
    assert "MemTotal" in sandbox.files.read("/proc/meminfo")


def test_environment_and_metrics(sandbox: Sandbox) -> None:
    url, headers = sandbox.envd_api_url, _ours(sandbox)
    with Sandbox.create(envs={"A": "b"}) as other:
        assert httpx.get(f"{url}/envs", headers=_ours(other)).json() == {"A": "b"}
    metrics = httpx.get(f"{url}/metrics", headers=headers).json()
    assert metrics["mem_total"] > metrics["mem_used"] >= 0
    assert httpx.get(f"{url}/health", headers=headers).status_code == 204
    gone = httpx.get(f"{url}/health", headers={"E2b-Sandbox-Id": "nothing"})
    assert (gone.status_code, gone.json()["message"]) == (502, "The sandbox was not found")


def test_a_large_file_never_is_in_memory(sandbox: Sandbox) -> None:
    piece, count = bytes(_MIB), 200
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sandbox.files.write("large", (piece for _ in range(count)))
    read = sum(map(len, sandbox.files.read("large", "stream")))
    assert read == count * _MIB
    sandbox.files.remove("large")
    # Client and server are both in this process. In KiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest.mark.anyio
async def test_async_files(async_sandbox: AsyncSandbox) -> None:
    files = async_sandbox.files

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            yield str(number).encode() * _MIB

    await files.write("a", pieces())
    assert (await files.get_info("a")).size == 5 * _MIB
    async with await files.read("a", "stream") as stream:
        assert sum([len(piece) async for piece in stream]) == 5 * _MIB
    async with await files.read("a", "stream") as stream:
        await anext(aiter(stream))  # and leaves
    assert await files.read("a") == "".join(str(number) * _MIB for number in range(5))
    assert await files.make_dir("d")
    assert [entry.name for entry in await files.list(".")][-2:] == ["a", "d"]
    await files.remove("a")
    assert not await files.exists("a")
