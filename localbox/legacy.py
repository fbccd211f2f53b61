"""E2B as it was before 1.0, and as the founding document writes it: methods for `Sandbox`.

All of it is made of the sandbox's present methods. Where a name stands for two things, such as
`list`, the arguments decide; where E2B 0.17 and the document differ, the docstring says who wins.
"""

from __future__ import annotations

import builtins
import os
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any

from localbox.engine.dual_method import dual_method
from localbox.errors import InvalidArgumentException
from localbox.models import FileType

if TYPE_CHECKING:
    from localbox._sync.commands import Commands
    from localbox._sync.filesystem import Filesystem
    from localbox._sync.pty import Pty
    from localbox.engine.registry import SandboxRecord
    from localbox.legacy_process import Processes
    from localbox.legacy_terminal import Terminals
    from localbox.models import SandboxInfo
    from localbox.policy import Policy

HOME = "/home/user"
# Where a sandbox has room of its own; the profile decides what is writable beyond that.
_WRITABLE = (HOME, "/tmp", "/var/tmp", "/dev/shm")
_END_ALL = """
import os, signal, sys, time

try:
    os.kill(-1, signal.SIGKILL)  # spares PID 1 and the caller
except ProcessLookupError:
    pass
while {pid for pid in os.listdir("/proc") if pid.isdigit()} - {"1", str(os.getpid())}:
    time.sleep(0.001)
"""
_EMPTY = """
import os, sys

with open("/proc/self/mountinfo", "rb") as file:
    # Spaces in them are octal escapes.
    escaped = [line.split()[4].decode("unicode_escape") for line in file]
mounts = {os.fsdecode(path.encode("latin-1")) for path in escaped}

def empty(directory):
    with os.scandir(directory) as entries:
        for entry in [*entries]:
            path = entry.path
            if path in mounts:
                continue  # such as the Python environment, if that is where the host has it
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(path)
            elif any(mount.startswith(path + "/") for mount in mounts):
                empty(path)
            else:
                os.chmod(path, 0o700)
                empty(path)
                os.rmdir(path)

for directory in sys.argv[1:]:
    empty(directory)
"""


class LegacyMethods:
    """What `Sandbox` had before E2B 1.0 and in the founding document, and has no more."""

    if TYPE_CHECKING:
        _record: SandboxRecord

        @property
        def sandbox_id(self) -> str: ...
        @property
        def policy(self) -> Policy: ...
        @property
        def commands(self) -> Commands: ...
        @property
        def files(self) -> Filesystem: ...
        @property
        def pty(self) -> Pty: ...
        @classmethod
        def _list_sandboxes(cls, *args: Any, **opts: Any) -> Any: ...
        def is_running(self, request_timeout: float | None = None) -> bool: ...
        def kill(self, **opts: Any) -> bool: ...
        def set_timeout(self, timeout: int, **opts: Any) -> None: ...
        def get_info(self, **opts: Any) -> SandboxInfo: ...
        def get_host(self, port: int) -> str: ...
        def list_code_contexts(self) -> builtins.list[Any]: ...
        def remove_code_context(self, context: Any) -> None: ...

    @property
    def id(self) -> str:
        """Its id; now `sandbox_id`."""
        return self.sandbox_id

    @property
    def is_open(self) -> bool:
        """Whether it runs; now `is_running()`."""
        return self.is_running()

    @property
    def process(self) -> Processes:
        """Start programs in it; now `commands`."""
        # Late: threads and futures are for those who start processes in this way.
        from localbox.legacy_process import Processes

        return Processes(self.commands, self.policy.resources.output_bytes)

    @property
    def terminal(self) -> Terminals:
        """Start shells on terminals; now `pty`."""
        from localbox.legacy_terminal import Terminals

        return Terminals(self.pty, self.policy.resources.output_bytes)

    @property
    def filesystem(self) -> LegacyFilesystem:
        """Its files; now `files`."""
        return LegacyFilesystem(self.files)

    def close(self) -> None:
        """End it, if it has not ended yet; now `kill()`."""
        self.kill()

    def keep_alive(self, duration: float) -> None:
        """Let it live for at least `duration` seconds from now (0 to 3600); now `set_timeout`."""
        if not 0 <= duration <= 3600:
            raise InvalidArgumentException(f"duration must be 0 to 3600 s, not {duration}")
        from datetime import UTC, datetime

        remaining = self.get_info().end_at - datetime.now(UTC)
        if remaining.total_seconds() < duration:
            self.set_timeout(int(duration))

    def get_hostname(self, port: int | None = None) -> str:
        """An address whose connections go to `port` of the sandbox; now `get_host`.

        Raises:
            InvalidArgumentException: no port is given, for there is no host name that stands for
                all of them; or see `get_host`.
        """
        if port is None:
            raise InvalidArgumentException(
                "get_hostname: say which port; there is an address for each, and no name for all"
            )
        return self.get_host(port)

    def upload_file(
        self, file: IO[Any], path: str | None = None, timeout: float | None = None
    ) -> str:
        """Copy an open file into the sandbox.

        Args:
            file: open for reading.
            path: where to; by default the file's own name in the home directory, as in E2B 0.17,
                which knew no other place.

        Returns:
            The path in the sandbox.
        """
        if path is None:
            name = getattr(file, "name", None)
            if not isinstance(name, str) or not os.path.basename(name):
                raise InvalidArgumentException("upload_file: the file has no name; give a path")
            path = f"{HOME}/{os.path.basename(name)}"
        return self.files.write(path, file, request_timeout=timeout).path

    def download_file(self, remote_path: str, timeout: float | None = None) -> bytes:
        """The content of a file in the sandbox; now `files.read(path, "bytes")`.

        Raises:
            FileNotFoundException: no such file.
        """
        return bytes(self.files.read(remote_path, "bytes", request_timeout=timeout))

    @dual_method("_list_sandboxes")
    def list(self, path: Any = None, *args: Any, **opts: Any) -> Any:
        """The entries of a directory, each with `name` and `size`; now `files.list`.

        Without a path, and on the class, it is E2B's list of sandboxes.
        """
        if isinstance(path, str | os.PathLike):
            return self.files.list(os.fspath(path), *args, **opts)
        return self._list_sandboxes(path, *args, **opts)

    def exists(self, path: str, timeout: float | None = None) -> bool:
        """Whether there is anything at `path`; now `files.exists`."""
        return self.files.exists(path, request_timeout=timeout)

    def clear(self) -> None:
        """End every process, forget every context, and empty the home directory, /tmp and the like.

        Not in E2B; the founding document has it. What was installed elsewhere in the sandbox stays,
        and so does the time at which it ends: use a new sandbox for another tenant.

        Raises:
            CommandExitException: something cannot be removed; better `kill` it then.
            InvalidArgumentException: it was made from a snapshot or a template.
        """
        if self._record.use is not None:
            raise InvalidArgumentException(
                f"clear: sandbox {self.sandbox_id} was made from a snapshot or a template: its "
                "files would go too; kill it and create another, which costs no more"
            )
        for context in self.list_code_contexts():
            self.remove_code_context(context)
        if self._record.root is not None:
            self._clear_as_root()
        # Not a shell, which would read the ~/.bash_profile that is to go.
        self.commands.run_python(_END_ALL + _EMPTY, args=[*_WRITABLE])

    def _clear_as_root(self) -> None:
        """End what only root may end, and remove what only root may remove."""
        self._end_all()
        emptying = ["python3", "-I", "-S", "-c", _EMPTY, *_WRITABLE, "/root"]
        self.commands.run(shlex.join(emptying), user="root")
        # Root's agent too, with whatever a ~/.bash_profile of root's has started.
        self._end_all()

    def _end_all(self) -> None:
        left_s = (self.get_info().end_at - datetime.now(UTC)).total_seconds()
        # Of ControlMethods, which mypy knows nothing of here.
        sandbox: Any = self
        sandbox.pause(mode="filesystem")
        sandbox.connect(timeout=max(1, round(left_s)))


@dataclass
class FileInfo:
    """An entry of a directory, as E2B 0.17 knew it."""

    is_dir: bool
    name: str


class LegacyFilesystem:
    """`sandbox.filesystem`: what E2B 0.17 could do with files."""

    def __init__(self, files: Filesystem) -> None:
        self._files = files

    def read(self, path: str, timeout: float | None = None) -> str:
        """The content of a file, as text."""
        return self._files.read(path, request_timeout=timeout)

    def read_bytes(self, path: str, timeout: float | None = None) -> bytes:
        """The content of a file."""
        return bytes(self._files.read(path, "bytes", request_timeout=timeout))

    def write(self, path: str, content: str, timeout: float | None = None) -> None:
        """Write text to a file, replacing what it held."""
        self._files.write(path, content, request_timeout=timeout)

    def write_bytes(self, path: str, content: bytes, timeout: float | None = None) -> None:
        """Write bytes to a file, replacing what it held."""
        self._files.write(path, content, request_timeout=timeout)

    def list(self, path: str, timeout: float | None = None) -> builtins.list[FileInfo]:
        """The entries of a directory."""
        entries = self._files.list(path, request_timeout=timeout)
        return [FileInfo(entry.type is FileType.DIR, entry.name) for entry in entries]

    def make_dir(self, path: str, timeout: float | None = None) -> None:
        """Make a directory and its parents."""
        self._files.make_dir(path, request_timeout=timeout)

    def remove(self, path: str, timeout: float | None = None) -> None:
        """Remove a file or a directory."""
        self._files.remove(path, request_timeout=timeout)
