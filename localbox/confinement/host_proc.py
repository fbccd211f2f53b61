"""The host's /proc, held by descriptor: the namespaces the zygote works in do not show it."""

from __future__ import annotations

import os

from localbox.confinement import syscalls

_directory_fd = -1


def hold_host_proc() -> None:
    """Open /proc where it is still the host's, and let it be written to again: id maps live there.

    Every other mount of this namespace stays read-only.
    """
    global _directory_fd
    syscalls.mount_setattr("/proc", attr_clear=syscalls.MOUNT_ATTR_RDONLY, recursive=False)
    _directory_fd = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_proc(path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of a file below /proc, such as "self/ns/mnt"."""
    return os.open(path, flags | os.O_CLOEXEC, dir_fd=_directory_fd)


def read_proc(path: str) -> str:
    """Its text, or "" if the process is gone; at most 64 KiB."""
    try:
        fd = open_proc(path)
    except OSError:
        return ""
    try:
        return os.read(fd, 65536).decode("ascii", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def write_proc(path: str, content: str) -> None:
    """
    Raises:
        OSError: with the path in its message.
    """
    try:
        fd = open_proc(path, os.O_WRONLY)
        try:
            os.write(fd, content.encode("ascii"))
        finally:
            os.close(fd)
    except OSError as error:
        number = error.errno or 0
        raise OSError(number, f"cannot write /proc/{path}: {os.strerror(number)}") from None


def anonymous_bytes(pid: int) -> int:
    """Private and shared anonymous memory; pages of files are the host's cache."""
    total = 0
    for line in read_proc(f"{pid}/status").splitlines():
        if line.startswith(("RssAnon:", "RssShmem:")):
            total += int(line.split()[1]) * 1024
    return total
