"""Paths below a directory whose content somebody hostile changes at this very moment.

Nothing here hands the kernel more than one name at a time, relative to a directory that is held
open, and no name is followed if it is a link: links are read, and walked by the same rules. `..` is
the directory that was held before, and at the top there is none. So however the tree is changed
meanwhile, no walk leaves it. What a walk finds may be of any kind and may have been moved since:
the caller looks at what it opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager

# As the kernel's.
_MOST_LINKS = 40
# Directories held open at once; as deep as a path of 4096 characters can make useful sense.
DEEPEST = 256

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Place:
    """Where a path ends: a name in a directory that is held open; the name may lead to nothing.

    Args:
        path: as it was resolved, from the top, beginning with a slash.
    """

    def __init__(self, directory_fd: int, name: str, path: str) -> None:
        self.directory_fd = directory_fd
        # "." for the top itself.
        self.name = name
        self.path = path

    @property
    def is_top(self) -> bool:
        return self.name == "."

    def stat(self) -> os.stat_result:
        """Of a link itself."""
        if self.is_top:
            # "." would ask for permission to enter it.
            return os.fstat(self.directory_fd)
        return os.stat(self.name, dir_fd=self.directory_fd, follow_symlinks=False)

    def open(self, flags: int, mode: int = 0o600) -> int:
        """A descriptor; never through a link, and never waiting for a fifo or a lease.

        Raises:
            OSError: ELOOP for a link, ENXIO for a fifo or a socket nobody is at.
        """
        if self.is_top and flags == os.O_PATH:
            return os.dup(self.directory_fd)
        flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        return os.open(self.name, flags, mode, dir_fd=self.directory_fd)


@contextmanager
def walk(
    top_fd: int,
    path: str,
    *,
    follow: bool = True,
    make: Callable[[int, str], None] | None = None,
) -> Iterator[Place]:
    """Where `path` leads below `top_fd`.

    Args:
        path: "/" and ".." mean the top at most. Empty names and "." are passed over.
        follow: go on if the last name is a link; those before it are always followed.
        make: called with a directory and a name where a directory is missing on the way.

    Raises:
        OSError: ENOENT or ENOTDIR on the way; EXDEV for a link that leads out; ELOOP for too many.
    """
    held: list[int] = [top_fd]
    names: list[str] = []
    pending = _split(path)
    pending.reverse()
    links = 0
    try:
        while pending:
            name = pending.pop()
            if name == "..":
                # Of the path itself: it cannot lead above the top. A link that tries is refused.
                if names:
                    names.pop()
                    os.close(held.pop())
                continue
            is_last = not pending
            target = _link_target(held[-1], name) if follow or not is_last else None
            if target is not None:
                links += 1
                if links > _MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                pending += reversed(_link_steps(target, len(names), path))
                continue
            if is_last:
                yield Place(held[-1], name, "/" + "/".join([*names, name]))
                return
            held.append(_enter(held[-1], name, make))
            names.append(name)
            if len(names) > DEEPEST:
                raise OSError(errno.ENAMETOOLONG, f"more than {DEEPEST} directories deep", path)
        # It ended in a directory that is held: the top, or behind a "..".
        if names:
            yield Place(held[-2], names[-1], "/" + "/".join(names))
        else:
            yield Place(top_fd, ".", "/")
    finally:
        for fd in held[1:]:
            os.close(fd)


def _split(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _link_target(directory_fd: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory_fd)
    except OSError as error:
        # EINVAL: no link. What is missing is for the caller to say.
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _link_steps(target: str, depth: int, path: str) -> list[str]:
    """The names a link at `depth` stands for.

    An absolute one means a path in the sandbox that made it, and so nothing here.
    """
    steps = _split(target)
    level = depth
    for step in steps:
        level += -1 if step == ".." else 1
        if level < 0:
            break
    if target.startswith("/") or level < 0:
        raise OSError(errno.EXDEV, f"a link on the way leads out, to {target!r}", path)
    return steps


def _enter(directory_fd: int, name: str, make: Callable[[int, str], None] | None) -> int:
    try:
        return os.open(name, _DIRECTORY, dir_fd=directory_fd)
    except FileNotFoundError:
        if make is None:
            raise
    make(directory_fd, name)
    return os.open(name, _DIRECTORY, dir_fd=directory_fd)


@contextmanager
def opened(directory_fd: int, name: str) -> Iterator[int]:
    """A directory, to be read; never through a link."""
    fd = os.open(
        name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd
    )
    try:
        yield fd
    finally:
        os.close(fd)


def remove(directory_fd: int, name: str, check: Callable[[], None]) -> None:
    """Remove a name and all there is below it, whatever is done to it meanwhile.

    A tree can be deeper than there are descriptors or stack, so what is below is moved up, one
    level at a time, instead of being descended into.

    Args:
        check: called now and then; raises to give up. Somebody may fill the tree for ever.

    Raises:
        OSError: it cannot be removed.
    """
    while True:
        check()
        try:
            if not stat.S_ISDIR(os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode):
                os.unlink(name, dir_fd=directory_fd)
                return
            _empty(directory_fd, name, check)
            os.rmdir(name, dir_fd=directory_fd)
            return
        except OSError as error:
            # It is being changed: another kind of thing by now, or filled again.
            if error.errno not in (errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.ELOOP):
                raise


def _empty(directory_fd: int, name: str, check: Callable[[], None]) -> None:
    fd = _open_own(directory_fd, name)
    try:
        while True:
            with os.scandir(fd) as entries:
                names = [entry.name for entry, _ in zip(entries, range(1000), strict=False)]
            if not names:
                return
            for child in names:
                check()
                _remove_or_flatten(fd, child, check)
    finally:
        os.close(fd)


def _remove_or_flatten(top_fd: int, name: str, check: Callable[[], None]) -> None:
    """Unlink it; if it is a directory, move what it holds to `top_fd` and remove it."""
    try:
        os.unlink(name, dir_fd=top_fd)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    try:
        fd = _open_own(top_fd, name)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            return
        raise
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                check()
                _lift(fd, entry.name, top_fd)
    finally:
        os.close(fd)
    try:
        os.rmdir(name, dir_fd=top_fd)
    except OSError as error:
        # Filled again, or something else by now: the next round.
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.ENOTDIR):
            raise


def _lift(fd: int, name: str, top_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=fd)
        return
    except FileNotFoundError:
        return
    except IsADirectoryError:
        pass
    new_name = "." + os.urandom(12).hex()
    try:
        # Moving a directory to another parent writes to it.
        os.close(_open_own(fd, name))
        os.rename(name, new_name, src_dir_fd=fd, dst_dir_fd=top_fd)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP, errno.ENOTDIR):
            raise


def _open_own(directory_fd: int, name: str) -> int:
    """A directory to be emptied; one that its owner had closed to himself is opened up."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    path_fd = os.open(name, _DIRECTORY, dir_fd=directory_fd)
    try:
        if os.fstat(path_fd).st_mode & stat.S_IRWXU != stat.S_IRWXU:
            os.chmod(f"/proc/self/fd/{path_fd}", 0o700)
        return os.open(".", flags, dir_fd=path_fd)
    finally:
        os.close(path_fd)
