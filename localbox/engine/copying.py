"""Copies between the host's memory and a descriptor that an agent opened inside its sandbox.

The path was resolved inside, by the kernel, for the sandbox's user. What is left to distrust is
the descriptor: it must be a regular file, so that no read or write on it can block for ever.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from typing import IO, Any

from localbox.errors import InvalidArgumentException, NotEnoughSpaceException, ProtocolError

CHUNK_BYTES = 1024 * 1024


def check_descriptor(fd: int) -> None:
    """
    Raises:
        ProtocolError: the answer came without a descriptor, or with one of something else.
    """
    if fd < 0:
        raise ProtocolError("the agent opened a file and passed no descriptor")
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        raise ProtocolError("the agent passed a descriptor that is no regular file")


def read_whole(fd: int) -> bytearray:
    """The file as long as it was when this began, or shorter if it shrinks meanwhile."""
    content = bytearray(os.fstat(fd).st_size)
    view = memoryview(content)
    done = 0
    while done < len(content):
        # At explicit offsets: the file position belongs to whoever else holds this open file.
        count = os.preadv(fd, [view[done:]], done)
        if count == 0:
            break
        done += count
    view.release()
    del content[done:]
    return content


def read_chunk(fd: int, offset: int) -> bytes:
    return os.pread(fd, CHUNK_BYTES, offset)


def write_whole(fd: int, data: bytes, path: str) -> None:
    """Replace the content.

    Raises:
        NotEnoughSpaceException: it does not fit; what the file held is then still there.
    """
    reclaimed = os.fstat(fd).st_blocks * 512
    free = os.fstatvfs(fd)
    if len(data) > free.f_bavail * free.f_frsize + reclaimed:
        raise _no_space(path)
    os.ftruncate(fd, 0)
    append(fd, data, 0, path)


def append(fd: int, data: bytes, offset: int, path: str) -> int:
    """Write all of `data` at `offset`; the offset after it."""
    view = memoryview(data)
    while view:
        try:
            count = os.pwrite(fd, view, offset)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                os.ftruncate(fd, 0)
                raise _no_space(path) from None
            raise
        offset += count
        view = view[count:]
    return offset


def _no_space(path: str) -> NotEnoughSpaceException:
    return NotEnoughSpaceException(
        f"no space left in the sandbox for {path!r}; its disk is limited by filesystem.disk "
        "of the profile"
    )


def as_bytes(data: object, what: str) -> bytes:
    """
    Raises:
        InvalidArgumentException: neither text nor bytes.
    """
    if isinstance(data, str):
        try:
            return data.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidArgumentException(f"{what} cannot be UTF-8: {error}") from None
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data)
    raise InvalidArgumentException(f"{what} must be str or bytes, not {type(data).__name__}")


def check_source(data: object) -> None:
    """Look at what pieces shall come from before anything is opened for them.

    Raises:
        InvalidArgumentException: neither a file object nor an iterable.
    """
    if not any(hasattr(data, name) for name in ("read", "__iter__", "__aiter__")):
        raise InvalidArgumentException(
            "data must be str, bytes, a file object or an iterable of bytes, "
            f"not {type(data).__name__}"
        )


def chunks_of(data: IO[Any] | Iterable[bytes]) -> Iterable[bytes]:
    """The pieces of a file object or of an iterable of bytes."""
    read = getattr(data, "read", None)
    if read is None:
        for piece in data:
            yield as_bytes(piece, "each piece of the data")
        return
    while piece := read(CHUNK_BYTES):
        yield as_bytes(piece, "what the file object reads")
