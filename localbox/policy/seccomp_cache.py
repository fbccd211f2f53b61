"""Compiled filters kept in the user's cache directory.

Whoever could write here could take a wall down, so a file counts only if nobody but this user
can have written it. Any doubt means compiling again; no failure here is anybody's error.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

_FORMAT = 1
_MAX_PROGRAM_BYTES = 4096 * 8  # BPF_MAXINSNS instructions of 8 bytes
_MAX_PROGRAMS = 4
_MAX_FILE_BYTES = _MAX_PROGRAMS * _MAX_PROGRAM_BYTES + 4096
_MAX_FILES = 32
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read(key: str) -> tuple[bytes, ...] | None:
    """Return the programs kept under `key`, or None where there is any doubt about them."""
    try:
        directory_fd = _open_directory(_directory())
        try:
            content = _read_own_file(f"{key}.bpf", directory_fd)
        finally:
            os.close(directory_fd)
        return _unpack(content, key)
    # RuntimeError: no home directory, or JSON nested without end.
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return None


def write(key: str, programs: tuple[bytes, ...], library: Path) -> None:
    """Keep the programs, if there is a place for them, until `library` changes."""
    try:
        directory = _directory()
        _make_directory(directory)
        directory_fd = _open_directory(directory)
    except (OSError, ValueError, RuntimeError):
        return
    try:
        _prune(directory_fd)
        _write_whole(f"{key}.bpf", _pack(key, programs, library), directory_fd)
    except OSError:
        pass  # a full or read-only disk; the next process compiles again
    finally:
        os.close(directory_fd)


def _directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    cache = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return cache / "localbox" / "seccomp"


def _make_directory(directory: Path) -> None:
    ancestor = directory
    while not ancestor.exists():
        ancestor = ancestor.parent
    # With sudo, HOME is often still the user's: leave no directory of root's in it.
    if ancestor.stat().st_uid != os.geteuid():
        raise PermissionError(f"{ancestor} belongs to somebody else")
    for missing in (directory.parent.parent, directory.parent, directory):
        missing.mkdir(mode=0o700, parents=True, exist_ok=True)


def _open_directory(directory: Path) -> int:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _check_own(os.fstat(fd))
    except PermissionError:
        os.close(fd)
        raise
    return fd


def _check_own(status: os.stat_result) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError("somebody else may have written it")


def _read_own_file(name: str, directory_fd: int) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    fd = os.open(name, flags, dir_fd=directory_fd)
    try:
        status = os.fstat(fd)
        _check_own(status)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_FILE_BYTES:
            raise ValueError("not a file this module wrote")
        with os.fdopen(fd, "rb", closefd=False) as file:
            return file.read(_MAX_FILE_BYTES)
    finally:
        os.close(fd)


def _pack(key: str, programs: tuple[bytes, ...], library: Path) -> bytes:
    payload = b"".join(programs)
    header = {
        "format": _FORMAT,
        "key": key,
        "lengths": [len(program) for program in programs],
        "library": [str(library), *_identity(str(library))],
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    return json.dumps(header).encode() + b"\n" + payload


def _unpack(content: bytes, key: str) -> tuple[bytes, ...]:
    line, _, payload = content.partition(b"\n")
    header: dict[str, Any] = json.loads(line)
    lengths = header["lengths"]
    if (
        header["format"] != _FORMAT
        or header["key"] != key
        or header["sha256"] != hashlib.sha256(payload).hexdigest()
        or not 0 < len(lengths) <= _MAX_PROGRAMS
        or not all(0 < length <= _MAX_PROGRAM_BYTES and length % 8 == 0 for length in lengths)
        or sum(lengths) != len(payload)
    ):
        raise ValueError("damaged")
    path, *identity = header["library"]
    if identity != _identity(path):
        raise ValueError("compiled by another libseccomp")
    programs = []
    for length in lengths:
        programs.append(payload[:length])
        payload = payload[length:]
    return tuple(programs)


def _identity(library: str) -> list[int]:
    # Stands for libseccomp's version, which would cost loading it to ask.
    status = os.stat(library)
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _write_whole(name: str, content: bytes, directory_fd: int) -> None:
    """Write under another name first: a reader sees the whole file or none."""
    draft = f".{name}.{os.urandom(8).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(draft, flags, 0o600, dir_fd=directory_fd)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(content)
        os.rename(draft, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)
    except OSError:
        os.unlink(draft, dir_fd=directory_fd)
        raise


def _prune(directory_fd: int) -> None:
    """Forget the oldest, drafts of killed writers included: nobody else ever cleans up here."""
    names = os.listdir(directory_fd)
    if len(names) < _MAX_FILES:
        return
    ages: list[tuple[int, str]] = []
    for name in names:
        try:
            status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        except FileNotFoundError:  # pruned by another process just now
            continue
        ages.append((status.st_mtime_ns, name))
    for _, name in sorted(ages)[: -_MAX_FILES // 2]:
        try:
            os.unlink(name, dir_fd=directory_fd)
        except FileNotFoundError:
            pass
