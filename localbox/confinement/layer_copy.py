"""Copies what a sandbox has written to a directory of the host's, without believing any of it.

The guest chose every name, mode, link and size. Each step goes from a descriptor by a single name
and follows no symbolic link; what is made is owned by this process, and can never be set-uid or a
device. A guest that runs meanwhile can spoil its own copy, not more.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not to wait for a writer should the file have become a FIFO since it was looked at.
_SOURCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_TARGET = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# Two descriptors for each level.
_DEEPEST = 400
_CHUNK_BYTES = 8 * 1024 * 1024
_LOOK_EVERY = 256
_PERMISSIONS = 0o1777
_LONGEST_PATH = 4000
_OVERLAY = "user.overlay."
# Of overlayfs's notes those about what is hidden; others describe the filesystem they are on.
_KEPT_NOTES = ("user.overlay.opaque", "user.overlay.whiteout")


class CopyError(Exception):
    """The copy was given up; `kind` picks the exception that the host raises."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Abandoned(Exception):
    """Nobody waits for the copy any more."""


class _Level:
    """A directory on the way down."""

    def __init__(self, source_fd: int, target_fd: int, path: bytes) -> None:
        self.source_fd = source_fd
        self.target_fd = target_fd
        self.path = path
        self.names: Iterator[bytes] = iter(())

    def close(self) -> None:
        os.close(self.source_fd)
        os.close(self.target_fd)


class LayerCopy:
    """
    Args:
        target_fd: the directory in which the copies of trees go.
        most_bytes: how much the sandbox could have written, and so how much can be copied.
        most_files: the same in files.
        is_abandoned: asked now and then.
    """

    def __init__(
        self,
        target_fd: int,
        most_bytes: int,
        most_files: int,
        is_abandoned: Callable[[], bool],
    ) -> None:
        self._root_fd = target_fd
        self._bytes_left = most_bytes
        self._files_left = most_files
        self._is_abandoned = is_abandoned
        self._first_names: dict[tuple[int, int], bytes] = {}
        self.bytes = 0
        self.files = 0
        self.skipped = 0

    def copy_tree(self, source_fd: int, name: str) -> int | None:
        """Copy a directory to `name` in the target; what cannot be in a layer is left out.

        Args:
            source_fd: of the directory; it is closed.

        Returns:
            Its mode; None if it is empty, and then there is no copy.

        Raises:
            CopyError: there is more than can be, or no space for it.
            Abandoned: see there.
        """
        mode = stat.S_IMODE(os.fstat(source_fd).st_mode) & _PERMISSIONS
        path = os.fsencode(name)
        os.mkdir(path, 0o700, dir_fd=self._root_fd)
        levels = [_Level(source_fd, os.open(path, _DIRECTORY, dir_fd=self._root_fd), path)]
        try:
            names = os.listdir(source_fd)
            levels[0].names = iter(map(os.fsencode, names))
            while levels:
                self._step(levels)
        except OSError as error:
            raise _explained(error) from error
        finally:
            for level in levels:
                level.close()
        if not names:
            os.rmdir(path, dir_fd=self._root_fd)
            return None
        return mode

    def _step(self, levels: list[_Level]) -> None:
        level = levels[-1]
        name = next(level.names, None)
        if name is None:
            # Last, for a directory without permission to write would take no files.
            _copy_attributes(level.source_fd, level.target_fd, os.fstat(level.source_fd))
            levels.pop().close()
            return
        self._count()
        try:
            status = os.stat(name, dir_fd=level.source_fd, follow_symlinks=False)
            kind = stat.S_IFMT(status.st_mode)
            if kind == stat.S_IFDIR:
                self._descend(levels, name)
            elif kind == stat.S_IFREG:
                self._copy_file(level, name, status)
            elif kind == stat.S_IFLNK:
                self._copy_link(level, name, status)
            elif kind == stat.S_IFCHR and status.st_rdev == 0:
                # Overlayfs's mark of something deleted: a device of nobody's, free for all to make.
                os.mknod(name, stat.S_IFCHR, 0, dir_fd=level.target_fd)
            else:
                self.skipped += 1
        except OSError as error:
            # Gone, or another kind of file, since it was looked at.
            if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR, errno.ENXIO):
                raise
            self.skipped += 1

    def _copy_link(self, level: _Level, name: bytes, status: os.stat_result) -> None:
        try:
            text = os.readlink(name, dir_fd=level.source_fd)
        except OSError as error:
            # It is no link any more.
            if error.errno != errno.EINVAL:
                raise
            self.skipped += 1
            return
        os.symlink(text, name, dir_fd=level.target_fd)
        times = (status.st_atime_ns, status.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=level.target_fd, follow_symlinks=False)

    def _count(self) -> None:
        self.files += 1
        self._files_left -= 1
        if self._files_left < 0:
            raise CopyError("no_space", "there are more files than the sandbox's limit")
        if self.files % _LOOK_EVERY == 0 and self._is_abandoned():
            raise Abandoned

    def _descend(self, levels: list[_Level], name: bytes) -> None:
        above = levels[-1]
        if len(levels) > _DEEPEST:
            raise CopyError(
                "invalid_argument", f"there are directories more than {_DEEPEST} levels deep"
            )
        source_fd = os.open(name, _DIRECTORY, dir_fd=above.source_fd)
        try:
            os.mkdir(name, 0o700, dir_fd=above.target_fd)
            target_fd = os.open(name, _DIRECTORY, dir_fd=above.target_fd)
        except BaseException:
            os.close(source_fd)
            raise
        levels.append(_Level(source_fd, target_fd, above.path + b"/" + name))
        levels[-1].names = iter(map(os.fsencode, os.listdir(source_fd)))

    def _copy_file(self, level: _Level, name: bytes, status: os.stat_result) -> None:
        key = (status.st_dev, status.st_ino)
        if status.st_nlink > 1 and self._link(level, name, key):
            return
        source_fd = os.open(name, _SOURCE, dir_fd=level.source_fd)
        try:
            status = os.fstat(source_fd)
            if not stat.S_ISREG(status.st_mode):
                self.skipped += 1
                return
            target_fd = os.open(name, _TARGET, 0o600, dir_fd=level.target_fd)
            try:
                self._copy_content(source_fd, target_fd, status.st_size)
                _copy_attributes(source_fd, target_fd, status)
            finally:
                os.close(target_fd)
        finally:
            os.close(source_fd)
        path = level.path + b"/" + name
        if status.st_nlink > 1 and len(path) < _LONGEST_PATH:
            self._first_names[key] = path

    def _link(self, level: _Level, name: bytes, key: tuple[int, int]) -> bool:
        first = self._first_names.get(key)
        if first is None:
            return False
        try:
            os.link(
                first,
                name,
                src_dir_fd=self._root_fd,
                dst_dir_fd=level.target_fd,
                follow_symlinks=False,
            )
        except OSError as error:
            # A directory on the way that was finished and is closed to us, or one link too many.
            if error.errno not in (errno.EACCES, errno.EMLINK):
                raise
            return False
        return True

    def _copy_content(self, source_fd: int, target_fd: int, size: int) -> None:
        """Only where there is data: a hole costs nothing, whatever its size."""
        offset = 0
        while offset < size:
            try:
                offset = os.lseek(source_fd, offset, os.SEEK_DATA)
            except OSError as error:
                if error.errno != errno.ENXIO:
                    raise
                break  # a hole to the end
            end = min(os.lseek(source_fd, offset, os.SEEK_HOLE), size)
            os.lseek(target_fd, offset, os.SEEK_SET)
            while offset < end:
                if self._is_abandoned():
                    raise Abandoned
                wanted = min(end - offset, _CHUNK_BYTES)
                self._bytes_left -= wanted
                if self._bytes_left < 0:
                    raise CopyError("no_space", "there is more than the sandbox's disk can hold")
                count = os.sendfile(target_fd, source_fd, offset, wanted)
                if count == 0:
                    return
                offset += count
                self.bytes += count
                self._bytes_left += wanted - count
        if offset < size:
            os.ftruncate(target_fd, size)


def _copy_attributes(source_fd: int, target_fd: int, status: os.stat_result) -> None:
    for name in os.listxattr(source_fd):
        if not name.startswith("user.") or (name.startswith(_OVERLAY) and name not in _KEPT_NOTES):
            continue
        try:
            os.setxattr(target_fd, name, os.getxattr(source_fd, name))
        except OSError as error:
            # Filesystems differ in how large attributes may be, and some have none. A guest's own
            # note can be lost with that, but not what hides files.
            if name in _KEPT_NOTES or error.errno not in (
                errno.ENOSPC,
                errno.E2BIG,
                errno.EOPNOTSUPP,
            ):
                raise
    os.fchmod(target_fd, stat.S_IMODE(status.st_mode) & _PERMISSIONS)
    os.utime(target_fd, ns=(status.st_atime_ns, status.st_mtime_ns))


def _explained(error: OSError) -> CopyError | OSError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return CopyError("no_space", "the data directory's filesystem is full")
    return error
