"""The sections of a Policy, one class each, `seccomp` aside (seccomp_policy.py).

Each checks itself when it is made, so whoever holds one need not check again. Fields carry
their unit where the YAML key does not: `memory_bytes` is `resources.memory`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from localbox.policy import checks
from localbox.policy.checks import field_of

# Built for every sandbox, whatever a profile says; naming one in `require` changes nothing.
MANDATORY_WALLS = (
    "user-namespace",
    "mount-namespace",
    "pid-namespace",
    "network-namespace",  # except with network.mode host, which is that wall's absence
    "ipc-namespace",
    "uts-namespace",
    "cgroup-namespace",
    "private-root",
    "capabilities",
    "no-new-privileges",
    "seccomp",
    "rlimits",
)
# Built where the machine can; a profile says what happens where it cannot.
OPTIONAL_WALLS = ("landlock", "cgroup")

UNLIMITED = -1  # resource.RLIM_INFINITY

# The OCI runtime specification's, less RLIMIT_LOCKS, which Linux ignores.
_RLIMITS = (
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_NOFILE",
    "RLIMIT_NPROC",
    "RLIMIT_RSS",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
    "RLIMIT_SIGPENDING",
    "RLIMIT_STACK",
)
# Two keys for one limit would leave open which of them holds.
_RLIMITS_WITH_A_KEY = {
    "RLIMIT_CPU": "resources.cpu_time",
    "RLIMIT_DATA": "resources.memory",
    "RLIMIT_NPROC": "resources.pids",
}


@dataclass(frozen=True, slots=True)
class Isolation:
    """Which optional walls must stand, which should, and what happens when one cannot.

    Args:
        require: walls without which no sandbox is made.
        prefer: walls that are built where possible.
        on_unavailable: `degrade` goes on without a preferred wall and reports it, `fail` does not.
    """

    require: tuple[str, ...]
    prefer: tuple[str, ...]
    on_unavailable: Literal["fail", "degrade"]

    def __post_init__(self) -> None:
        with field_of("isolation", "require"):
            checks.words(self.require, "walls")
            for wall in self.require:
                checks.one_of(wall, OPTIONAL_WALLS + MANDATORY_WALLS, "wall")
        with field_of("isolation", "prefer"):
            checks.words(self.prefer, "walls")
            for wall in self.prefer:
                checks.one_of(wall, OPTIONAL_WALLS, "optional wall")
        with field_of("isolation", "on_unavailable"):
            checks.one_of(self.on_unavailable, ("fail", "degrade"), "way to go on")


@dataclass(frozen=True, slots=True)
class Process:
    """What processes inside see of their surroundings.

    Args:
        hostname: the UTS namespace's host name.
        env: variables every process starts with, besides PATH, HOME and the like.
        preload: modules imported once in the zygote and shared by all sandboxes.
        root_user: whether `user="root"` may be asked for.
    """

    hostname: str
    env: tuple[tuple[str, str], ...]
    preload: tuple[str, ...]
    root_user: bool

    def __post_init__(self) -> None:
        with field_of("process", "hostname"):
            checks.hostname(self.hostname)
        with field_of("process", "env"):
            checks.environment(self.env)
        with field_of("process", "preload"):
            checks.modules(self.preload)
        with field_of("process", "root_user"):
            checks.boolean(self.root_user)


@dataclass(frozen=True, slots=True)
class Mount:
    """A host directory or file, and where the guest finds it."""

    host_path: str
    guest_path: str

    def __post_init__(self) -> None:
        with field_of("mount", "source"):
            checks.mount_source(self.host_path)
        with field_of("mount", "destination"):
            checks.mount_destination(self.guest_path)


@dataclass(frozen=True, slots=True)
class Filesystem:
    """What of the host's files is there, what may be written, and how much.

    Args:
        readonly: mounts beyond the system directories that every sandbox has.
        readwrite: mounts through which the guest changes the host's files.
        overlay: guest directories with a writable layer of the sandbox's own over them;
            `python` stands for the Python environment.
        masked: guest paths that read as empty, as OCI's maskedPaths.
        hidden: host paths that are absent though their parent directory is visible.
        disk_bytes: what all writable layers together may hold.
        files: how many files they may hold.
    """

    readonly: tuple[Mount, ...]
    readwrite: tuple[Mount, ...]
    overlay: tuple[str, ...]
    masked: tuple[str, ...]
    hidden: tuple[str, ...]
    disk_bytes: int
    files: int

    def __post_init__(self) -> None:
        taken: set[str] = set()
        for key in ("readonly", "readwrite"):
            with field_of("filesystem", key):
                mounts = getattr(self, key)
                checks.tuple_of(mounts, Mount)
                for mount in mounts:
                    if mount.guest_path in taken:
                        raise ValueError(f"{mount.guest_path!r} is mounted twice")
                    taken.add(mount.guest_path)
        for key in ("overlay", "masked", "hidden"):
            with field_of("filesystem", key):
                checks.words(getattr(self, key), "paths")
                for path in getattr(self, key):
                    if key == "overlay" and path != "python":
                        checks.mount_destination(path)
                    elif key != "overlay":
                        checks.absolute_path(path)
        with field_of("filesystem", "disk"):
            # Less could not hold a home directory, /tmp and an overlay's bookkeeping.
            checks.whole_number(self.disk_bytes, 1 << 20, "bytes")
        with field_of("filesystem", "files"):
            checks.whole_number(self.files, 64, "files", 2**31)


@dataclass(frozen=True, slots=True)
class Network:
    """How far packets go.

    Args:
        mode: `none` is a namespace with nothing up, `loopback` the same with lo up,
            `host` no wall at all.
    """

    mode: Literal["none", "loopback", "host"]

    def __post_init__(self) -> None:
        with field_of("network", "mode"):
            checks.one_of(self.mode, ("none", "loopback", "host"), "network mode")


@dataclass(frozen=True, slots=True)
class Rlimit:
    """One setrlimit(2) limit by its OCI name; UNLIMITED is -1."""

    name: str
    soft: int
    hard: int

    def __post_init__(self) -> None:
        with field_of("rlimit", "type"):
            instead = _RLIMITS_WITH_A_KEY.get(self.name)
            if instead:
                raise ValueError(f"{self.name} follows from {instead}; set that key")
            checks.one_of(self.name, _RLIMITS, "rlimit")
        for key, value in (("soft", self.soft), ("hard", self.hard)):
            with field_of("rlimit", key):
                checks.whole_number(value, UNLIMITED, "units")
        with field_of("rlimit", "soft"):
            if self.hard != UNLIMITED and not 0 <= self.soft <= self.hard:
                raise ValueError("the soft limit is above the hard limit")


@dataclass(frozen=True, slots=True)
class Resources:
    """How much a sandbox may use.

    Args:
        memory_bytes: of all its processes together, and of each.
        pids: processes and threads at one time.
        wall_time_s: how long the sandbox may live at most; None leaves that to its timeout.
        cpu_time_s: RLIMIT_CPU of each process; None is no limit.
        output_bytes: what one command's output may make the host hold; more is dropped
            and reported.
        rlimits: limits of each process that have no key of their own.
    """

    memory_bytes: int
    pids: int
    wall_time_s: float | None
    cpu_time_s: int | None
    output_bytes: int
    rlimits: tuple[Rlimit, ...]

    def __post_init__(self) -> None:
        with field_of("resources", "memory"):
            # An idle Python with the agent in it needs about this much.
            checks.whole_number(self.memory_bytes, 16 << 20, "bytes")
        with field_of("resources", "pids"):
            checks.whole_number(self.pids, 4, "processes", 1 << 22)
        with field_of("resources", "wall_time"):
            if self.wall_time_s is not None:
                checks.seconds(self.wall_time_s, 0.001)
        with field_of("resources", "cpu_time"):
            if self.cpu_time_s is not None:
                checks.whole_number(self.cpu_time_s, 1, "seconds of CPU time", 366 * 86400)
        with field_of("resources", "output"):
            checks.whole_number(self.output_bytes, 1024, "bytes")
        with field_of("resources", "rlimits"):
            checks.tuple_of(self.rlimits, Rlimit)
            checks.words(tuple(limit.name for limit in self.rlimits), "rlimits")
