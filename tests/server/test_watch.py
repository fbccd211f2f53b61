"""Watched directories through E2B's own SDK, unmodified, against a local server."""

from __future__ import annotations

import asyncio

import e2b
import pytest
from e2b import AsyncSandbox, FilesystemEvent, FilesystemEventType, Sandbox


def test_events_are_there_when_they_are_asked_for(sandbox: Sandbox) -> None:
    sandbox.files.make_dir("watched/below")
    watcher = sandbox.files.watch_dir("watched", recursive=True, include_entry=True)
    assert watcher.get_new_events() == []
    sandbox.files.write("watched/below/file", "x")
    events = watcher.get_new_events()
    kinds = [event.type for event in events if event.name == "below/file"]
    assert kinds[0] is FilesystemEventType.CREATE
    assert FilesystemEventType.WRITE in kinds
    assert events[-1].entry is not None
    assert events[-1].entry.path == "/home/user/watched/below/file"
    sandbox.commands.run("rm watched/below/file")
    assert [event.type for event in watcher.get_new_events()] == [FilesystemEventType.REMOVE]
    watcher.stop()
    with pytest.raises(e2b.SandboxException):
        watcher.get_new_events()


def test_only_directories_can_be_watched(sandbox: Sandbox) -> None:
    sandbox.files.write("plain", "x")
    with pytest.raises(e2b.InvalidArgumentException):
        sandbox.files.watch_dir("plain")
    with pytest.raises(e2b.FileNotFoundException):
        sandbox.files.watch_dir("nothing")


@pytest.mark.anyio
async def test_async_events_come_as_they_happen(async_sandbox: AsyncSandbox) -> None:
    events: asyncio.Queue[FilesystemEvent] = asyncio.Queue()
    ended: asyncio.Queue[Exception | None] = asyncio.Queue()
    await async_sandbox.files.make_dir("watched")
    handle = await async_sandbox.files.watch_dir("watched", events.put, on_exit=ended.put)
    await async_sandbox.files.write("watched/file", "x")
    first = await asyncio.wait_for(events.get(), 5)
    assert (first.name, first.type) == ("file", FilesystemEventType.CREATE)
    await handle.stop()
    # The process that watched is gone with the client.
    watching = "until ! ls /proc/[0-9]*/fd/* -l 2>/dev/null | grep -q inotify; do sleep 0.02; done"
    await async_sandbox.commands.run(watching, timeout=5, user="root")


@pytest.mark.anyio
async def test_more_events_than_anybody_waits_for(async_sandbox: AsyncSandbox) -> None:
    names: set[str] = set()
    done = asyncio.Event()

    async def note(event: FilesystemEvent) -> None:
        names.add(event.name)
        if event.name == "last":
            done.set()

    await async_sandbox.files.make_dir("watched")
    handle = await async_sandbox.files.watch_dir("watched", note)
    await async_sandbox.commands.run("cd watched; touch $(seq 2000); touch last")
    await asyncio.wait_for(done.wait(), 5)
    assert len(names) == 2001
    await handle.stop()


@pytest.mark.anyio
async def test_a_watch_ends_with_its_time_or_its_sandbox(async_sandbox: AsyncSandbox) -> None:
    ended: asyncio.Queue[Exception | None] = asyncio.Queue()
    await async_sandbox.files.watch_dir("/tmp", lambda _event: None, on_exit=ended.put, timeout=0.8)
    assert isinstance(await asyncio.wait_for(ended.get(), 5), e2b.TimeoutException)
    await async_sandbox.files.watch_dir("/tmp", lambda _event: None, on_exit=ended.put, timeout=0)
    await async_sandbox.kill()
    assert isinstance(await asyncio.wait_for(ended.get(), 5), e2b.SandboxException)
