# generated from tests/client/_async/test_watch.py by scripts/unasync.py; edit that, not this
"""`files.watch_dir`: what is told of which change, and how a watch ends."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from localbox import (
    FileNotFoundException,
    FilesystemEvent,
    FilesystemEventType,
    FileType,
    InvalidArgumentException,
    Sandbox,
    SandboxNotRunningException,
)
from tests.client._sync.doing import until

CREATE = FilesystemEventType.CREATE
WRITE = FilesystemEventType.WRITE
REMOVE = FilesystemEventType.REMOVE
RENAME = FilesystemEventType.RENAME
CHMOD = FilesystemEventType.CHMOD
MARKS = itertools.count()


class Watch:
    """A watch, and what it has told so far."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.events: list[FilesystemEvent] = []
        self.ends: list[Exception | None] = []
        self.handle: Any = None

    def begin(self, path: str, **options: Any) -> None:
        self.handle = self._sandbox.files.watch_dir(path, **options)

    def told(self, name: str, kind: FilesystemEventType) -> list[FilesystemEvent]:
        """All events, once one of these has come."""

        def has_come() -> bool:
            self.events += self.handle.get_new_events()
            return (name, kind) in self.pairs()

        until(has_come)
        return self.events

    def told_of(self, command: str) -> list[tuple[str, FilesystemEventType]]:
        """What the watch tells of a command run in the watched directory."""
        self.events.clear()
        mark = f"mark{next(MARKS)}"
        self._sandbox.commands.run(f"{command}\nmkdir ~/watched/{mark}", cwd="watched")
        self.told(mark, CREATE)
        return self.pairs()[:-1]

    def pairs(self) -> list[tuple[str, FilesystemEventType]]:
        return [(event.name, event.type) for event in self.events]


@contextmanager
def watching(sandbox: Sandbox, **options: Any) -> Iterator[Watch]:
    sandbox.files.make_dir("watched")
    watch = Watch(sandbox)
    watch.begin("watched", **options)
    try:
        yield watch
    finally:
        watch.handle.stop()


def test_each_change_is_told_as_e2b_tells_it(sandbox: Sandbox) -> None:
    with watching(sandbox) as watch:
        assert watch.told_of("> a") == [("a", CREATE)]
        assert watch.told_of("echo x >> a") == [("a", WRITE)]
        assert watch.told_of("chmod 600 a") == [("a", CHMOD)]
        # One for each end of a rename, the old name's first.
        assert watch.told_of("mv a b") == [("a", RENAME), ("b", CREATE)]
        assert watch.told_of("mkdir c; rmdir c") == [("c", CREATE), ("c", REMOVE)]
        assert watch.told_of("rm b") == [("b", REMOVE)]
        assert watch.told_of("chmod 700 .") == [(".", CHMOD)]
        assert watch.told_of("cat . 2>/dev/null; ls") == []


def test_changes_made_through_files_are_told(sandbox: Sandbox) -> None:
    with watching(sandbox) as watch:
        sandbox.files.write("watched/a", "x")
        assert watch.told("a", WRITE)[0].type is CREATE
        sandbox.files.rename("watched/a", "watched/b")
        watch.told("b", CREATE)
        sandbox.files.remove("watched/b")
        watch.told("b", REMOVE)


def test_directories_below_are_watched_only_if_asked_for(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("watched/old")
    with watching(sandbox) as watch:
        assert watch.told_of("> old/a; echo x > old/a; rm old/a") == []
    with watching(sandbox, recursive=True) as watch:
        expected = [("old/a", CREATE), ("old/a", WRITE), ("old/a", REMOVE)]
        assert watch.told_of("> old/a; echo x >> old/a; rm old/a") == expected


def test_everything_in_new_directories_is_told_once(sandbox: Sandbox) -> None:
    """However soon after the directory it was made: before the watch of it stood, or after."""
    with watching(sandbox, recursive=True) as watch:
        told = watch.told_of("for i in $(seq 50); do mkdir -p $i/x/y; > $i/a; > $i/x/y/b; done")
        created = sorted(name for name, kind in told if kind is CREATE)
        expected = [
            name
            for i in range(1, 51)
            for name in (f"{i}", f"{i}/a", f"{i}/x", f"{i}/x/y", f"{i}/x/y/b")
        ]
        assert created == sorted(expected)
        assert ("7/x/y/b", WRITE) in watch.told_of("echo x > 7/x/y/b")


def test_what_was_written_before_the_watch_stood_is_told_as_written(
    sandbox: Sandbox,
) -> None:
    with watching(sandbox, recursive=True) as watch:
        sandbox.files.write("watched/new/file", "x")
        watch.told("new/file", WRITE)


def test_a_directory_that_moves_is_watched_under_its_new_name(
    sandbox: Sandbox,
) -> None:
    sandbox.files.make_dir("watched/a/deep")
    with watching(sandbox, recursive=True) as watch:
        watch.told_of("mv a b")
        assert watch.told_of("> b/deep/x") == [("b/deep/x", CREATE)]
        watch.told_of("mv b ..")
        assert watch.told_of("> ../b/deep/y") == []
        # What comes in from elsewhere is watched, and not told as new.
        assert watch.told_of("mv ../b c") == [("c", CREATE)]
        assert watch.told_of("> c/deep/z") == [("c/deep/z", CREATE)]


def test_links_are_not_followed(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("elsewhere")
    with watching(sandbox, recursive=True) as watch:
        assert watch.told_of("ln -s ../elsewhere link") == [("link", CREATE)]
        assert watch.told_of("> ../elsewhere/a") == []


def test_entries_describe_what_is_there(sandbox: Sandbox) -> None:
    with watching(sandbox, include_entry=True) as watch:
        sandbox.files.write("watched/a", "xyz", metadata={"k": "v"})
        watch.told("a", WRITE)
        sandbox.files.remove("watched/a")
        *earlier, last = watch.told("a", REMOVE)
        assert last.entry is None
        entry = next(event.entry for event in reversed(earlier) if event.entry is not None)
        assert (entry.name, entry.path) == ("a", "/home/user/watched/a")
        assert entry.type is FileType.FILE
        assert entry.metadata == {"k": "v"}
    with watching(sandbox) as watch:
        sandbox.files.write("watched/b", "xyz")
        assert all(event.entry is None for event in watch.told("b", WRITE))


def test_a_watched_directory_that_is_removed_says_so_and_no_more(
    sandbox: Sandbox,
) -> None:
    with watching(sandbox) as watch:
        sandbox.files.remove("watched")
        watch.told(".", REMOVE)
        sandbox.files.write("watched/a", "x")
    assert "a" not in [event.name for event in watch.events]


def test_any_number_of_watches_are_told(sandbox: Sandbox) -> None:
    with watching(sandbox) as one, watching(sandbox, recursive=True) as other:
        sandbox.files.write("watched/a", "x")
        assert one.told("a", WRITE)
        assert other.told("a", WRITE)


def test_what_cannot_be_watched_is_refused(sandbox: Sandbox) -> None:
    watch = Watch(sandbox)
    with pytest.raises(FileNotFoundException):
        watch.begin("missing")
    sandbox.files.write("file", "x")
    with pytest.raises(InvalidArgumentException, match="directory"):
        watch.begin("file")
    with pytest.raises(InvalidArgumentException):
        watch.begin("")


def test_a_profile_without_inotify_says_what_to_do() -> None:
    with Sandbox.create(profile="strict") as sandbox:
        watch = Watch(sandbox)
        with pytest.raises(InvalidArgumentException, match="@inotify"):
            watch.begin("/home/user")


def test_a_watch_ends_with_its_handle(sandbox: Sandbox) -> None:
    # A watcher is of the agent's session; programs have sessions of their own.
    code = (
        "import os\n"
        "for pid in map(int, filter(str.isdigit, os.listdir('/proc'))):\n"
        "    try:\n"
        "        if pid != 1 and os.getsid(pid) == os.getsid(1): print(pid)\n"
        "    except ProcessLookupError: pass\n"
    )

    def nobody_watches() -> bool:
        return sandbox.commands.run_python(code).stdout == ""

    with watching(sandbox):
        assert not nobody_watches()
    until(nobody_watches)


def test_a_watch_outlives_nothing_of_the_sandbox(sandbox: Sandbox) -> None:
    """Standard input of a command that was there first is closed, though a watcher was forked."""
    command = sandbox.commands.run("cat", background=True, stdin=True)
    with watching(sandbox):
        command.send_stdin("x")
        command.close_stdin()
        assert command.wait().stdout == "x"


def test_a_stopped_watch_tells_nothing_more(sandbox: Sandbox) -> None:
    from localbox import SandboxException

    with watching(sandbox) as watch:
        pass
    with pytest.raises(SandboxException, match="stopped"):
        watch.handle.get_new_events()
    watch.handle.stop()


def test_nothing_new_is_an_empty_list(sandbox: Sandbox) -> None:
    with watching(sandbox) as watch:
        assert watch.handle.get_new_events() == []
        sandbox.commands.run("> watched/a")
        assert len(watch.handle.get_new_events()) == 1
        assert watch.handle.get_new_events() == []


def test_the_end_of_the_sandbox_is_told(sandbox: Sandbox) -> None:
    with watching(sandbox) as watch:
        sandbox.kill()
        with pytest.raises(SandboxNotRunningException):
            watch.handle.get_new_events()
        with pytest.raises(Exception, match="ended"):
            watch.handle.get_new_events()
