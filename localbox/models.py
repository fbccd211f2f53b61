"""The values the client takes and returns: E2B's, field for field, and `Isolation`.

Order and defaults of the fields are E2B's, because programs build some of these by
position. What the fields mean is said only where it differs on this machine.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import IO, TYPE_CHECKING, Any, Generic, Literal, NotRequired, TypedDict, TypeVar

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault

    OutputT = TypeVarWithDefault("OutputT", bound=str | None, default=str)
else:
    # Defaults of type variables came with Python 3.13; at run time nobody looks at this one.
    OutputT = TypeVar("OutputT", bound=str | None)

T = TypeVar("T")

__all__ = [
    "ApiParams",
    "AsyncWriteData",
    "AsyncWriteEntry",
    "CommandResult",
    "EntryInfo",
    "FileType",
    "FilesystemEvent",
    "FilesystemEventType",
    "Isolation",
    "OutputHandler",
    "OutputT",
    "ProcessInfo",
    "PtyOutput",
    "PtySize",
    "SandboxEgressProxyInfo",
    "SandboxEgressProxyTLSInfo",
    "SandboxInfo",
    "SandboxInfoLifecycle",
    "SandboxLifecycle",
    "SandboxNetworkInfo",
    "SandboxNetworkRuleInfo",
    "SandboxNetworkTransform",
    "SandboxOnTimeout",
    "SandboxOnTimeoutKill",
    "SandboxOnTimeoutPause",
    "SandboxState",
    "SnapshotMode",
    "Stderr",
    "Stdout",
    "SyncWriteEntry",
    "Username",
    "Wall",
    "WriteData",
    "WriteEntry",
    "WriteInfo",
]

Stdout = str
Stderr = str
PtyOutput = bytes
Username = str

OutputHandler = Callable[[T], None] | Callable[[T], Awaitable[None]]


class ApiParams(TypedDict, total=False):
    """Keywords E2B accepts on every call.

    `request_timeout` means what it says; the rest describe a connection to E2B's cloud
    and are accepted so that programs written for it run unchanged.
    """

    request_timeout: float | None
    retries: int | None
    headers: dict[str, str] | None
    api_headers: dict[str, str] | None
    api_key: str | None
    validate_api_key: bool | None
    domain: str | None
    api_url: str | None
    debug: bool | None
    proxy: Any
    sandbox_url: str | None
    http_version: Literal["1.1", "2"] | None


@dataclass
class PtySize:
    """The size of a pseudo-terminal, in characters."""

    rows: int
    cols: int


@dataclass
class CommandResult(Generic[OutputT]):
    """How a command ended. The outputs are None if it ran with `retain_output=False`."""

    stderr: OutputT
    stdout: OutputT
    exit_code: int
    error: str | None


@dataclass
class ProcessInfo:
    """A running process that was started through `commands` or `pty`."""

    pid: int
    tag: str | None
    cmd: str
    args: list[str]
    envs: dict[str, str]
    cwd: str | None


class FileType(Enum):
    """What a path is."""

    FILE = "file"
    DIR = "dir"
    SYMLINK = "symlink"


@dataclass
class WriteInfo:
    """A path that was written."""

    name: str
    type: FileType | None
    path: str
    metadata: dict[str, str] | None = field(default=None, kw_only=True)

    @classmethod
    def from_dict(cls, payload: dict[str, Any]) -> WriteInfo:
        """What a server of E2B's protocol answers to an upload."""
        kinds = {kind.value: kind for kind in FileType}
        return cls(
            name=payload["name"],
            type=kinds.get(payload.get("type", "")),
            path=payload["path"],
            metadata=dict(payload.get("metadata") or {}) or None,
        )


@dataclass
class EntryInfo(WriteInfo):
    """A path in the sandbox, and what stat(2) says of it."""

    size: int
    mode: int
    permissions: str
    owner: str
    group: str
    modified_time: datetime
    symlink_target: str | None = None


WriteData = str | bytes | IO[Any] | Iterable[bytes]
AsyncWriteData = str | bytes | IO[Any] | AsyncIterable[bytes]


class WriteEntry(TypedDict):
    """One file for `write_files`, whichever client it goes to."""

    path: str
    data: str | bytes | IO[Any]


class SyncWriteEntry(TypedDict):
    """One file for `Sandbox.files.write_files`; the data may be an iterable of bytes."""

    path: str
    data: WriteData


class AsyncWriteEntry(TypedDict):
    """One file for `AsyncSandbox.files.write_files`; the data may be an async iterable of bytes."""

    path: str
    data: AsyncWriteData


class FilesystemEventType(Enum):
    """What happened to a watched path."""

    CHMOD = "chmod"
    CREATE = "create"
    REMOVE = "remove"
    RENAME = "rename"
    WRITE = "write"


@dataclass
class FilesystemEvent:
    """Something happened under a watched directory; `name` is relative to it."""

    name: str
    type: FilesystemEventType
    entry: EntryInfo | None = None


class SandboxState(str, Enum):  # noqa: UP042 (E2B's is not a StrEnum either)
    """Whether a sandbox runs or is paused."""

    PAUSED = "paused"
    RUNNING = "running"

    def __str__(self) -> str:
        return str(self.value)


class SandboxNetworkTransform(TypedDict):
    """What is changed in a request on its way out."""

    headers: NotRequired[dict[str, str]]


class SandboxNetworkRuleInfo(TypedDict):
    """A rule for the requests to one host, as `get_info` reports it."""

    transform: NotRequired[SandboxNetworkTransform]


class SandboxEgressProxyTLSInfo(TypedDict):
    """An egress proxy's TLS as `get_info` reports it."""

    server_name: NotRequired[str]


class SandboxEgressProxyInfo(TypedDict):
    """An egress proxy as `get_info` reports it."""

    address: str
    username: NotRequired[str]
    tls: NotRequired[SandboxEgressProxyTLSInfo]


class SandboxNetworkInfo(TypedDict, total=False):
    """The network rules of a sandbox."""

    allow_out: list[str]
    deny_out: list[str]
    rules: dict[str, list[SandboxNetworkRuleInfo]]
    egress_proxy: SandboxEgressProxyInfo
    dns_servers: list[str]
    allow_public_traffic: bool
    mask_request_host: str
    https_ports: list[int]


SnapshotMode = Literal["full", "filesystem"]


class SandboxOnTimeoutPause(TypedDict):
    """Pause the sandbox when its time is up."""

    action: Literal["pause"]
    mode: NotRequired[SnapshotMode]
    keep_memory: NotRequired[bool]


class SandboxOnTimeoutKill(TypedDict):
    """Kill the sandbox when its time is up."""

    action: Literal["kill"]


SandboxOnTimeout = Literal["pause", "kill"] | SandboxOnTimeoutPause | SandboxOnTimeoutKill


class SandboxLifecycle(TypedDict):
    """What shall happen when the sandbox's time is up, as asked for."""

    on_timeout: SandboxOnTimeout
    auto_resume: NotRequired[bool]


class SandboxInfoLifecycle(TypedDict):
    """What will happen when the sandbox's time is up, as decided."""

    on_timeout: Literal["pause", "kill"]
    auto_resume: bool


@dataclass
class SandboxInfo:
    """A sandbox as `get_info` reports it; `envd_version` is localbox's own version."""

    sandbox_id: str
    sandbox_domain: str | None
    template_id: str
    name: str | None
    metadata: dict[str, str]
    started_at: datetime
    end_at: datetime
    state: SandboxState
    cpu_count: int
    memory_mb: int
    envd_version: str
    allow_internet_access: bool | None = None
    network: SandboxNetworkInfo | None = None
    lifecycle: SandboxInfoLifecycle | None = None
    volume_mounts: list[dict[str, str]] = field(default_factory=list)
    envd_unresponsive_at_pause: bool | None = None


@dataclass(frozen=True)
class Wall:
    """One thing that separates the sandbox from this machine.

    Args:
        name: as in `isolation.require` and `isolation.prefer` of a profile.
        stands: whether it was built for this sandbox.
        detail: what it amounts to here, or why it is missing.
    """

    name: str
    stands: bool
    detail: str = ""


@dataclass(frozen=True)
class Isolation:
    """The walls of one sandbox, as built and not as hoped for.

    `"landlock" in sandbox.isolation` is true only if that wall stands.
    """

    walls: tuple[Wall, ...]

    @property
    def standing(self) -> tuple[Wall, ...]:
        """The walls that were built."""
        return tuple(wall for wall in self.walls if wall.stands)

    @property
    def missing(self) -> tuple[Wall, ...]:
        """The walls that were not built, each with the reason as its detail."""
        return tuple(wall for wall in self.walls if not wall.stands)

    def __contains__(self, name: object) -> bool:
        return any(wall.name == name for wall in self.standing)

    def __iter__(self) -> Iterator[Wall]:
        return iter(self.walls)

    def __str__(self) -> str:
        width = max((len(wall.name) for wall in self.walls), default=0)
        lines = (
            f"{'yes' if wall.stands else 'NO ':3}  {wall.name:{width}}  {wall.detail}".rstrip()
            for wall in self.walls
        )
        return "\n".join(lines)
