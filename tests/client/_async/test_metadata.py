"""Metadata of files, and the options of reading and writing that mean nothing in process."""

from __future__ import annotations

import io
from typing import Any

import pytest

from localbox import AsyncSandbox, InvalidArgumentException, NotEnoughSpaceException

pytestmark = pytest.mark.anyio


async def test_metadata_comes_back_from_everything_that_describes_a_file(
    sandbox: AsyncSandbox,
) -> None:
    notes = {"origin": "test", "Step": "1 of 2"}
    kept = {"origin": "test", "step": "1 of 2"}
    written = await sandbox.files.write("dir/a.txt", "x", metadata=notes)
    assert written.metadata == kept
    assert (await sandbox.files.get_info("dir/a.txt")).metadata == kept
    assert [entry.metadata for entry in await sandbox.files.list("dir")] == [kept]
    assert (await sandbox.files.rename("dir/a.txt", "b.txt")).metadata == kept


async def test_files_written_without_metadata_have_none(sandbox: AsyncSandbox) -> None:
    assert (await sandbox.files.write("a", "x")).metadata is None
    assert (await sandbox.files.write("a", "x", metadata={})).metadata is None
    assert (await sandbox.files.get_info("a")).metadata is None
    assert (await sandbox.files.get_info("/etc")).metadata is None


async def test_each_of_several_files_gets_the_metadata(sandbox: AsyncSandbox) -> None:
    written = await sandbox.files.write_files(
        [{"path": "a", "data": "1"}, {"path": "b", "data": b"2"}], metadata={"k": "v"}
    )
    assert [info.metadata for info in written] == [{"k": "v"}] * 2
    assert (await sandbox.files.get_info("b")).metadata == {"k": "v"}


async def test_new_metadata_replaces_the_old(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", "x", metadata={"one": "1", "two": "2"})
    await sandbox.files.write("a", "y", metadata={"two": "3"})
    assert (await sandbox.files.get_info("a")).metadata == {"two": "3"}
    await sandbox.files.write("a", "z")
    assert (await sandbox.files.get_info("a")).metadata == {"two": "3"}


async def test_metadata_are_extended_attributes_inside(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", "x", metadata={"key": "value"})
    code = (
        "import os\n"
        "print(os.getxattr('a', 'user.e2b.key').decode())\n"
        "os.setxattr('a', 'user.e2b.own', b'set inside')\n"
        "os.setxattr('a', 'user.other', b'not ours')\n"
    )
    assert (await sandbox.commands.run_python(code)).stdout == "value\n"
    info = await sandbox.files.get_info("a")
    assert info.metadata == {"key": "value", "own": "set inside"}


@pytest.mark.parametrize(
    "metadata",
    [
        {"": "empty key"},
        {"a b": "space"},
        {"a:b": "colon"},
        {"ä": "not ASCII"},
        {"a\n": "line"},
        {"k": "line\n"},
        {"k": "ü"},
        {"k": 1},
        {1: "k"},
        {"k" * 247: "long key"},
        {"k": "v" * 65536},
        {"k": "1", "K": "2"},
    ],
    ids=repr,
)
async def test_metadata_that_cannot_be_is_refused(sandbox: AsyncSandbox, metadata: Any) -> None:
    with pytest.raises(InvalidArgumentException, match="metadata"):
        await sandbox.files.write("a", "x", metadata=metadata)
    assert not await sandbox.files.exists("a")


async def test_the_longest_metadata_is_kept_or_said_not_to_fit(sandbox: AsyncSandbox) -> None:
    for metadata in ({"k" * 246: "v"}, {"k": "v" * 65000}):
        try:
            await sandbox.files.write("a", "x", metadata=metadata)
        except NotEnoughSpaceException:
            continue  # a kernel with less room for attributes than ours
        assert (await sandbox.files.get_info("a")).metadata == metadata


async def test_a_directory_full_of_long_metadata_can_be_listed(sandbox: AsyncSandbox) -> None:
    code = (
        "import os\n"
        "for number in range(200):\n"
        "    with open(f'many{number}', 'w') as file:\n"
        "        os.setxattr(file.fileno(), 'user.e2b.k', bytes([1]) * 60000)\n"
    )
    await sandbox.commands.run_python(code)
    entries = await sandbox.files.list(".")
    assert sum(len((entry.metadata or {}).get("k", "")) for entry in entries) == 200 * 60000


@pytest.mark.parametrize("options", [{"gzip": True}, {"use_octet_stream": True}, {}])
async def test_how_e2b_would_encode_an_upload_makes_no_difference(
    sandbox: AsyncSandbox, options: dict[str, Any]
) -> None:
    await sandbox.files.write("a", "x" * 1000, **options)
    await sandbox.files.write_files([{"path": "b", "data": io.BytesIO(b"y" * 1000)}], **options)
    assert await sandbox.files.read("a", gzip=True) == "x" * 1000
    assert await sandbox.files.read("b", format="bytes", gzip=True) == b"y" * 1000
    stream = await sandbox.files.read("b", format="stream", stream_idle_timeout=1)
    got = b""
    async for piece in stream:
        got += piece
    assert got == b"y" * 1000


async def test_uploads_e2b_would_refuse_are_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="gzip"):
        await sandbox.files.write("a", "x", gzip=True, use_octet_stream=False)
    with pytest.raises(InvalidArgumentException, match="octet stream"):
        await sandbox.files.write_files(
            [{"path": "a", "data": iter([b"x"])}],  # type: ignore[typeddict-item]
            use_octet_stream=False,
        )
    assert not await sandbox.files.exists("a")
