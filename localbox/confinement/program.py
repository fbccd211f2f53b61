"""The walls as a list of system calls, written before the fork and run after it.

A forked interpreter copies a page for nearly every function and object it touches, two to four
microseconds each, so what builds the walls in the child is one loop over numbers. Everything is
decided, checked and encoded here, in the zygote, once per policy; the order of the calls to a
Program is the order in the child.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from contextlib import contextmanager

from localbox.confinement import syscalls
from localbox.confinement.syscalls import AT_FDCWD, AT_RECURSIVE
from localbox.confinement.walls import WallFailure


class Program:
    """System calls, each with the result it must have.

    Args:
        open_fds: the descriptors the child will have, so that what a call opens is known: the
            kernel gives the lowest free number.
    """

    def __init__(self, open_fds: set[int]) -> None:
        self._open_fds = set(open_fds)
        self._steps = array("q")
        self._told: list[tuple[str, str]] = []
        self._wall = ""
        # What the numbers point to.
        self._alive: list[object] = []

    @contextmanager
    def wall(self, name: str) -> Iterator[None]:
        """The wall that the calls in the block build."""
        outer, self._wall = self._wall, name
        yield
        self._wall = outer

    def run(self) -> None:
        """Make the calls.

        Raises:
            WallFailure: the first whose result was not as expected; none after it was made.
        """
        failed, number = syscalls.run_steps(self._steps)
        if failed >= 0:
            wall, what = self._told[failed]
            raise WallFailure(wall, OSError(number, f"{what}: {os.strerror(number)}"))

    def call(self, name: str, *args: int | bytes, told: str = "", expect: int = 0) -> None:
        """Append one system call; bytes are passed by address."""
        numbers = [self._number(arg) for arg in args]
        numbers += [0] * (6 - len(numbers))
        self._steps.extend((expect, syscalls.number_of(name), *numbers))
        self._told.append((self._wall, f"{name}({told})"))

    def _number(self, arg: int | bytes) -> int:
        if isinstance(arg, int):
            return arg
        buffer = syscalls.pinned(arg)
        self._alive.append(buffer)
        return syscalls.address_of(buffer)

    def mount(
        self, source: str, target: str, fstype: str | None, flags: int, data: str = ""
    ) -> None:
        self.call(
            "mount",
            _path(source),
            _path(target),
            _path(fstype) if fstype else 0,
            flags,
            _path(data) if data else 0,
            told=f"{fstype or 'bind'} {source} on {target}",
        )

    def open_tree(self, path: str) -> int:
        fd = self._next_fd()
        flags = syscalls.OPEN_TREE_CLONE | AT_RECURSIVE | os.O_CLOEXEC
        self.call("open_tree", AT_FDCWD, _path(path), flags, told=path, expect=fd)
        return fd

    def move_mount(self, tree_fd: int, target: str) -> None:
        """Attach a detached mount and close its descriptor."""
        flags = syscalls.MOVE_MOUNT_F_EMPTY_PATH
        self.call("move_mount", tree_fd, b"\0", AT_FDCWD, _path(target), flags, told=target)
        self.close(tree_fd)

    def set_mount_attributes(self, path: str, attributes: int) -> None:
        attr = struct.pack("=QQQQ", attributes, 0, 0, 0)
        self.call("mount_setattr", AT_FDCWD, _path(path), AT_RECURSIVE, attr, len(attr), told=path)

    def umount2(self, target: str, flags: int) -> None:
        self.call("umount2", _path(target), flags, told=target)

    def pivot_root(self, new_root: str, put_old: str) -> None:
        self.call("pivot_root", _path(new_root), _path(put_old), told=new_root)

    def chdir(self, path: str) -> None:
        self.call("chdir", _path(path), told=path)

    def mkdir(self, path: str, mode: int = 0o755) -> None:
        self.call("mkdirat", AT_FDCWD, _path(path), mode, told=path)

    def open(self, path: str, flags: int, mode: int = 0) -> int:
        fd = self._next_fd()
        flags |= os.O_CLOEXEC
        self.call("openat", AT_FDCWD, _path(path), flags, mode, told=path, expect=fd)
        return fd

    def close(self, fd: int) -> None:
        self.call("close", fd, told=str(fd))
        self._open_fds.discard(fd)

    def replace(self, fd: int, target: int) -> None:
        """dup2, for a descriptor that programs shall inherit."""
        self.call("dup3", fd, target, 0, told=f"{fd}, {target}", expect=target)

    def write_file(self, path: str, content: bytes) -> None:
        fd = self.open(path, os.O_WRONLY)
        self.call("write", fd, content, len(content), told=path, expect=len(content))
        self.close(fd)

    def create_file(self, path: str) -> None:
        self.close(self.open(path, os.O_CREAT | os.O_WRONLY, 0o644))

    def prctl(self, option: int, arg2: int = 0) -> None:
        self.call("prctl", option, arg2, told=f"{option}, {arg2}")

    def prlimit(self, number: int, soft: int, hard: int) -> None:
        limit = struct.pack("=QQ", soft & 2**64 - 1, hard & 2**64 - 1)
        self.call("prlimit64", 0, number, limit, 0, told=f"{number}, {soft}, {hard}")

    def drop_all_capabilities(self) -> None:
        self.call("capset", syscalls.CAP_HEADER, bytes(24), told="none")

    def set_capabilities(self, usable: int, inheritable: int) -> None:
        """Sets of bits; `usable` is the permitted and the effective one."""
        low, high = (
            (usable >> shift & 0xFFFFFFFF,) * 2 + (inheritable >> shift & 0xFFFFFFFF,)
            for shift in (0, 32)
        )
        data = struct.pack("=6I", *low, *high)
        self.call("capset", syscalls.CAP_HEADER, data, told=f"{usable:#x}")

    def landlock_ruleset(self, handled_fs: int, scoped: int, abi: int) -> int:
        fd = self._next_fd()
        attr, size = syscalls.landlock_attr(handled_fs, scoped, abi)
        self.call("landlock_create_ruleset", attr, size, 0, told=f"ABI {abi}", expect=fd)
        return fd

    def landlock_allow(self, ruleset_fd: int, path: str, rights: int) -> None:
        """Leaves the path open; `landlock_restrict_self` closes all of them at once."""
        fd = self.open(path, os.O_PATH)
        rule = struct.pack("=Qi", rights, fd)
        self.call("landlock_add_rule", ruleset_fd, 1, rule, 0, told=path)

    def landlock_restrict_self(self, ruleset_fd: int) -> None:
        self.call("landlock_restrict_self", ruleset_fd, 0)
        self.close_from(ruleset_fd)

    def close_from(self, first_fd: int) -> None:
        self.call("close_range", first_fd, 0xFFFFFFFF, 0)
        self._open_fds -= {fd for fd in self._open_fds if fd >= first_fd}

    def load_filter(self, program: bytes) -> None:
        """Load a seccomp filter: an array of struct sock_filter."""
        instructions = syscalls.pinned(program)
        self._alive.append(instructions)
        count = len(program) // 8
        fprog = struct.pack("=H6xQ", count, syscalls.address_of(instructions))
        self.call(
            "seccomp", syscalls.SECCOMP_SET_MODE_FILTER, 0, fprog, told=f"{count} instructions"
        )

    def _next_fd(self) -> int:
        fd = next(number for number in range(1 << 16) if number not in self._open_fds)
        self._open_fds.add(fd)
        return fd


def _path(path: str) -> bytes:
    return os.fsencode(path) + b"\0"
