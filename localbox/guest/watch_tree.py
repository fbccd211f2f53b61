"""The directories of one watch, and what inotify(7) says of them in E2B's words.

Which event is told of which change, how often and in which order is as in E2B, whose sandboxes
use Go's fsnotify: one event for each of the kernel's, and of a removed directory that is watched
only its parent's word.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # inotify_init1, inotify_add_watch, inotify_rm_watch.
    InotifyCalls = tuple[
        Callable[[], int], Callable[[int, str, int], int], Callable[[int, int], None]
    ]

Event = tuple[str, str]  # path relative to the root, type

_HEADER = struct.Struct("iIII")  # wd, mask, cookie, length of the name
_READ_BYTES = 64 * 1024
# Each is about a kilobyte of the kernel's memory, and all of the user's count together.
_MOST_DIRECTORIES = 8192

_MODIFY = 0x2
_ATTRIB = 0x4
_MOVED_FROM = 0x40
_MOVED_TO = 0x80
_CREATE = 0x100
_DELETE = 0x200
_DELETE_SELF = 0x400
_MOVE_SELF = 0x800
_UNMOUNT = 0x2000
_Q_OVERFLOW = 0x4000
_IGNORED = 0x8000
_ONLYDIR = 0x01000000
_DONT_FOLLOW = 0x02000000
_ISDIR = 0x40000000
_MASK = (
    _MODIFY
    | _ATTRIB
    | _MOVED_FROM
    | _MOVED_TO
    | _CREATE
    | _DELETE
    | _DELETE_SELF
    | _MOVE_SELF
    | _ONLYDIR
)
_TYPES = (
    (_CREATE | _MOVED_TO, "create"),
    (_MOVED_FROM | _MOVE_SELF, "rename"),
    (_ATTRIB, "chmod"),
    (_MODIFY, "write"),
    (_DELETE | _DELETE_SELF, "remove"),
)
# What becomes of a directory between the kernel's word and our look at it.
_PASSING = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EACCES,
    errno.ELOOP,
    errno.ENAMETOOLONG,
}


class WatchLostError(Exception):
    """The watch cannot begin or go on; `kind` picks the exception on the host."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class WatchedTree:
    def __init__(self, calls: InotifyCalls, root: str, *, recursive: bool) -> None:
        """
        Raises:
            WatchLostError: it cannot be watched.
        """
        init, self._add_watch, self._rm_watch = calls
        self._root = root
        self._recursive = recursive
        self._directories: dict[int, str] = {}  # watch -> relative path, "" for the root
        # Told by a look into a new directory; the kernel may have queued the same.
        self._told: set[str] = set()
        try:
            self.fd = init()
            self._root_wd = self._watch("", _MASK)
        except OSError as error:
            raise _cannot_begin(root, error) from None
        for _event in self._enter("", tell=False):
            pass

    def path_of(self, name: str) -> str:
        return os.path.join(self._root, name) if name not in ("", ".") else self._root

    def events(self) -> Iterator[Event | None]:
        """What happens; None whenever nothing more has happened yet. Never ends.

        Raises:
            WatchLostError: something was missed.
        """
        while True:
            try:
                data = os.read(self.fd, _READ_BYTES)
            except BlockingIOError:
                self._told.clear()
                yield None
                continue
            offset = 0
            while offset < len(data):
                wd, mask, _cookie, length = _HEADER.unpack_from(data, offset)
                offset += _HEADER.size
                name = os.fsdecode(data[offset : offset + length].rstrip(b"\0"))
                offset += length
                yield from self._take(wd, mask, name)

    def _take(self, wd: int, mask: int, name: str) -> Iterator[Event]:
        if mask & _Q_OVERFLOW:
            raise WatchLostError(
                "overflow",
                f"watching {self._root!r}: more happened than could be told in time "
                "(fs.inotify.max_queued_events); look at the directory and watch it again",
            )
        directory = self._directories.get(wd)
        if directory is None:
            return
        if mask & (_IGNORED | _UNMOUNT):
            del self._directories[wd]
            return
        if wd != self._root_wd and mask & _DELETE_SELF:
            return  # its parent says so too
        if mask & _MOVE_SELF and (wd != self._root_wd or self._recursive):
            if wd != self._root_wd:
                self._look_after_move(wd, directory)
            return
        path = _join(directory, name)
        if mask & (_DELETE | _MOVED_FROM):
            self._told.discard(path)
        elif mask & _CREATE and path in self._told:
            self._told.discard(path)
            return
        for bits, kind in _TYPES:
            if mask & bits:
                yield path or ".", kind
        if mask & _MOVE_SELF:
            self._forget(wd)  # E2B no longer watches a directory that was moved
        if self._recursive and mask & _ISDIR and mask & (_CREATE | _MOVED_TO) and name:
            # What is in a new directory by now was made before it was watched. What is in one
            # that was moved here is not new.
            yield from self._enter(path, tell=bool(mask & _CREATE))

    def _enter(self, directory: str, *, tell: bool) -> Iterator[Event]:
        """Watch a directory and those below it."""
        pending = [directory]
        while pending:
            directory = pending.pop()
            try:
                if directory:
                    self._watch(directory, _MASK | _DONT_FOLLOW)
                if not self._recursive:
                    return
                with os.scandir(self.path_of(directory)) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                raise _cannot_begin(self.path_of(directory), error) from None
            below = []
            for entry in entries:
                path = _join(directory, entry.name)
                if tell and path not in self._told:
                    self._told.add(path)
                    yield path, "create"
                    if _has_content(entry):
                        yield path, "write"
                if entry.is_dir(follow_symlinks=False):
                    below.append(path)
            pending.extend(reversed(below))

    def _watch(self, directory: str, mask: int) -> int:
        wd = self._add_watch(self.fd, self.path_of(directory), mask)
        self._directories[wd] = directory
        if len(self._directories) > _MOST_DIRECTORIES:
            raise WatchLostError(
                "invalid_argument",
                f"watching {self._root!r}: it has more than {_MOST_DIRECTORIES} directories; "
                "watch a smaller one, or without recursive=True",
            )
        return wd

    def _look_after_move(self, wd: int, directory: str) -> None:
        """Let go of a directory that was moved out of the tree."""
        try:
            # If it was moved within the tree its new name is known by now, and the kernel has one
            # watch for each directory, whatever it is called.
            found = self._add_watch(self.fd, self.path_of(directory), _MASK | _DONT_FOLLOW)
        except OSError:
            found = -1
        if found == wd:
            return
        if found >= 0 and found not in self._directories:
            self._forget(found)
        for each, path in list(self._directories.items()):
            if path == directory or path.startswith(directory + "/"):
                self._forget(each)

    def _forget(self, wd: int) -> None:
        self._directories.pop(wd, None)
        try:
            self._rm_watch(self.fd, wd)
        except OSError as error:
            if error.errno != errno.EINVAL:  # it is gone already
                raise


def _has_content(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file(follow_symlinks=False) and entry.stat().st_size > 0
    except OSError:
        return False  # gone in the meantime


def _join(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory and name else directory or name


def _cannot_begin(path: str, error: OSError) -> WatchLostError:
    number = error.errno
    if number in (errno.EPERM, errno.ENOSYS):
        return WatchLostError(
            "invalid_argument",
            f"cannot watch {path!r}: the profile does not allow it; add '@inotify' to its "
            "seccomp.allow, or look with files.list",
        )
    if number in (errno.EMFILE, errno.ENOSPC):
        limit = "max_user_instances" if number == errno.EMFILE else "max_user_watches"
        return WatchLostError(
            "no_resources", f"cannot watch {path!r}: this machine's fs.inotify.{limit} is reached"
        )
    kind = "file_not_found" if number == errno.ENOENT else "invalid_argument"
    return WatchLostError(kind, f"cannot watch {path!r}: {error.strerror or error}")
