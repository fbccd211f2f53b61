# generated from localbox/_async/filesystem.py by scripts/unasync.py; edit that, not this
"""`sandbox.files`: the sandbox's files, read and written from outside."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from localbox._sync.connection import Connection, close_quietly
from localbox.engine.answers import read_answer
from localbox.engine.copying import (
    CHUNK_BYTES,
    append,
    as_bytes,
    check_descriptor,
    check_source,
    chunks_of,
    read_chunk,
    read_whole,
    write_whole,
)
from localbox.engine.entries import (
    check_metadata,
    check_path,
    check_upload,
    to_entry,
    to_write_info,
)
from localbox.errors import (
    FileNotFoundException,
    InvalidArgumentException,
    NotEnoughSpaceException,
    ProtocolError,
)
from localbox.models import (
    EntryInfo,
    SyncWriteEntry,
    Username,
    WriteData,
    WriteEntry,
    WriteInfo,
)
from localbox.protocol.frames import DATA, Message
from localbox.transport import blocking as transport

if TYPE_CHECKING:
    from localbox._sync.watch_handle import WatchHandle


class FileStreamReader(Iterator[bytes]):
    """The content of a file, piece by piece. Close it, or use it in a `with`, to let go early."""

    def __init__(self, fd: int, content: bytes) -> None:
        self._fd = fd
        self._content = content
        self._offset = 0

    def __iter__(self) -> FileStreamReader:
        return self

    def __next__(self) -> bytes:
        if self._fd >= 0:
            chunk = transport.run(read_chunk, self._fd, self._offset)
        else:
            chunk = self._content[self._offset : self._offset + CHUNK_BYTES]
        if not chunk:
            self.close()
            raise StopIteration
        self._offset += len(chunk)
        return chunk

    def _size(self) -> int:
        """How much there is now."""
        return os.fstat(self._fd).st_size if self._fd >= 0 else len(self._content)

    def _skip(self, count: int) -> None:
        self._offset += count

    def close(self) -> None:
        """Let go of the file."""
        fd, self._fd = self._fd, -1
        self._content = b""
        close_quietly(fd)

    def __enter__(self) -> FileStreamReader:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        close_quietly(self._fd)


class Filesystem:
    """Files in one sandbox, as `user` sees them: "user" or "root"; see `commands.run`.

    `~` and relative paths mean that user's home directory.
    Every path is resolved inside the sandbox, by the kernel; the host never follows one.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @overload
    def read(
        self,
        path: str,
        format: Literal["text"] = "text",
        user: Username | None = None,
        request_timeout: float | None = None,
        gzip: bool = False,
        stream_idle_timeout: float | None = None,
    ) -> str: ...

    @overload
    def read(
        self,
        path: str,
        format: Literal["bytes"],
        user: Username | None = None,
        request_timeout: float | None = None,
        gzip: bool = False,
        stream_idle_timeout: float | None = None,
    ) -> bytearray: ...

    @overload
    def read(
        self,
        path: str,
        format: Literal["stream"],
        user: Username | None = None,
        request_timeout: float | None = None,
        gzip: bool = False,
        stream_idle_timeout: float | None = None,
    ) -> FileStreamReader: ...

    def read(
        self,
        path: str,
        format: Literal["text", "bytes", "stream"] = "text",
        user: Username | None = None,
        request_timeout: float | None = None,
        gzip: bool = False,
        stream_idle_timeout: float | None = None,
    ) -> Any:
        """Read a file.

        Args:
            format: "text" gives a str (UTF-8; what is not becomes U+FFFD), "bytes" a bytearray,
                "stream" an iterator over bytes.
            gzip, stream_idle_timeout: accepted as E2B does; nothing travels over a network here,
                and a file that is there does not stall.

        Raises:
            FileNotFoundException: no such file.
            InvalidArgumentException: a directory, or anything else that is not a regular file.
        """
        if format not in ("text", "bytes", "stream"):
            raise InvalidArgumentException(
                f'format must be "text", "bytes" or "stream", not {format!r}'
            )
        request = {"op": "open_read", "path": check_path(path)}
        fd, content = self._open_read(request, user, request_timeout)
        if format == "stream":
            return FileStreamReader(fd, bytes(content))
        try:
            if fd >= 0:
                content = self._copy_out(fd)
        finally:
            close_quietly(fd)
        return content if format == "bytes" else content.decode("utf-8", "replace")

    def write(
        self,
        path: str,
        data: WriteData,
        user: Username | None = None,
        request_timeout: float | None = None,
        gzip: bool = False,
        use_octet_stream: bool | None = None,
        metadata: dict[str, str] | None = None,
    ) -> WriteInfo:
        """Write a file, making its parent directories; what it held before is replaced.

        Args:
            data: str (as UTF-8), bytes, a file object, or an iterable of bytes.
            gzip, use_octet_stream: accepted as E2B does; nothing travels over a network here.
            metadata: your own notes on the file, kept as extended attributes `user.e2b.*`; they
                replace those it had. Keys lose their case.

        Raises:
            NotEnoughSpaceException: it does not fit on the sandbox's disk.
            InvalidArgumentException: the path is a directory, a parent is a file, or the data is
                none of these.
        """
        connection = self._connection.as_user(user)
        check_upload(data, gzip, use_octet_stream)
        request: Message = {"op": "open_write", "path": check_path(path)}
        if kept_metadata := check_metadata(metadata):
            request["metadata"] = kept_metadata
        whole = as_bytes(data, "data") if isinstance(data, str | bytes | bytearray) else None
        if whole is None:
            check_source(data)
        deadline = connection.request_deadline(request_timeout)
        with connection.exchange(request, deadline) as exchange:
            answer = read_answer(exchange.receive(deadline))
            fd = exchange.take_fd()
        try:
            check_descriptor(fd)
            written_path = str(answer["path"])
            if whole is None:
                self._copy_in_pieces(fd, data, written_path)
            elif len(whole) <= CHUNK_BYTES:
                write_whole(fd, whole, written_path)
            else:
                transport.run(write_whole, fd, whole, written_path)
        except NotEnoughSpaceException:
            if os.fstat(fd).st_size == 0:
                self.remove(written_path, user)
            raise
        finally:
            close_quietly(fd)
        return to_write_info(written_path, kept_metadata)

    def write_files(
        self,
        files: Sequence[WriteEntry | SyncWriteEntry],
        user: Username | None = None,
        request_timeout: float | None = None,
        gzip: bool = False,
        use_octet_stream: bool | None = None,
        metadata: dict[str, str] | None = None,
    ) -> builtins.list[WriteInfo]:
        """Write several files, one after the other: `[{"path": ..., "data": ...}, ...]`.

        Raises:
            InvalidArgumentException: an entry lacks its path or data; nothing is written then.
        """
        for number, entry in enumerate(files):
            if not isinstance(entry, dict) or "path" not in entry or "data" not in entry:
                raise InvalidArgumentException(f'files[{number}] needs "path" and "data"')
            check_path(entry["path"])
            check_upload(entry["data"], gzip, use_octet_stream)
        return [
            self.write(
                entry["path"],
                entry["data"],
                user,
                request_timeout,
                gzip,
                use_octet_stream,
                metadata,
            )
            for entry in files
        ]

    def list(
        self,
        path: str,
        depth: int | None = 1,
        user: Username | None = None,
        request_timeout: float | None = None,
    ) -> builtins.list[EntryInfo]:
        """The entries of a directory, `depth` levels deep.

        Raises:
            FileNotFoundException: no such directory.
            InvalidArgumentException: not a directory, or a depth below 1.
        """
        if depth is None:
            depth = 1
        if depth < 1:
            raise InvalidArgumentException(f"depth must be at least 1, not {depth}")
        connection = self._connection.as_user(user)
        request = {"op": "list_dir", "path": check_path(path), "depth": depth}
        deadline = connection.request_deadline(request_timeout)
        entries: builtins.list[EntryInfo] = []
        # More than the sandbox can hold means that the answer is not true.
        limit = connection.record.policy.filesystem.files * 100
        with connection.exchange(request, deadline) as exchange:
            while "entries" in (answer := read_answer(exchange.receive(deadline))):
                entries += map(to_entry, answer["entries"])
                if len(entries) > limit:
                    raise ProtocolError(f"the agent lists more than {limit} files")
        return entries

    def exists(
        self, path: str, user: Username | None = None, request_timeout: float | None = None
    ) -> bool:
        """Whether there is anything at `path`."""
        try:
            self.get_info(path, user, request_timeout)
        except FileNotFoundException:
            return False
        return True

    def get_info(
        self, path: str, user: Username | None = None, request_timeout: float | None = None
    ) -> EntryInfo:
        """What stat(2) says of a path; of a link itself, not of what it leads to.

        Raises:
            FileNotFoundException: there is nothing.
        """
        return self._entry({"op": "stat", "path": check_path(path)}, user, request_timeout)

    def remove(
        self, path: str, user: Username | None = None, request_timeout: float | None = None
    ) -> None:
        """Remove a file, or a directory with all it holds. Nothing there is no error."""
        connection = self._connection.as_user(user)
        connection.ask({"op": "remove", "path": check_path(path)}, request_timeout)

    def rename(
        self,
        old_path: str,
        new_path: str,
        user: Username | None = None,
        request_timeout: float | None = None,
    ) -> EntryInfo:
        """Rename or move, making the new parent directories and replacing what is there.

        Raises:
            FileNotFoundException: there is nothing at `old_path`.
        """
        request = {
            "op": "rename",
            "old_path": check_path(old_path),
            "new_path": check_path(new_path),
        }
        return self._entry(request, user, request_timeout)

    def make_dir(
        self, path: str, user: Username | None = None, request_timeout: float | None = None
    ) -> bool:
        """Make a directory and its parents; False if it was there.

        Raises:
            InvalidArgumentException: the path, or a parent, is a file.
        """
        connection = self._connection.as_user(user)
        request = {"op": "make_dir", "path": check_path(path)}
        return bool(connection.ask(request, request_timeout)["created"])

    def watch_dir(
        self,
        path: str,
        user: Username | None = None,
        request_timeout: float | None = None,
        recursive: bool = False,
        include_entry: bool = False,
        allow_network_mounts: bool = False,
    ) -> WatchHandle:
        """Watch a directory; the handle's `get_new_events` says what has happened.

        Args:
            recursive: directories below it too, those made later included.
            include_entry: put into each event what the path is at that time, if it is still
                there.
            allow_network_mounts: watch even on a network file system, which may tell nothing.

        Raises:
            FileNotFoundException: no such directory.
            InvalidArgumentException: not a directory; on a network file system; more directories
                than can be watched; or the profile does not allow inotify, as "strict" does not.
        """
        from localbox._sync.watch_handle import WatchHandle, poll_events

        request = _watch_request(path, recursive, include_entry, allow_network_mounts, polled=True)
        connection = self._connection.as_user(user)
        deadline = connection.request_deadline(request_timeout)
        answers = poll_events(connection, request, deadline)
        next(answers)
        return WatchHandle(connection, answers)

    def _entry(
        self, request: Message, user: str | None, request_timeout: float | None
    ) -> EntryInfo:
        connection = self._connection.as_user(user)
        return to_entry(connection.ask(request, request_timeout).get("entry"))

    def _open_read(
        self, request: Message, user: str | None, request_timeout: float | None
    ) -> tuple[int, bytearray]:
        """A descriptor to copy from or, for files that have no size of their own, the content."""
        connection = self._connection.as_user(user)
        deadline = connection.request_deadline(request_timeout)
        content = bytearray()
        with connection.exchange(request, deadline) as exchange:
            answer = read_answer(exchange.receive(deadline))
            fd = exchange.take_fd()
            if "inline" in answer:
                close_quietly(fd)
                while (frame := exchange.receive(deadline))[0] == DATA:
                    content += frame[1]
                    if len(content) > 64 * CHUNK_BYTES:
                        raise ProtocolError("the agent sends more than a file of /proc can hold")
                read_answer(frame)
                return -1, content
        try:
            check_descriptor(fd)
        except ProtocolError:
            close_quietly(fd)
            raise
        return fd, content

    def _copy_out(self, fd: int) -> bytearray:
        if os.fstat(fd).st_size <= CHUNK_BYTES:
            return read_whole(fd)
        return transport.run(read_whole, fd)

    def _copy_in_pieces(self, fd: int, data: Any, path: str) -> None:
        os.ftruncate(fd, 0)
        offset = 0
        # An asynchronous iterable has nowhere to run here; chunks_of says so.
        for content in chunks_of(data):
            offset = transport.run(append, fd, content, offset, path)


def _watch_request(
    path: str, recursive: bool, include_entry: bool, network_mounts: bool, *, polled: bool
) -> Message:
    return {
        "op": "watch",
        "path": check_path(path),
        "recursive": bool(recursive),
        "entries": bool(include_entry),
        "network_mounts": bool(network_mounts),
        "polled": polled,
    }
