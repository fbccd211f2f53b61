"""The kernel's calls that Python does not wrap: the one module that touches ctypes.

Each function is one syscall with its man-page name and raises OSError (errno, name, what it was
called on). Nothing here decides anything.
"""

from __future__ import annotations

import ctypes
import os
import struct
from array import array

# PyDLL and not CDLL: letting go of the interpreter's lock and taking it again is half of what a
# call costs, and every process that makes these calls has one thread.
_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long

MACHINE = os.uname().machine
# Numbers from 424 on are the same on every architecture; below, a table per machine is needed.
_NR_COMMON = {
    "open_tree": 428,
    "move_mount": 429,
    "clone3": 435,
    "close_range": 436,
    "mount_setattr": 442,
    "landlock_create_ruleset": 444,
    "landlock_add_rule": 445,
    "landlock_restrict_self": 446,
}
_NR_BY_MACHINE = {
    "x86_64": {
        "read": 0,
        "write": 1,
        "close": 3,
        "ioctl": 16,
        "chdir": 80,
        "umask": 95,
        "setuid": 105,
        "setreuid": 113,
        "unshare": 272,
        "setns": 308,
        "setresuid": 117,
        "setresgid": 119,
        "capset": 126,
        "pivot_root": 155,
        "prctl": 157,
        "mount": 165,
        "umount2": 166,
        "openat": 257,
        "mkdirat": 258,
        "ppoll": 271,
        "dup3": 292,
        "prlimit64": 302,
        "seccomp": 317,
    },
    "aarch64": {
        "dup3": 24,
        "ioctl": 29,
        "mkdirat": 34,
        "umount2": 39,
        "mount": 40,
        "pivot_root": 41,
        "chdir": 49,
        "openat": 56,
        "close": 57,
        "read": 63,
        "write": 64,
        "ppoll": 73,
        "capset": 91,
        "unshare": 97,
        "setns": 268,
        "setreuid": 145,
        "setuid": 146,
        "setresuid": 147,
        "setresgid": 149,
        "umask": 166,
        "prctl": 167,
        "prlimit64": 261,
        "seccomp": 277,
    },
}
_NR = {**_NR_COMMON, **_NR_BY_MACHINE.get(MACHINE, {})}

CLONE_PIDFD = 0x00001000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_INTO_CGROUP = 0x200000000
CLONE_CHILD_CLEARTID = 0x00200000
CLONE_CHILD_SETTID = 0x01000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_IDMAP = 0x00100000

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_NO_NEW_PRIVS = 38
PR_GET_TID_ADDRESS = 40
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
PR_CAP_AMBIENT_CLEAR_ALL = 4


def _fail(call: str, subject: object = "") -> OSError:
    code = ctypes.get_errno()
    return OSError(code, f"{call}({subject}): {os.strerror(code)}")


def number_of(call: str) -> int:
    """The system call's number on this machine."""
    try:
        return _NR[call]
    except KeyError:
        raise OSError(38, f"{call}: no syscall number known for machine {MACHINE!r}") from None


def _path(path: str) -> bytes:
    return os.fsencode(path)


def unshare(flags: int) -> None:
    if _libc.unshare(ctypes.c_int(flags)):
        raise _fail("unshare", hex(flags))


def set_parent_death_signal(number: int) -> None:
    """The signal this process gets when the thread that forked it ends. See PR_SET_PDEATHSIG."""
    if _libc.prctl(ctypes.c_int(PR_SET_PDEATHSIG), ctypes.c_ulong(number), 0, 0, 0):
        raise _fail("prctl", "PR_SET_PDEATHSIG")


def syncfs(fd: int) -> None:
    """Write to disk what the filesystem of `fd` still holds in memory."""
    if _libc.syncfs(ctypes.c_int(fd)):
        raise _fail("syncfs", fd)


def setns(fd: int, kind: int) -> None:
    if _libc.setns(ctypes.c_int(fd), ctypes.c_int(kind)):
        raise _fail("setns", hex(kind))


def mount(source: str, target: str, fstype: str | None, flags: int, data: str = "") -> None:
    if _libc.mount(
        _path(source),
        _path(target),
        fstype.encode() if fstype else None,
        ctypes.c_ulong(flags),
        _path(data) if data else None,
    ):
        raise _fail("mount", f"{fstype or 'bind'} {source} on {target}")


def umount2(target: str, flags: int) -> None:
    if _libc.umount2(_path(target), ctypes.c_int(flags)):
        raise _fail("umount2", target)


def pivot_root(new_root: str, put_old: str) -> None:
    if _syscall(ctypes.c_long(number_of("pivot_root")), _path(new_root), _path(put_old)):
        raise _fail("pivot_root", new_root)


def open_tree(path: str, *, clone: bool = True, recursive: bool = True) -> int:
    """A detached copy of the mounts at `path`, as a close-on-exec descriptor."""
    flags = os.O_CLOEXEC | (OPEN_TREE_CLONE if clone else 0)
    if clone and recursive:
        flags |= AT_RECURSIVE
    fd = _syscall(
        ctypes.c_long(number_of("open_tree")),
        ctypes.c_int(AT_FDCWD),
        _path(path),
        ctypes.c_uint(flags),
    )
    if fd < 0:
        raise _fail("open_tree", path)
    return int(fd)


def move_mount(tree_fd: int, target: str) -> None:
    """Attach a detached mount at `target`."""
    if _syscall(
        ctypes.c_long(number_of("move_mount")),
        ctypes.c_int(tree_fd),
        b"",
        ctypes.c_int(AT_FDCWD),
        _path(target),
        ctypes.c_uint(MOVE_MOUNT_F_EMPTY_PATH),
    ):
        raise _fail("move_mount", target)


def mount_setattr(
    where: int | str,
    *,
    attr_set: int = 0,
    attr_clear: int = 0,
    propagation: int = 0,
    userns_fd: int = 0,
    recursive: bool = True,
) -> None:
    """Change the flags of a mount (a path) or of a detached mount (a descriptor), all at once."""
    if isinstance(where, int):
        dirfd, path, flags = where, b"", AT_EMPTY_PATH
    else:
        dirfd, path, flags = AT_FDCWD, _path(where), 0
    attr = struct.pack("=QQQQ", attr_set, attr_clear, propagation, userns_fd)
    if recursive:
        flags |= AT_RECURSIVE
    if _syscall(
        ctypes.c_long(number_of("mount_setattr")),
        ctypes.c_int(dirfd),
        path,
        ctypes.c_uint(flags),
        attr,
        ctypes.c_size_t(len(attr)),
    ):
        raise _fail("mount_setattr", where)


# glibc keeps the thread id inside struct pthread, and only its own fork() renews it there. The
# kernel knows that address (it clears it when the thread ends), so clone3 can be told to write the
# child's id to it, as fork() would. Without CONFIG_CHECKPOINT_RESTORE there is no way to ask; then
# the stale id stays, which only robust and recursive pthread mutexes of the child would notice.
def _tid_address() -> int:
    address = ctypes.c_ulong(0)
    if _libc.prctl(ctypes.c_int(PR_GET_TID_ADDRESS), ctypes.byref(address), 0, 0, 0):
        return 0
    return int(address.value)


_clone_args = ctypes.create_string_buffer(88)
_pidfd = ctypes.c_int(-1)
_clone3_nr = ctypes.c_long(number_of("clone3"))
_clone3_size = ctypes.c_size_t(88)
_before_fork = ctypes.pythonapi.PyOS_BeforeFork
_after_fork_child = ctypes.pythonapi.PyOS_AfterFork_Child
_after_fork_parent = ctypes.pythonapi.PyOS_AfterFork_Parent
_SIGCHLD = 17


def clone3(flags: int, cgroup_fd: int | None = None) -> tuple[int, int]:
    """Fork into new namespaces in one step: (0, -1) in the child, (pid, pidfd) in the parent.

    One clone3 with every flag costs about half of fork + unshare + fork. Only for a process with a
    single thread: the other threads would be missing in the child with their locks held.
    """
    tid_address = _tid_address()
    if tid_address:
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID
    if cgroup_fd is not None:
        flags |= CLONE_INTO_CGROUP
    struct.pack_into(
        "=11Q",
        _clone_args,
        0,
        flags | CLONE_PIDFD,
        ctypes.addressof(_pidfd),
        tid_address,
        0,
        _SIGCHLD,
        0,
        0,
        0,
        0,
        0,
        cgroup_fd or 0,
    )
    _before_fork()
    pid = _syscall(_clone3_nr, _clone_args, _clone3_size)
    if pid == 0:
        _after_fork_child()
        return 0, -1
    code = ctypes.get_errno()
    _after_fork_parent()
    if pid < 0:
        raise OSError(code, f"clone3({flags:#x}): {os.strerror(code)}")
    return int(pid), int(_pidfd.value)


def landlock_abi() -> int:
    """The Landlock ABI of this kernel; 0 where it is not there or switched off."""
    version = _syscall(
        ctypes.c_long(number_of("landlock_create_ruleset")),
        None,
        ctypes.c_size_t(0),
        ctypes.c_uint(1),
    )
    return max(int(version), 0)


CAP_HEADER = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
SECCOMP_SET_MODE_FILTER = 1


def landlock_attr(handled_fs: int, scoped: int, abi: int) -> tuple[bytes, int]:
    """struct landlock_ruleset_attr and how much of it a kernel of this ABI knows."""
    size = 24 if abi >= 6 else 16 if abi >= 4 else 8
    return struct.pack("=QQQ", handled_fs, 0, scoped), size


_step_libc = ctypes.PyDLL(None, use_errno=True)
_step = _step_libc.syscall
_step.restype = ctypes.c_long
_step.argtypes = (ctypes.c_long,) * 7


def rename_process(name: str) -> None:
    """Overwrite our command line, which /proc shows of PID 1 to everybody in its pid namespace.

    It tells of the program we work for. See arg_start and arg_end in proc_pid_stat(5).
    """
    with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if 0 < start < end:
        text = name.encode("ascii")[: end - start - 1]
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text, len(text))


_close_range_nr = number_of("close_range")
_prctl_nr = number_of("prctl")


def become_guest(first_fd: int) -> None:
    """Close every descriptor from `first_fd` on, and let /proc show this process to its user.

    Neither can fail. Not os.closerange, which in a Python built for old systems is a million calls.
    """
    _step(_close_range_nr, first_fd, 0xFFFFFFFF, 0, 0, 0, 0)
    _step(_prctl_nr, PR_SET_DUMPABLE, 1, 0, 0, 0, 0)


_TIOCSWINSZ = 0x5414


def set_window_size(fd: int, rows: int, cols: int) -> None:
    """Set a terminal's size, by either of its ends. ioctl_tty(2)."""
    size = ctypes.create_string_buffer(struct.pack("HHHH", rows, cols, 0, 0), 8)
    if _step(number_of("ioctl"), fd, _TIOCSWINSZ, ctypes.addressof(size), 0, 0, 0) < 0:
        raise _fail("ioctl", f"{fd}, TIOCSWINSZ")


def close_from(first_fd: int) -> None:
    """Close every descriptor from `first_fd` on."""
    _step(_close_range_nr, first_fd, 0xFFFFFFFF, 0, 0, 0, 0)


def inotify_init() -> int:
    fd = _libc.inotify_init1(ctypes.c_int(os.O_NONBLOCK | os.O_CLOEXEC))
    if fd < 0:
        raise _fail("inotify_init1")
    return int(fd)


def inotify_add_watch(fd: int, path: str, mask: int) -> int:
    wd = _libc.inotify_add_watch(ctypes.c_int(fd), _path(path), ctypes.c_uint32(mask))
    if wd < 0:
        raise _fail("inotify_add_watch", path)
    return int(wd)


def inotify_rm_watch(fd: int, wd: int) -> None:
    if _libc.inotify_rm_watch(ctypes.c_int(fd), ctypes.c_int(wd)) < 0:
        raise _fail("inotify_rm_watch", wd)


# What an agent is given in order to watch directories: guest code imports none of this.
WATCH_CALLS = (inotify_init, inotify_add_watch, inotify_rm_watch), close_from

STEP_LENGTH = 8


def run_steps(steps: array[int]) -> tuple[int, int]:
    """Make system calls, each given as STEP_LENGTH numbers: expected result, number, arguments.

    In an array they are memory that is only read. As tuples of integers, the reference counts of
    all of them would be written, and in a forked child each page of them copied.

    Returns:
        The index of the first that had another result, and its errno; (-1, 0) if there is none.
    """
    call = _step
    for start in range(0, len(steps), STEP_LENGTH):
        expected, *arguments = steps[start : start + STEP_LENGTH]
        if call(*arguments) != expected:
            return start // STEP_LENGTH, ctypes.get_errno()
    return -1, 0


def pinned(data: bytes) -> object:
    """A copy of `data` that stays where it is, for address_of."""
    return ctypes.create_string_buffer(data, len(data))


def address_of(buffer: object) -> int:
    return ctypes.addressof(buffer)  # type: ignore[arg-type]
