"""`files`: read, write, list and the rest, and everything that can be wrong with a path."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from localbox import (
    AsyncSandbox,
    AuthenticationException,
    FileNotFoundException,
    FileType,
    InvalidArgumentException,
    NotEnoughSpaceException,
    SandboxException,
    WriteInfo,
)
from localbox.policy import load_profile, merge_overrides

pytestmark = pytest.mark.anyio

MIB = 1 << 20
DISK_BYTES = 8 * MIB


@pytest.fixture
async def small_disk() -> AsyncIterator[AsyncSandbox]:
    policy = merge_overrides(load_profile("default"), disk=DISK_BYTES)
    async with await AsyncSandbox.create(profile=policy) as sandbox:
        yield sandbox


async def test_text_comes_back_as_it_was_written(sandbox: AsyncSandbox) -> None:
    written = await sandbox.files.write("notes.txt", "one\r\ntwo ü €\n")
    assert written == WriteInfo(
        name="notes.txt", type=FileType.FILE, path="/home/user/notes.txt", metadata=None
    )
    assert await sandbox.files.read("notes.txt") == "one\r\ntwo ü €\n"
    assert (await sandbox.commands.run("cat notes.txt")).stdout == "one\r\ntwo ü €\n"


async def test_bytes_come_back_as_a_bytearray(sandbox: AsyncSandbox) -> None:
    data = bytes(range(256)) * 10
    await sandbox.files.write("data", data)
    read = await sandbox.files.read("data", format="bytes")
    assert isinstance(read, bytearray)
    assert read == data


async def test_bytes_that_are_not_utf8_read_as_text_are_replaced(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("data", b"a\xffb")
    assert await sandbox.files.read("data") == "a\ufffdb"


async def test_a_stream_gives_the_content_in_pieces(sandbox: AsyncSandbox) -> None:
    data = os.urandom(3 * MIB + 17)
    await sandbox.files.write("data", data)
    got, pieces = b"", 0
    async with await sandbox.files.read("data", format="stream") as stream:
        async for piece in stream:
            got += piece
            pieces += 1
    assert got == data
    assert pieces > 1


async def test_a_stream_can_be_let_go_of_early(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("data", bytes(3 * MIB))
    stream = await sandbox.files.read("data", format="stream")
    assert await anext(stream)
    await stream.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_a_hundred_megabytes_go_in_and_out(sandbox: AsyncSandbox) -> None:
    data = os.urandom(MIB) * 100
    await sandbox.files.write("data", data)
    assert await sandbox.files.read("data", format="bytes") == data


async def test_an_empty_file_is_a_file(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("empty", "")
    assert await sandbox.files.read("empty") == ""
    assert (await sandbox.files.get_info("empty")).size == 0


async def test_data_may_be_a_file_object_or_an_iterable(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", io.BytesIO(b"bytes"))
    await sandbox.files.write("b", io.StringIO("text"))
    await sandbox.files.write("c", iter([b"pie", b"ces"]))
    assert [await sandbox.files.read(name) for name in "abc"] == ["bytes", "text", "pieces"]


# unasync: async
async def test_data_may_be_an_asynchronous_iterable(sandbox: AsyncSandbox) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"pie"
        yield b"ces"

    await sandbox.files.write("a", pieces())
    assert await sandbox.files.read("a") == "pieces"


# unasync: sync
# unasync: end
async def test_write_replaces_what_was_there(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", "long content")
    await sandbox.files.write("a", "short")
    assert await sandbox.files.read("a") == "short"
    await sandbox.files.write("a", iter([b"tiny"]))
    assert await sandbox.files.read("a") == "tiny"


async def test_write_makes_the_parents(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("/home/user/a/b/c.txt", "deep")
    assert await sandbox.files.read("a/b/c.txt") == "deep"


async def test_what_is_written_belongs_to_the_sandboxs_user(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", "x")
    result = await sandbox.commands.run("stat -c %U:%a a; echo more >> a; rm a && echo removed")
    assert result.stdout == "user:644\nremoved\n"


@pytest.mark.parametrize("path", ["~/a", "a", "./a", "/home/user/a", "/tmp/../home/user/a"])
async def test_paths_mean_what_they_mean_inside(sandbox: AsyncSandbox, path: str) -> None:
    await sandbox.files.write(path, "x")
    assert await sandbox.files.read("/home/user/a") == "x"


async def test_write_files_writes_all_of_them(sandbox: AsyncSandbox) -> None:
    assert await sandbox.files.write_files([]) == []
    infos = await sandbox.files.write_files(
        [{"path": "a", "data": "1"}, {"path": "sub/b", "data": b"2"}]
    )
    assert [info.path for info in infos] == ["/home/user/a", "/home/user/sub/b"]
    assert await sandbox.files.read("sub/b") == "2"


async def test_write_files_checks_all_before_it_writes_one(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match=r"files\[1\]"):
        await sandbox.files.write_files([{"path": "a", "data": "1"}, {"path": "b"}])  # type: ignore[typeddict-item]
    assert not await sandbox.files.exists("a")


async def test_get_info_tells_what_stat_tells(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a.txt", "12345")
    info = await sandbox.files.get_info("a.txt")
    assert (info.name, info.path, info.type) == ("a.txt", "/home/user/a.txt", FileType.FILE)
    assert (info.size, info.mode, info.permissions) == (5, 0o644, "-rw-r--r--")
    assert (info.owner, info.group, info.symlink_target) == ("user", "user", None)
    assert abs(datetime.now(UTC) - info.modified_time) < timedelta(minutes=1)
    directory = await sandbox.files.get_info("/tmp")
    assert directory.type is FileType.DIR


async def test_get_info_of_a_link_tells_where_it_leads(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", "x")
    await sandbox.commands.run("ln -s a link; ln -s /no/where dead")
    info = await sandbox.files.get_info("link")
    assert info.type is FileType.SYMLINK
    assert info.symlink_target == "/home/user/a"
    assert (await sandbox.files.get_info("dead")).symlink_target == "/no/where"
    assert await sandbox.files.exists("dead")


async def test_exists_tells(sandbox: AsyncSandbox) -> None:
    assert not await sandbox.files.exists("a")
    await sandbox.files.write("a", "")
    assert await sandbox.files.exists("a")
    assert await sandbox.files.exists("/tmp")


async def test_list_gives_the_entries_of_a_directory(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("d/a", "1")
    await sandbox.files.write("d/sub/b", "2")
    assert [entry.path for entry in await sandbox.files.list("d")] == [
        "/home/user/d/a",
        "/home/user/d/sub",
    ]
    deep = await sandbox.files.list("d", depth=2)
    assert [(entry.name, entry.type) for entry in deep] == [
        ("a", FileType.FILE),
        ("sub", FileType.DIR),
        ("b", FileType.FILE),
    ]
    await sandbox.files.make_dir("empty")
    assert await sandbox.files.list("empty") == []


async def test_list_follows_no_link(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("mkdir d; ln -s / d/link")
    assert [entry.name for entry in await sandbox.files.list("d", depth=5)] == ["link"]


async def test_list_manages_thousands(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run_python(
        "import os; os.mkdir('d'); [open(f'd/{n}', 'w').close() for n in range(5000)]"
    )
    assert len(await sandbox.files.list("d")) == 5000


@pytest.mark.parametrize("depth", [0, -1])
async def test_list_wants_a_depth_of_one_or_more(sandbox: AsyncSandbox, depth: int) -> None:
    with pytest.raises(InvalidArgumentException, match="depth"):
        await sandbox.files.list("/", depth=depth)


async def test_make_dir_tells_whether_it_made_one(sandbox: AsyncSandbox) -> None:
    assert await sandbox.files.make_dir("a/b/c") is True
    assert await sandbox.files.make_dir("a/b/c") is False
    await sandbox.files.write("file", "")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.make_dir("file")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.make_dir("file/below")


async def test_remove_takes_files_trees_and_links_but_not_what_links_lead_to(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.commands.run(
        "mkdir -p keep tree/sub; touch keep/a tree/sub/b file; "
        "ln -s $PWD/keep tree/l; ln -s keep link"
    )
    await sandbox.files.remove("file")
    await sandbox.files.remove("tree")
    await sandbox.files.remove("link")
    await sandbox.files.remove("never was")
    assert [entry.name for entry in await sandbox.files.list("/home/user", depth=3)] == [
        "keep",
        "a",
    ]


async def test_rename_moves_and_makes_parents(sandbox: AsyncSandbox) -> None:
    await sandbox.files.write("a", "content")
    info = await sandbox.files.rename("a", "new/b")
    assert info.path == "/home/user/new/b"
    assert not await sandbox.files.exists("a")
    # Between two mounts, where rename(2) says EXDEV.
    await sandbox.files.rename("new/b", "/tmp/c")
    assert await sandbox.files.read("/tmp/c") == "content"
    with pytest.raises(FileNotFoundException):
        await sandbox.files.rename("a", "b")


async def test_what_is_not_there_is_not_found(sandbox: AsyncSandbox) -> None:
    for read_format in ("text", "bytes", "stream"):
        with pytest.raises(FileNotFoundException, match="/home/user/missing"):
            await sandbox.files.read("missing", format=read_format)  # type: ignore[call-overload]
    with pytest.raises(FileNotFoundException):
        await sandbox.files.get_info("missing")
    with pytest.raises(FileNotFoundException):
        await sandbox.files.list("missing")


async def test_a_directory_is_no_file(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="directory"):
        await sandbox.files.read("/tmp")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.write("/tmp", "x")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.list("/etc/passwd")
    await sandbox.files.write("file", "x")
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.write("file/below", "x")


async def test_what_is_neither_file_nor_directory_is_not_read(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run("mkfifo fifo")
    for path in ("fifo", "/dev/zero", "/dev/tty", "/dev/ptmx"):
        with pytest.raises(SandboxException):
            await sandbox.files.read(path)
    with pytest.raises(SandboxException):
        await sandbox.files.write("fifo", "x")
    assert await sandbox.is_running()


async def test_files_of_proc_can_be_read(sandbox: AsyncSandbox) -> None:
    assert (await sandbox.files.read("/proc/1/stat")).startswith("1 ")


async def test_a_system_file_cannot_be_written(sandbox: AsyncSandbox) -> None:
    for path in ("/usr/new", "/etc/passwd", "/new", "/proc/self/comm"):
        with pytest.raises(SandboxException):
            await sandbox.files.write(path, "x")


@pytest.mark.parametrize("path", ["a\0b", "", "~someone/a", None, 7, b"bytes"])
async def test_a_path_that_cannot_be_is_refused(sandbox: AsyncSandbox, path: str) -> None:
    calls = [
        lambda: sandbox.files.read(path),
        lambda: sandbox.files.write(path, "x"),
        lambda: sandbox.files.list(path),
        lambda: sandbox.files.exists(path),
        lambda: sandbox.files.get_info(path),
        lambda: sandbox.files.remove(path),
        lambda: sandbox.files.rename(path, "b"),
        lambda: sandbox.files.rename("b", path),
        lambda: sandbox.files.make_dir(path),
    ]
    for call in calls:
        with pytest.raises(InvalidArgumentException):
            await call()


async def test_a_path_that_is_too_long_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.read("x" * 300)
    with pytest.raises(InvalidArgumentException):
        await sandbox.files.read("x/" * 3000)


async def test_names_that_are_not_utf8_can_be_listed_and_read(sandbox: AsyncSandbox) -> None:
    await sandbox.commands.run_python("open(b'caf\\xe9', 'w').write('x')")
    (entry,) = await sandbox.files.list("/home/user")
    assert entry.name == os.fsdecode(b"caf\xe9")
    assert await sandbox.files.read(entry.path) == "x"


async def test_names_with_every_odd_character_survive(sandbox: AsyncSandbox) -> None:
    name = " a\n\t'\"\\*?$(x);€"
    await sandbox.files.write(name, "x")
    assert [entry.name for entry in await sandbox.files.list("/home/user")] == [name]
    await sandbox.files.remove(name)
    assert not await sandbox.files.exists(name)


@pytest.mark.parametrize("data", [None, 7, object(), "\ud800"])
async def test_data_that_is_none_is_refused_and_nothing_lost(
    sandbox: AsyncSandbox, data: object
) -> None:
    await sandbox.files.write("a", "content")
    with pytest.raises(InvalidArgumentException, match="data"):
        await sandbox.files.write("a", data)  # type: ignore[arg-type]
    assert await sandbox.files.read("a") == "content"
    with pytest.raises(InvalidArgumentException, match="piece"):
        await sandbox.files.write("a", iter([b"x", 7]))  # type: ignore[list-item]


async def test_an_unknown_format_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="format"):
        await sandbox.files.read("/etc/passwd", format="lines")  # type: ignore[call-overload]


async def test_an_unknown_user_is_refused(sandbox: AsyncSandbox) -> None:
    with pytest.raises(AuthenticationException):
        await sandbox.files.read("/etc/passwd", user="nobody-here")
    with pytest.raises(AuthenticationException):
        await sandbox.files.write("a", "x", user="nobody-here")


async def test_a_file_larger_than_the_disk_is_not_enough_space(small_disk: AsyncSandbox) -> None:
    with pytest.raises(NotEnoughSpaceException, match=r"filesystem\.disk"):
        await small_disk.files.write("big", bytes(DISK_BYTES + 1))
    assert not await small_disk.files.exists("big")
    with pytest.raises(NotEnoughSpaceException):
        await small_disk.files.write("big", iter([bytes(MIB)] * 9))
    assert not await small_disk.files.exists("big")
    # And the disk is usable as before.
    await small_disk.files.write("fits", bytes(DISK_BYTES // 2))


async def test_what_a_file_held_survives_a_write_that_does_not_fit(
    small_disk: AsyncSandbox,
) -> None:
    await small_disk.files.write("precious", "content")
    with pytest.raises(NotEnoughSpaceException):
        await small_disk.files.write("precious", bytes(DISK_BYTES + 1))
    assert await small_disk.files.read("precious") == "content"


async def test_a_file_can_be_replaced_on_a_full_disk(small_disk: AsyncSandbox) -> None:
    half = DISK_BYTES // 2 + MIB
    await small_disk.files.write("data", bytes(half))
    await small_disk.files.write("data", b"x" * half)
    assert await small_disk.files.read("data", format="bytes") == b"x" * half


async def test_names_of_any_length_and_bytes_can_be_listed(sandbox: AsyncSandbox) -> None:
    """Each byte that is not UTF-8 takes six in an answer."""
    code = (
        "import os\n"
        "for _ in range(14):\n"
        "    os.mkdir(b'\\xff' * 250)\n"
        "    os.chdir(b'\\xff' * 250)\n"
        "for number in range(500):\n"
        "    open(b'%d' % number + b'\\xff' * 200, 'w').close()\n"
    )
    await sandbox.commands.run_python(code)
    assert len(await sandbox.files.list(".", depth=20)) == 14 + 500
