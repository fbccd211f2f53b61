# generated from tests/client/_async/test_files.py by scripts/unasync.py; edit that, not this
"""`files`: read, write, list and the rest, and everything that can be wrong with a path."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from localbox import (
    AuthenticationException,
    FileNotFoundException,
    FileType,
    InvalidArgumentException,
    NotEnoughSpaceException,
    Sandbox,
    SandboxException,
    WriteInfo,
)
from localbox.policy import load_profile, merge_overrides

MIB = 1 << 20
DISK_BYTES = 8 * MIB


@pytest.fixture
def small_disk() -> Iterator[Sandbox]:
    policy = merge_overrides(load_profile("default"), disk=DISK_BYTES)
    with Sandbox.create(profile=policy) as sandbox:
        yield sandbox


def test_text_comes_back_as_it_was_written(sandbox: Sandbox) -> None:
    written = sandbox.files.write("notes.txt", "one\r\ntwo ü €\n")
    assert written == WriteInfo(
        name="notes.txt", type=FileType.FILE, path="/home/user/notes.txt", metadata=None
    )
    assert sandbox.files.read("notes.txt") == "one\r\ntwo ü €\n"
    assert sandbox.commands.run("cat notes.txt").stdout == "one\r\ntwo ü €\n"


def test_bytes_come_back_as_a_bytearray(sandbox: Sandbox) -> None:
    data = bytes(range(256)) * 10
    sandbox.files.write("data", data)
    read = sandbox.files.read("data", format="bytes")
    assert isinstance(read, bytearray)
    assert read == data


def test_bytes_that_are_not_utf8_read_as_text_are_replaced(sandbox: Sandbox) -> None:
    sandbox.files.write("data", b"a\xffb")
    assert sandbox.files.read("data") == "a\ufffdb"


def test_a_stream_gives_the_content_in_pieces(sandbox: Sandbox) -> None:
    data = os.urandom(3 * MIB + 17)
    sandbox.files.write("data", data)
    got, pieces = b"", 0
    with sandbox.files.read("data", format="stream") as stream:
        for piece in stream:
            got += piece
            pieces += 1
    assert got == data
    assert pieces > 1


def test_a_stream_can_be_let_go_of_early(sandbox: Sandbox) -> None:
    sandbox.files.write("data", bytes(3 * MIB))
    stream = sandbox.files.read("data", format="stream")
    assert next(stream)
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)


def test_a_hundred_megabytes_go_in_and_out(sandbox: Sandbox) -> None:
    data = os.urandom(MIB) * 100
    sandbox.files.write("data", data)
    assert sandbox.files.read("data", format="bytes") == data


def test_an_empty_file_is_a_file(sandbox: Sandbox) -> None:
    sandbox.files.write("empty", "")
    assert sandbox.files.read("empty") == ""
    assert sandbox.files.get_info("empty").size == 0


def test_data_may_be_a_file_object_or_an_iterable(sandbox: Sandbox) -> None:
    sandbox.files.write("a", io.BytesIO(b"bytes"))
    sandbox.files.write("b", io.StringIO("text"))
    sandbox.files.write("c", iter([b"pie", b"ces"]))
    assert [sandbox.files.read(name) for name in "abc"] == ["bytes", "text", "pieces"]


def test_write_replaces_what_was_there(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "long content")
    sandbox.files.write("a", "short")
    assert sandbox.files.read("a") == "short"
    sandbox.files.write("a", iter([b"tiny"]))
    assert sandbox.files.read("a") == "tiny"


def test_write_makes_the_parents(sandbox: Sandbox) -> None:
    sandbox.files.write("/home/user/a/b/c.txt", "deep")
    assert sandbox.files.read("a/b/c.txt") == "deep"


def test_what_is_written_belongs_to_the_sandboxs_user(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "x")
    result = sandbox.commands.run("stat -c %U:%a a; echo more >> a; rm a && echo removed")
    assert result.stdout == "user:644\nremoved\n"


@pytest.mark.parametrize("path", ["~/a", "a", "./a", "/home/user/a", "/tmp/../home/user/a"])
def test_paths_mean_what_they_mean_inside(sandbox: Sandbox, path: str) -> None:
    sandbox.files.write(path, "x")
    assert sandbox.files.read("/home/user/a") == "x"


def test_write_files_writes_all_of_them(sandbox: Sandbox) -> None:
    assert sandbox.files.write_files([]) == []
    infos = sandbox.files.write_files([{"path": "a", "data": "1"}, {"path": "sub/b", "data": b"2"}])
    assert [info.path for info in infos] == ["/home/user/a", "/home/user/sub/b"]
    assert sandbox.files.read("sub/b") == "2"


def test_write_files_checks_all_before_it_writes_one(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match=r"files\[1\]"):
        sandbox.files.write_files([{"path": "a", "data": "1"}, {"path": "b"}])  # type: ignore[typeddict-item]
    assert not sandbox.files.exists("a")


def test_get_info_tells_what_stat_tells(sandbox: Sandbox) -> None:
    sandbox.files.write("a.txt", "12345")
    info = sandbox.files.get_info("a.txt")
    assert (info.name, info.path, info.type) == ("a.txt", "/home/user/a.txt", FileType.FILE)
    assert (info.size, info.mode, info.permissions) == (5, 0o644, "-rw-r--r--")
    assert (info.owner, info.group, info.symlink_target) == ("user", "user", None)
    assert abs(datetime.now(UTC) - info.modified_time) < timedelta(minutes=1)
    directory = sandbox.files.get_info("/tmp")
    assert directory.type is FileType.DIR


def test_get_info_of_a_link_tells_where_it_leads(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "x")
    sandbox.commands.run("ln -s a link; ln -s /no/where dead")
    info = sandbox.files.get_info("link")
    assert info.type is FileType.SYMLINK
    assert info.symlink_target == "/home/user/a"
    assert sandbox.files.get_info("dead").symlink_target == "/no/where"
    assert sandbox.files.exists("dead")


def test_exists_tells(sandbox: Sandbox) -> None:
    assert not sandbox.files.exists("a")
    sandbox.files.write("a", "")
    assert sandbox.files.exists("a")
    assert sandbox.files.exists("/tmp")


def test_list_gives_the_entries_of_a_directory(sandbox: Sandbox) -> None:
    sandbox.files.write("d/a", "1")
    sandbox.files.write("d/sub/b", "2")
    assert [entry.path for entry in sandbox.files.list("d")] == [
        "/home/user/d/a",
        "/home/user/d/sub",
    ]
    deep = sandbox.files.list("d", depth=2)
    assert [(entry.name, entry.type) for entry in deep] == [
        ("a", FileType.FILE),
        ("sub", FileType.DIR),
        ("b", FileType.FILE),
    ]
    sandbox.files.make_dir("empty")
    assert sandbox.files.list("empty") == []


def test_list_follows_no_link(sandbox: Sandbox) -> None:
    sandbox.commands.run("mkdir d; ln -s / d/link")
    assert [entry.name for entry in sandbox.files.list("d", depth=5)] == ["link"]


def test_list_manages_thousands(sandbox: Sandbox) -> None:
    sandbox.commands.run_python(
        "import os; os.mkdir('d'); [open(f'd/{n}', 'w').close() for n in range(5000)]"
    )
    assert len(sandbox.files.list("d")) == 5000


@pytest.mark.parametrize("depth", [0, -1])
def test_list_wants_a_depth_of_one_or_more(sandbox: Sandbox, depth: int) -> None:
    with pytest.raises(InvalidArgumentException, match="depth"):
        sandbox.files.list("/", depth=depth)


def test_make_dir_tells_whether_it_made_one(sandbox: Sandbox) -> None:
    assert sandbox.files.make_dir("a/b/c") is True
    assert sandbox.files.make_dir("a/b/c") is False
    sandbox.files.write("file", "")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.make_dir("file")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.make_dir("file/below")


def test_remove_takes_files_trees_and_links_but_not_what_links_lead_to(
    sandbox: Sandbox,
) -> None:
    sandbox.commands.run(
        "mkdir -p keep tree/sub; touch keep/a tree/sub/b file; "
        "ln -s $PWD/keep tree/l; ln -s keep link"
    )
    sandbox.files.remove("file")
    sandbox.files.remove("tree")
    sandbox.files.remove("link")
    sandbox.files.remove("never was")
    assert [entry.name for entry in sandbox.files.list("/home/user", depth=3)] == [
        "keep",
        "a",
    ]


def test_rename_moves_and_makes_parents(sandbox: Sandbox) -> None:
    sandbox.files.write("a", "content")
    info = sandbox.files.rename("a", "new/b")
    assert info.path == "/home/user/new/b"
    assert not sandbox.files.exists("a")
    # Between two mounts, where rename(2) says EXDEV.
    sandbox.files.rename("new/b", "/tmp/c")
    assert sandbox.files.read("/tmp/c") == "content"
    with pytest.raises(FileNotFoundException):
        sandbox.files.rename("a", "b")


def test_what_is_not_there_is_not_found(sandbox: Sandbox) -> None:
    for read_format in ("text", "bytes", "stream"):
        with pytest.raises(FileNotFoundException, match="/home/user/missing"):
            sandbox.files.read("missing", format=read_format)  # type: ignore[call-overload]
    with pytest.raises(FileNotFoundException):
        sandbox.files.get_info("missing")
    with pytest.raises(FileNotFoundException):
        sandbox.files.list("missing")


def test_a_directory_is_no_file(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="directory"):
        sandbox.files.read("/tmp")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.write("/tmp", "x")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.list("/etc/passwd")
    sandbox.files.write("file", "x")
    with pytest.raises(InvalidArgumentException):
        sandbox.files.write("file/below", "x")


def test_what_is_neither_file_nor_directory_is_not_read(sandbox: Sandbox) -> None:
    sandbox.commands.run("mkfifo fifo")
    for path in ("fifo", "/dev/zero", "/dev/tty", "/dev/ptmx"):
        with pytest.raises(SandboxException):
            sandbox.files.read(path)
    with pytest.raises(SandboxException):
        sandbox.files.write("fifo", "x")
    assert sandbox.is_running()


def test_files_of_proc_can_be_read(sandbox: Sandbox) -> None:
    assert sandbox.files.read("/proc/1/stat").startswith("1 ")


def test_a_system_file_cannot_be_written(sandbox: Sandbox) -> None:
    for path in ("/usr/new", "/etc/passwd", "/new", "/proc/self/comm"):
        with pytest.raises(SandboxException):
            sandbox.files.write(path, "x")


@pytest.mark.parametrize("path", ["a\0b", "", "~someone/a", None, 7, b"bytes"])
def test_a_path_that_cannot_be_is_refused(sandbox: Sandbox, path: str) -> None:
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
            call()


def test_a_path_that_is_too_long_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException):
        sandbox.files.read("x" * 300)
    with pytest.raises(InvalidArgumentException):
        sandbox.files.read("x/" * 3000)


def test_names_that_are_not_utf8_can_be_listed_and_read(sandbox: Sandbox) -> None:
    sandbox.commands.run_python("open(b'caf\\xe9', 'w').write('x')")
    (entry,) = sandbox.files.list("/home/user")
    assert entry.name == os.fsdecode(b"caf\xe9")
    assert sandbox.files.read(entry.path) == "x"


def test_names_with_every_odd_character_survive(sandbox: Sandbox) -> None:
    name = " a\n\t'\"\\*?$(x);€"
    sandbox.files.write(name, "x")
    assert [entry.name for entry in sandbox.files.list("/home/user")] == [name]
    sandbox.files.remove(name)
    assert not sandbox.files.exists(name)


@pytest.mark.parametrize("data", [None, 7, object(), "\ud800"])
def test_data_that_is_none_is_refused_and_nothing_lost(sandbox: Sandbox, data: object) -> None:
    sandbox.files.write("a", "content")
    with pytest.raises(InvalidArgumentException, match="data"):
        sandbox.files.write("a", data)  # type: ignore[arg-type]
    assert sandbox.files.read("a") == "content"
    with pytest.raises(InvalidArgumentException, match="piece"):
        sandbox.files.write("a", iter([b"x", 7]))  # type: ignore[list-item]


def test_an_unknown_format_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidArgumentException, match="format"):
        sandbox.files.read("/etc/passwd", format="lines")  # type: ignore[call-overload]


def test_an_unknown_user_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(AuthenticationException):
        sandbox.files.read("/etc/passwd", user="nobody-here")
    with pytest.raises(AuthenticationException):
        sandbox.files.write("a", "x", user="nobody-here")


def test_a_file_larger_than_the_disk_is_not_enough_space(small_disk: Sandbox) -> None:
    with pytest.raises(NotEnoughSpaceException, match=r"filesystem\.disk"):
        small_disk.files.write("big", bytes(DISK_BYTES + 1))
    assert not small_disk.files.exists("big")
    with pytest.raises(NotEnoughSpaceException):
        small_disk.files.write("big", iter([bytes(MIB)] * 9))
    assert not small_disk.files.exists("big")
    # And the disk is usable as before.
    small_disk.files.write("fits", bytes(DISK_BYTES // 2))


def test_what_a_file_held_survives_a_write_that_does_not_fit(
    small_disk: Sandbox,
) -> None:
    small_disk.files.write("precious", "content")
    with pytest.raises(NotEnoughSpaceException):
        small_disk.files.write("precious", bytes(DISK_BYTES + 1))
    assert small_disk.files.read("precious") == "content"


def test_a_file_can_be_replaced_on_a_full_disk(small_disk: Sandbox) -> None:
    half = DISK_BYTES // 2 + MIB
    small_disk.files.write("data", bytes(half))
    small_disk.files.write("data", b"x" * half)
    assert small_disk.files.read("data", format="bytes") == b"x" * half


def test_names_of_any_length_and_bytes_can_be_listed(sandbox: Sandbox) -> None:
    """Each byte that is not UTF-8 takes six in an answer."""
    code = (
        "import os\n"
        "for _ in range(14):\n"
        "    os.mkdir(b'\\xff' * 250)\n"
        "    os.chdir(b'\\xff' * 250)\n"
        "for number in range(500):\n"
        "    open(b'%d' % number + b'\\xff' * 200, 'w').close()\n"
    )
    sandbox.commands.run_python(code)
    assert len(sandbox.files.list(".", depth=20)) == 14 + 500
