"""`files.watch_dir`: what is told of which change, and how a watch ends."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from localbox import (
    AsyncSandbox,
    FileNotFoundException,
    FilesystemEvent,
    FilesystemEventType,
    FileType,
    InvalidArgumentException,
    SandboxNotRunningException,
    TimeoutException,
)
from tests.client._async.doing import until

pytestmark = pytest.mark.anyio

CREATE = FilesystemEventType.CREATE
WRITE = FilesystemEventType.WRITE
REMOVE = FilesystemEventType.REMOVE
RENAME = FilesystemEventType.RENAME
CHMOD = FilesystemEventType.CHMOD
MARKS = itertools.count()


class Watch:
    """A watch, and what it has told so far."""

    def __init__(self, sandbox: AsyncSandbox) -> None:
        self._sandbox = sandbox
        self.events: list[FilesystemEvent] = []
        self.ends: list[Exception | None] = []
        self.handle: Any = None

    async def begin(self, path: str, **options: Any) -> None:
        # unasync: async
        self.handle = await self._sandbox.files.watch_dir(
            path, self.events.append, self.ends.append, **options
        )
        # unasync: sync
        # self.handle = self._sandbox.files.watch_dir(path, **options)
        # unasync: end

    async def told(self, name: str, kind: FilesystemEventType) -> list[FilesystemEvent]:
        """All events, once one of these has come."""

        async def has_come() -> bool:
            # unasync: sync
            # self.events += self.handle.get_new_events()
            # unasync: end
            return (name, kind) in self.pairs()

        await until(has_come)
        return self.events

    async def told_of(self, command: str) -> list[tuple[str, FilesystemEventType]]:
        """What the watch tells of a command run in the watched directory."""
        self.events.clear()
        mark = f"mark{next(MARKS)}"
        await self._sandbox.commands.run(f"{command}\nmkdir ~/watched/{mark}", cwd="watched")
        await self.told(mark, CREATE)
        return self.pairs()[:-1]

    def pairs(self) -> list[tuple[str, FilesystemEventType]]:
        return [(event.name, event.type) for event in self.events]


@asynccontextmanager
async def watching(sandbox: AsyncSandbox, **options: Any) -> AsyncIterator[Watch]:
    await sandbox.files.make_dir("watched")
    watch = Watch(sandbox)
    await watch.begin("watched", **options)
    try:
        yield watch
    finally:
        await watch.handle.stop()


async def test_each_change_is_told_as_e2b_tells_it(sandbox: AsyncSandbox) -> None:
    async with watching(sandbox) as watch:
        assert await watch.told_of("> a") == [("a", CREATE)]
        assert await watch.told_of("echo x >> a") == [("a", WRITE)]
        assert await watch.told_of("chmod 600 a") == [("a", CHMOD)]
        # One for each end of a rename, the old name's first.
        assert await watch.told_of("mv a b") == [("a", RENAME), ("b", CREATE)]
        assert await watch.told_of("mkdir c; rmdir c") == [("c", CREATE), ("c", REMOVE)]
        assert await watch.told_of("rm b") == [("b", REMOVE)]
        assert await watch.told_of("chmod 700 .") == [(".", CHMOD)]
        assert await watch.told_of("cat . 2>/dev/null; ls") == []


async def test_changes_made_through_files_are_told(sandbox: AsyncSandbox) -> None:
    async with watching(sandbox) as watch:
        await sandbox.files.write("watched/a", "x")
        assert (await watch.told("a", WRITE))[0].type is CREATE
        await sandbox.files.rename("watched/a", "watched/b")
        await watch.told("b", CREATE)
        await sandbox.files.remove("watched/b")
        await watch.told("b", REMOVE)


async def test_directories_below_are_watched_only_if_asked_for(sandbox: AsyncSandbox) -> None:
    await sandbox.files.make_dir("watched/old")
    async with watching(sandbox) as watch:
        assert await watch.told_of("> old/a; echo x > old/a; rm old/a") == []
    async with watching(sandbox, recursive=True) as watch:
        expected = [("old/a", CREATE), ("old/a", WRITE), ("old/a", REMOVE)]
        assert await watch.told_of("> old/a; echo x >> old/a; rm old/a") == expected


async def test_everything_in_new_directories_is_told_once(sandbox: AsyncSandbox) -> None:
    """However soon after the directory it was made: before the watch of it stood, or after."""
    async with watching(sandbox, recursive=True) as watch:
        told = await watch.told_of(
            "for i in $(seq 50); do mkdir -p $i/x/y; > $i/a; > $i/x/y/b; done"
        )
        created = sorted(name for name, kind in told if kind is CREATE)
        expected = [
            name
            for i in range(1, 51)
            for name in (f"{i}", f"{i}/a", f"{i}/x", f"{i}/x/y", f"{i}/x/y/b")
        ]
        assert created == sorted(expected)
        assert ("7/x/y/b", WRITE) in await watch.told_of("echo x > 7/x/y/b")


async def test_what_was_written_before_the_watch_stood_is_told_as_written(
    sandbox: AsyncSandbox,
) -> None:
    async with watching(sandbox, recursive=True) as watch:
        await sandbox.files.write("watched/new/file", "x")
        await watch.told("new/file", WRITE)


async def test_a_directory_that_moves_is_watched_under_its_new_name(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.files.make_dir("watched/a/deep")
    async with watching(sandbox, recursive=True) as watch:
        await watch.told_of("mv a b")
        assert await watch.told_of("> b/deep/x") == [("b/deep/x", CREATE)]
        await watch.told_of("mv b ..")
        assert await watch.told_of("> ../b/deep/y") == []
        # What comes in from elsewhere is watched, and not told as new.
        assert await watch.told_of("mv ../b c") == [("c", CREATE)]
        assert await watch.told_of("> c/deep/z") == [("c/deep/z", CREATE)]


async def test_links_are_not_followed(sandbox: AsyncSandbox) -> None:
    await sandbox.files.make_dir("elsewhere")
    async with watching(sandbox, recursive=True) as watch:
        assert await watch.told_of("ln -s ../elsewhere link") == [("link", CREATE)]
        assert await watch.told_of("> ../elsewhere/a") == []


async def test_entries_describe_what_is_there(sandbox: AsyncSandbox) -> None:
    async with watching(sandbox, include_entry=True) as watch:
        await sandbox.files.write("watched/a", "xyz", metadata={"k": "v"})
        await watch.told("a", WRITE)
        await sandbox.files.remove("watched/a")
        *earlier, last = await watch.told("a", REMOVE)
        assert last.entry is None
        entry = next(event.entry for event in reversed(earlier) if event.entry is not None)
        assert (entry.name, entry.path) == ("a", "/home/user/watched/a")
        assert entry.type is FileType.FILE
        assert entry.metadata == {"k": "v"}
    async with watching(sandbox) as watch:
        await sandbox.files.write("watched/b", "xyz")
        assert all(event.entry is None for event in await watch.told("b", WRITE))


async def test_a_watched_directory_that_is_removed_says_so_and_no_more(
    sandbox: AsyncSandbox,
) -> None:
    async with watching(sandbox) as watch:
        await sandbox.files.remove("watched")
        await watch.told(".", REMOVE)
        await sandbox.files.write("watched/a", "x")
    assert "a" not in [event.name for event in watch.events]


async def test_any_number_of_watches_are_told(sandbox: AsyncSandbox) -> None:
    async with watching(sandbox) as one, watching(sandbox, recursive=True) as other:
        await sandbox.files.write("watched/a", "x")
        assert await one.told("a", WRITE)
        assert await other.told("a", WRITE)


async def test_what_cannot_be_watched_is_refused(sandbox: AsyncSandbox) -> None:
    watch = Watch(sandbox)
    with pytest.raises(FileNotFoundException):
        await watch.begin("missing")
    await sandbox.files.write("file", "x")
    with pytest.raises(InvalidArgumentException, match="directory"):
        await watch.begin("file")
    with pytest.raises(InvalidArgumentException):
        await watch.begin("")


async def test_a_profile_without_inotify_says_what_to_do() -> None:
    async with await AsyncSandbox.create(profile="strict") as sandbox:
        watch = Watch(sandbox)
        with pytest.raises(InvalidArgumentException, match="@inotify"):
            await watch.begin("/home/user")


async def test_a_watch_ends_with_its_handle(sandbox: AsyncSandbox) -> None:
    # A watcher is of the agent's session; programs have sessions of their own.
    code = (
        "import os\n"
        "for pid in map(int, filter(str.isdigit, os.listdir('/proc'))):\n"
        "    try:\n"
        "        if pid != 1 and os.getsid(pid) == os.getsid(1): print(pid)\n"
        "    except ProcessLookupError: pass\n"
    )

    async def nobody_watches() -> bool:
        return (await sandbox.commands.run_python(code)).stdout == ""

    async with watching(sandbox):
        assert not await nobody_watches()
    await until(nobody_watches)


async def test_a_watch_outlives_nothing_of_the_sandbox(sandbox: AsyncSandbox) -> None:
    """Standard input of a command that was there first is closed, though a watcher was forked."""
    command = await sandbox.commands.run("cat", background=True, stdin=True)
    async with watching(sandbox):
        await command.send_stdin("x")
        await command.close_stdin()
        assert (await command.wait()).stdout == "x"


# unasync: async
async def test_the_end_is_told_once_and_without_an_error_after_stop(
    sandbox: AsyncSandbox,
) -> None:
    async with watching(sandbox) as watch:
        pass
    assert watch.ends == [None]


async def test_the_end_of_its_time_is_told(sandbox: AsyncSandbox) -> None:
    async with watching(sandbox, timeout=0.1) as watch:

        async def ended() -> bool:
            return bool(watch.ends)

        await until(ended)
        assert isinstance(watch.ends[0], TimeoutException)
        assert "timeout" in str(watch.ends[0])
    assert len(watch.ends) == 1


async def test_the_end_of_the_sandbox_is_told(sandbox: AsyncSandbox) -> None:
    async with watching(sandbox, timeout=0) as watch:
        await sandbox.kill()

        async def ended() -> bool:
            return bool(watch.ends)

        await until(ended)
    assert isinstance(watch.ends[0], SandboxNotRunningException)


async def test_a_callback_may_stop_the_watch(sandbox: AsyncSandbox) -> None:
    await sandbox.files.make_dir("watched")
    handles: list[Any] = []
    ends: list[Exception | None] = []

    async def stop(_event: FilesystemEvent) -> None:
        await handles[0].stop()

    handles.append(await sandbox.files.watch_dir("watched", stop, ends.append))
    await sandbox.files.write("watched/a", "x")

    async def ended() -> bool:
        return bool(ends)

    await until(ended)
    assert ends == [None]


async def test_callbacks_may_be_coroutines_and_their_errors_end_the_watch(
    sandbox: AsyncSandbox,
) -> None:
    await sandbox.files.make_dir("watched")
    ends: list[Exception | None] = []

    async def fail(event: FilesystemEvent) -> None:
        raise ValueError(event.name)

    async def note(error: Exception | None) -> None:
        ends.append(error)

    handle = await sandbox.files.watch_dir("watched", fail, note)
    await sandbox.files.write("watched/a", "x")

    async def ended() -> bool:
        return bool(ends)

    await until(ended)
    assert isinstance(ends[0], ValueError)
    await handle.stop()
    assert len(ends) == 1


# unasync: sync
# def test_a_stopped_watch_tells_nothing_more(sandbox: AsyncSandbox) -> None:
#     from localbox import SandboxException
#
#     with watching(sandbox) as watch:
#         pass
#     with pytest.raises(SandboxException, match="stopped"):
#         watch.handle.get_new_events()
#     watch.handle.stop()
#
#
# def test_nothing_new_is_an_empty_list(sandbox: AsyncSandbox) -> None:
#     with watching(sandbox) as watch:
#         assert watch.handle.get_new_events() == []
#         sandbox.commands.run("> watched/a")
#         assert len(watch.handle.get_new_events()) == 1
#         assert watch.handle.get_new_events() == []
#
#
# def test_the_end_of_the_sandbox_is_told(sandbox: AsyncSandbox) -> None:
#     with watching(sandbox) as watch:
#         sandbox.kill()
#         with pytest.raises(SandboxNotRunningException):
#             watch.handle.get_new_events()
#         with pytest.raises(Exception, match="ended"):
#             watch.handle.get_new_events()
# unasync: end
