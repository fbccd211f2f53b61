"""A cgroup per sandbox, where this process may make one: memory and pids counted by the kernel.

With cgroup v2 a sandbox is born into its group. With v1 it has to be moved, which after a quiet
spell costs some ten milliseconds per move, so a profile must ask for it.
"""

from __future__ import annotations

import contextlib
import errno
import os

from localbox.confinement.walls import CGROUP, WallFailure, building

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MOUNT = "/sys/fs/cgroup"
_UNIFIED = "unified"
_PREFIX = "localbox-"
# Where groups that limit processor time are made; not one of a sandbox's walls.
_CPU = "cpu"
_CPU_PERIOD_US = 50_000


def open_roots() -> dict[str, int]:
    """Descriptors of the cgroup directories below which groups can be made, by controller.

    Call before the mounts are made read-only: what is opened now stays writable. "unified" stands
    for a v2 hierarchy that hands out both controllers; else "memory" and "pids" of v1; else {}.
    "cpu" is there beside them where groups can be given a share of the processors.
    """
    own = _own_cgroups()
    # Processes may not live beside the groups they limit, so v2 groups go to the hierarchy's top,
    # which only root may do. A user's delegated group would hold the calling program itself.
    for directory in (_MOUNT, f"{_MOUNT}/{_UNIFIED}"):
        controllers = _read(f"{directory}/cgroup.subtree_control").split()
        if "memory" in controllers and "pids" in controllers and os.access(directory, os.W_OK):
            unified = {_UNIFIED: _open_directory(directory)}
            return {**unified, _CPU: _open_directory(directory)} if _CPU in controllers else unified
    roots: dict[str, int] = {}
    for controller in ("memory", "pids", _CPU):
        directory = f"{_MOUNT}/{controller}{own.get(controller, '/')}"
        if os.access(f"{directory}/cgroup.procs", os.W_OK):
            roots[controller] = _open_directory(directory)
    if not {"memory", "pids"} <= roots.keys():
        for fd in roots.values():
            os.close(fd)
        return {}
    return roots


class Cgroup:
    """The group or groups of one sandbox."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.directories: dict[str, int] = {}  # by controller, as descriptors

    @property
    def description(self) -> str:
        return "v2" if _UNIFIED in self.directories else "v1 memory and pids"

    @property
    def clone_fd(self) -> int | None:
        """For CLONE_INTO_CGROUP, which only v2 has."""
        return self.directories.get(_UNIFIED)

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel has killed a process of the group for its memory."""
        names = {_UNIFIED: "memory.events", "memory": "memory.oom_control"}
        for controller, fd in self.directories.items():
            lines = _read_at(fd, names[controller]).splitlines() if controller in names else []
            if any(line.startswith("oom_kill ") and line != "oom_kill 0" for line in lines):
                return True
        return False

    def set_memory(self, memory_bytes: int) -> None:
        """
        Raises:
            OSError: EBUSY, it holds more than that and cannot be made to hold less.
        """
        for controller, fd in self.directories.items():
            if controller == _UNIFIED:
                _write(fd, "memory.max", str(memory_bytes))
            elif controller == "memory":
                # That of memory and swap together is never below that of memory alone.
                names = ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
                if memory_bytes > int(_read_at(fd, names[0])):
                    names.reverse()
                for name in names:
                    try:
                        _write(fd, name, str(memory_bytes))
                    except FileNotFoundError:
                        continue  # no swap accounting

    def adopt(self, pid: int) -> None:
        """Move in a newborn; with v2 it was born here."""
        for controller, fd in self.directories.items():
            if controller != _UNIFIED:
                _write(fd, "cgroup.procs", str(pid))

    def take_in(self, pid: int) -> None:
        """Move in a process that was born elsewhere."""
        for fd in self.directories.values():
            _write(fd, "cgroup.procs", str(pid))

    @property
    def can_freeze(self) -> bool:
        """Whether the kernel stops and continues the group as a whole, which is v2's."""
        return _UNIFIED in self.directories

    def freeze(self) -> bool:
        """Ask for it; True once nothing in the group runs any more."""
        fd = self.directories[_UNIFIED]
        _write(fd, "cgroup.freeze", "1")
        return "frozen 1" in _read_at(fd, "cgroup.events").splitlines()

    def thaw(self) -> None:
        """Let the group run again."""
        _write(self.directories[_UNIFIED], "cgroup.freeze", "0")


class CpuGroup:
    """A group of one sandbox's processes with a share of the processors."""

    def __init__(self, name: str, directory_fd: int) -> None:
        self.name = name
        self._fd = directory_fd

    def set_cpus(self, cpus: float | None) -> None:
        """
        Args:
            cpus: seconds of processor time for each second; None for no limit.
        """
        quota = None if cpus is None else max(1000, int(cpus * _CPU_PERIOD_US))
        try:
            _write(self._fd, "cpu.max", f"{'max' if quota is None else quota} {_CPU_PERIOD_US}")
        except FileNotFoundError:  # v1
            _write(self._fd, "cpu.cfs_period_us", str(_CPU_PERIOD_US))
            _write(self._fd, "cpu.cfs_quota_us", str(-1 if quota is None else quota))

    def take_in(self, pid: int) -> None:
        _write(self._fd, "cgroup.procs", str(pid))

    def pids(self) -> set[int]:
        return set(map(int, _read_at(self._fd, "cgroup.procs").split()))

    def close(self) -> None:
        os.close(self._fd)


class Cgroups:
    """Makes groups below the roots, and removes them; also those of zygotes that were killed."""

    def __init__(self, roots: dict[str, int]) -> None:
        self._cpu_root = roots.get(_CPU, -1)
        self._roots = {name: fd for name, fd in roots.items() if name != _CPU}
        self._leftover: list[str] = []
        self._prefix = f"{_PREFIX}{os.getpid()}-"
        for root in roots.values():
            _sweep(root)

    def check(self) -> None:
        """Raise WallFailure if no group can be made here."""
        if not self._roots:
            raise WallFailure(
                CGROUP, "this process can make no cgroup with the memory and pids controllers"
            )

    def make(self, sandbox_id: str, plan: dict[str, Any]) -> Cgroup | None:
        """A group with the plan's limits; None where the plan wants none or none can be had."""
        if plan["cgroup"] == "off" or not self._roots:
            return None
        self._remove_leftover()
        cgroup = Cgroup(self._prefix + sandbox_id)
        try:
            with building(CGROUP):
                for controller, root in self._roots.items():
                    os.mkdir(cgroup.name, 0o755, dir_fd=root)
                    fd = os.open(
                        cgroup.name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root
                    )
                    cgroup.directories[controller] = fd
                    _set_limits(controller, fd, plan)
        except BaseException:
            self.remove(cgroup)
            raise
        return cgroup

    def make_cpu_group(self, sandbox_id: str, cgroup: Cgroup | None) -> CpuGroup | None:
        """A group without a limit yet; None where none can be had.

        With v2 it is the sandbox's group, if it has one: a process is in one only.
        """
        if self._cpu_root < 0:
            return None
        name = self._prefix + sandbox_id
        if cgroup is None or _UNIFIED not in cgroup.directories:
            os.mkdir(name, 0o755, dir_fd=self._cpu_root)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return CpuGroup(name, os.open(name, flags, dir_fd=self._cpu_root))

    def remove_cpu_group(self, group: CpuGroup) -> None:
        group.close()
        self._leftover.append(group.name)
        self._remove_leftover()

    def remove(self, cgroup: Cgroup) -> None:
        for fd in cgroup.directories.values():
            os.close(fd)
        cgroup.directories.clear()
        self._leftover.append(cgroup.name)
        self._remove_leftover()

    def _remove_leftover(self) -> None:
        # A group whose last process has only just been reaped can be busy for a moment.
        self._leftover = [name for name in self._leftover if not self._try_remove(name)]

    def _try_remove(self, name: str) -> bool:
        gone = True
        cpu_root = [] if self._cpu_root < 0 else [self._cpu_root]
        for root in (*self._roots.values(), *cpu_root):
            try:
                os.rmdir(name, dir_fd=root)
            except OSError as error:
                gone = gone and error.errno == errno.ENOENT
        return gone


def _set_limits(controller: str, fd: int, plan: dict[str, Any]) -> None:
    memory, pids = str(plan["memory_bytes"]), str(plan["pids"])
    if controller == _UNIFIED:
        _write(fd, "memory.max", memory)
        _write(fd, "pids.max", pids)
        with contextlib.suppress(OSError):  # no swap controller
            _write(fd, "memory.swap.max", "0")
    elif controller == "memory":
        _write(fd, "memory.limit_in_bytes", memory)
        with contextlib.suppress(OSError):  # no swap accounting
            _write(fd, "memory.memsw.limit_in_bytes", memory)
    else:
        _write(fd, "pids.max", pids)


def _sweep(root: int) -> None:
    """Remove the empty groups of zygotes that are no more."""
    for name in os.listdir(root):
        owner = name.removeprefix(_PREFIX).partition("-")[0]
        if name.startswith(_PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=root)


def _own_cgroups() -> dict[str, str]:
    own: dict[str, str] = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _number, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            own[controller] = path
    return own


def _open_directory(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.set_inheritable(fd, True)
    return fd


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _write(directory_fd: int, name: str, value: str) -> None:
    fd = os.open(name, os.O_WRONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        os.write(fd, value.encode("ascii"))
    finally:
        os.close(fd)


def _read_at(directory_fd: int, name: str) -> str:
    fd = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        return os.read(fd, 65536).decode("ascii", "replace")
    finally:
        os.close(fd)
