"""Which host ids a sandbox's ids are: never host uid 0, and as root a range of its own.

As root each live sandbox holds a slot: 65,536 host ids that nothing else on the machine uses, so
that two sandboxes are strangers to each other for the kernel too. As an ordinary user there is one
id to give, the caller's own, and the sandbox's `user` is it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket

from localbox.confinement import syscalls
from localbox.confinement.host_proc import open_proc, write_proc

GUEST_UID = 1000
GUEST_GID = 1000

# 0x70000000 up to the ids systemd keeps for itself at the end of the 31-bit range; nspawn's
# automatic ranges end below and /etc/subuid is filled from 100000 up.
_FIRST_HOST_ID = 0x70000000
_IDS_PER_SLOT = 65536
_SLOTS = 4000
_SLOTS_AT_ONCE = 16
# Behind the last slot: what guest users other than GUEST_UID are in a volume, whichever sandbox
# they write from. engine/volumes.py has the same number.
VOLUME_IDS = _FIRST_HOST_ID + _SLOTS * _IDS_PER_SLOT


class UidSlot:
    """A range of host ids, reserved machine-wide for as long as `lock` is open."""

    def __init__(self, base: int, lock: socket.socket) -> None:
        self.base = base
        self.lock = lock
        self.shift_fd = -1
        self.volume_shift_fd = -1

    def id_shift(self) -> int:
        """A user namespace in which files of host root look like the sandbox user's own.

        For MOUNT_ATTR_IDMAP on the lower directory of an overlay: nothing is written through it.
        Made once per slot; the slot is used again and again.
        """
        if self.shift_fd < 0:
            self.shift_fd = _make_user_namespace(f"0 {self.base + GUEST_UID} 1\n")
        return self.shift_fd

    def volume_shift(self) -> int:
        """A user namespace in which every slot's user writes with the same ids.

        What GUEST_UID writes to a volume is host root's there, as what an ordinary user's
        sandboxes write is that user's; the other ids of the range are VOLUME_IDS.
        """
        if self.volume_shift_fd < 0:
            after = GUEST_UID + 1
            self.volume_shift_fd = _make_user_namespace(
                f"0 {self.base + GUEST_UID} 1\n"
                f"{VOLUME_IDS} {self.base} {GUEST_UID}\n"
                f"{VOLUME_IDS + after} {self.base + after} {_IDS_PER_SLOT - after}\n"
            )
        return self.volume_shift_fd


class UidSlots:
    """The slots this zygote holds; a slot comes back when its sandbox is gone."""

    def __init__(self, host_network_fd: int) -> None:
        """
        Args:
            host_network_fd: the network namespace that all zygotes of this machine share, for it
                is there that names are unique.
        """
        self._host_network_fd = host_network_fd
        self._free: list[UidSlot] = []
        self._next = os.getpid() * 7 % _SLOTS

    @property
    def empty(self) -> bool:
        return not self._free

    def reserve(self) -> None:
        """Get some more slots. Leaves this process in the host's network namespace."""
        syscalls.setns(self._host_network_fd, syscalls.CLONE_NEWNET)
        for _ in range(_SLOTS):
            number = self._next
            self._next = (self._next + 1) % _SLOTS
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            try:
                # An abstract name is a lock that the kernel frees whatever becomes of us, and
                # that needs no directory to be writable.
                lock.bind(f"\0localbox-ids-{number}")
            except OSError as error:
                lock.close()
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            self._free.append(UidSlot(_FIRST_HOST_ID + number * _IDS_PER_SLOT, lock))
            if len(self._free) >= _SLOTS_AT_ONCE:
                return
        if not self._free:
            raise OSError(errno.EAGAIN, f"all {_SLOTS} ranges of host ids are in use by sandboxes")

    def take(self) -> UidSlot:
        return self._free.pop()

    def give_back(self, slot: UidSlot) -> None:
        self._free.append(slot)


def is_host_root() -> bool:
    """Whether we are uid 0 of the initial user namespace, and so have every host id to give.

    Uid 0 of any other, of a rootless container for instance, is treated as an ordinary user.
    """
    with open(f"/proc/{os.getpid()}/uid_map", encoding="ascii") as file:
        ids = file.readline().split()
    return os.geteuid() == 0 and ids == ["0", "0", "4294967295"]


def write_id_maps(pid: int, slot: UidSlot | None) -> None:
    """Map the ids of the user namespace of `pid`, which waits for it.

    Args:
        slot: the range to map, or None to map GUEST_UID onto the one id this process has, which
            in the zygote's own user namespace is 0.
    """
    if slot is None:
        uid_map, gid_map = f"{GUEST_UID} 0 1\n", f"{GUEST_GID} 0 1\n"
        # The kernel demands it of whoever is not root outside.
        write_proc(f"{pid}/setgroups", "deny")
    else:
        uid_map = gid_map = f"0 {slot.base} {_IDS_PER_SLOT}\n"
    write_proc(f"{pid}/gid_map", gid_map)
    write_proc(f"{pid}/uid_map", uid_map)


def enter_own_user_namespace() -> None:
    """For an ordinary user's zygote: a user namespace in which its own id is 0.

    Being 0 there is what keeps the capabilities across execve; outside it is the ordinary user.
    """
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
    for name, content in (
        ("setgroups", "deny"),
        ("gid_map", f"0 {gid} 1\n"),
        ("uid_map", f"0 {uid} 1\n"),
    ):
        try:
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(content)
        except OSError as error:
            number = error.errno or 0
            raise OSError(number, f"cannot write {name}: {os.strerror(number)}") from None


def enter_user_namespace_of(pid: int) -> None:
    """Join the user namespace that another zygote of ours has made for itself, with our own mounts.

    Only there do we have capabilities over the namespaces of its sandboxes.
    """
    fd = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    try:
        syscalls.setns(fd, syscalls.CLONE_NEWUSER)
    finally:
        os.close(fd)
    syscalls.unshare(syscalls.CLONE_NEWNS)


def _make_user_namespace(id_map: str) -> int:
    ready, done = os.pipe2(os.O_CLOEXEC)
    pid, pidfd = syscalls.clone3(syscalls.CLONE_NEWUSER)
    if pid == 0:
        with contextlib.suppress(BaseException):
            os.close(done)
            os.read(ready, 1)
        os._exit(0)
    try:
        write_proc(f"{pid}/setgroups", "deny")
        write_proc(f"{pid}/gid_map", id_map)
        write_proc(f"{pid}/uid_map", id_map)
        return open_proc(f"{pid}/ns/user")
    finally:
        os.close(ready)
        os.close(done)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(pidfd)
