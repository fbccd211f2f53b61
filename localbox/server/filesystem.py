"""filesystem.Filesystem: what is there, and what happens to it, as envd tells it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator
from typing import Any

from localbox import Sandbox
from localbox.errors import FileNotFoundException
from localbox.models import EntryInfo, FilesystemEvent, FileType
from localbox.server.connect_rpc import Call, Message, envelope, field, stream_out, unary
from localbox.server.errors import Refusal

_TYPES = {
    FileType.FILE: "FILE_TYPE_FILE",
    FileType.DIR: "FILE_TYPE_DIRECTORY",
    FileType.SYMLINK: "FILE_TYPE_SYMLINK",
}
_KEEPALIVE = envelope({"keepalive": {}})
# Each is a process in the sandbox and a socket here.
_MOST_WATCHERS = 64
_WATCHERS = "filesystem.watchers"
# What happens waits in the sandbox when the client does not read; this much waits here.
_WAITING_EVENTS = 256


async def _stat(call: Call) -> Message:
    files = call.served.sandbox.files
    return {"entry": _entry(await files.get_info(_path(call), call.user, call.timeout_s))}


async def _make_dir(call: Call) -> Message:
    files, path = call.served.sandbox.files, _path(call)
    if not await files.make_dir(path, call.user, call.timeout_s):
        raise Refusal(409, f"directory {path!r} already exists")
    return {"entry": _entry(await files.get_info(path, call.user, call.timeout_s))}


async def _move(call: Call) -> Message:
    source = field(call.message, "source", str, "")
    destination = field(call.message, "destination", str, "")
    files = call.served.sandbox.files
    return {"entry": _entry(await files.rename(source, destination, call.user, call.timeout_s))}


async def _list_dir(call: Call) -> Message:
    depth = field(call.message, "depth", int, 1)
    files = call.served.sandbox.files
    entries = await files.list(_path(call), max(depth, 1), call.user, call.timeout_s)
    return {"entries": [_entry(entry) for entry in entries]}


async def _remove(call: Call) -> Message:
    await call.served.sandbox.files.remove(_path(call), call.user, call.timeout_s)
    return {}


async def _watch_dir(call: Call) -> AsyncGenerator[bytes, None]:
    waiting: asyncio.Queue[FilesystemEvent | Exception | None] = asyncio.Queue(_WAITING_EVENTS)
    handle = await call.served.sandbox.files.watch_dir(
        _path(call),
        # Waits while the queue is full, and with it the watching process in the sandbox.
        waiting.put,
        waiting.put,
        call.user,
        timeout=call.timeout_s or 0,
        **_watch_options(call.message),
    )
    try:
        yield envelope({"start": {}})
        while (event := await waiting.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield envelope({"filesystem": _event(event)})
    finally:
        # Room for the last word, which nobody reads.
        while not waiting.empty():
            waiting.get_nowait()
        await handle.stop()


async def _create_watcher(call: Call) -> Message:
    """A watcher that is asked for its events: the synchronous interface's, whose `tell` has all
    that has happened until then. It blocks, so it lives in threads."""
    watchers = _watchers(call)
    if len(watchers) >= _MOST_WATCHERS:
        raise Refusal(429, f"a sandbox has at most {_MOST_WATCHERS} watchers; remove some")
    sandbox = Sandbox._of(call.served.sandbox._record)
    handle = await asyncio.to_thread(
        sandbox.files.watch_dir,
        _path(call),
        call.user,
        call.timeout_s,
        **_watch_options(call.message),
    )
    watcher_id = secrets.token_hex(8)
    watchers[watcher_id] = handle
    return {"watcherId": watcher_id}


async def _get_watcher_events(call: Call) -> Message:
    watcher_id = field(call.message, "watcherId", str, "")
    handle = _watchers(call).get(watcher_id)
    if handle is None:
        raise _no_watcher(watcher_id)
    events = await asyncio.to_thread(handle.get_new_events, call.timeout_s)
    return {"events": [_event(event) for event in events]}


async def _remove_watcher(call: Call) -> Message:
    watcher_id = field(call.message, "watcherId", str, "")
    handle = _watchers(call).pop(watcher_id, None)
    if handle is None:
        raise _no_watcher(watcher_id)
    await asyncio.to_thread(handle.stop)
    return {}


def _watchers(call: Call) -> dict[str, Any]:
    watchers: dict[str, Any] = call.served.notes.setdefault(_WATCHERS, {})
    return watchers


def _no_watcher(watcher_id: str) -> Refusal:
    return Refusal(404, f"there is no watcher {watcher_id!r:.50}")


def _watch_options(message: Message) -> dict[str, bool]:
    return {
        "recursive": field(message, "recursive", bool, False),
        "include_entry": field(message, "includeEntry", bool, False),
        "allow_network_mounts": field(message, "allowNetworkMounts", bool, False),
    }


def _path(call: Call) -> str:
    return field(call.message, "path", str, "")


def _event(event: FilesystemEvent) -> Message:
    described: Message = {
        "name": _text(event.name),
        "type": f"EVENT_TYPE_{event.type.name}",
    }
    if event.entry is not None:
        described["entry"] = _entry(event.entry)
    return described


def _entry(entry: EntryInfo) -> Message:
    if entry.type is None:
        raise FileNotFoundException(f"{entry.path!r} is nothing that can be described")
    described: Message = {
        "name": _text(entry.name),
        "type": _TYPES[entry.type],
        "path": _text(entry.path),
        # 64-bit numbers are strings in the JSON of protobuf.
        "size": str(entry.size),
        "mode": entry.mode,
        "permissions": entry.permissions,
        "owner": entry.owner,
        "group": entry.group,
        "modifiedTime": entry.modified_time.isoformat().replace("+00:00", "Z"),
    }
    if entry.symlink_target is not None:
        described["symlinkTarget"] = _text(entry.symlink_target)
    if entry.type is FileType.SYMLINK:
        described["isSymlink"] = True
    if entry.metadata:
        described["metadata"] = {_text(k): _text(v) for k, v in entry.metadata.items()}
    return described


def _text(name: str) -> str:
    # A name that is not UTF-8 has lone surrogates, which no decoder of protobuf takes.
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


routes = [
    unary("/filesystem.Filesystem/Stat", _stat),
    unary("/filesystem.Filesystem/MakeDir", _make_dir),
    unary("/filesystem.Filesystem/Move", _move),
    unary("/filesystem.Filesystem/ListDir", _list_dir),
    unary("/filesystem.Filesystem/Remove", _remove),
    stream_out("/filesystem.Filesystem/WatchDir", _watch_dir, keepalive=_KEEPALIVE),
    unary("/filesystem.Filesystem/CreateWatcher", _create_watcher),
    unary("/filesystem.Filesystem/GetWatcherEvents", _get_watcher_events),
    unary("/filesystem.Filesystem/RemoveWatcher", _remove_watcher),
]
