"""One build from the outside: its place in the registry, its log, its thread, its end."""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime

from localbox.errors import BuildException, SandboxException
from localbox.policy import Policy
from localbox.templates import registry
from localbox.templates.base import TemplateBase
from localbox.templates.build import Builder, OnLog
from localbox.templates.logs import LogEntry, LogEntryEnd, LogEntryStart
from localbox.templates.model import BuildInfo

MOST_LOG_BYTES = 16 << 20


class Job:
    def __init__(
        self,
        template: TemplateBase,
        name: str,
        tags: list[str] | None,
        memory_mb: int | None,
        disk_mb: int | None,
        profile: str | os.PathLike[str] | Policy | None,
    ) -> None:
        """
        Raises:
            InvalidArgumentException: it cannot be a name or a tag.
            PolicyError: the profile is not valid.
        """
        self._base_name, tag = registry.split_name(name)
        _refuse_built_in(self._base_name)
        tags = registry.check_tags([*([tag] if tag else []), *(tags or [])])
        tags = tags or [registry.DEFAULT_TAG]
        build = registry.begin(self._base_name)
        self._build = dataclasses.replace(build, memory_mb=memory_mb, disk_mb=disk_mb)
        self._log_fd = _open_log(build.build_id)
        self._room = MOST_LOG_BYTES
        self._on_logs: Callable[[LogEntry], None] | None = None
        self.info = BuildInfo(build.template_id, build.build_id, name, name, tags)
        try:
            self._builder = Builder(template, self._base_name, self._build, self._log, profile)
        except BaseException as error:
            self._fail(error)
            self._close()
            raise

    def run(self, on_logs: OnLog | None) -> BuildInfo:
        """Build, and return when it is done.

        Raises:
            BuildException: it has failed.
        """
        self._on_logs = on_logs
        try:
            self._show(LogEntryStart(_now(), "Build started"))
            self._log(LogEntry(_now(), "info", f"Building template {self.info.name}"))
            registry.store(self._base_name, dataclasses.replace(self._build, status="building"))
            built = self._builder.run()
            registry.store(self._base_name, built, self.info.tags)
            named = ", ".join(f"{self._base_name}:{tag}" for tag in self.info.tags)
            self._log(LogEntry(_now(), "info", f"Built {named}"))
        except BaseException as error:
            self._fail(error)
            raise
        finally:
            self._close()
            self._show(LogEntryEnd(_now(), "Build finished"))
        return self.info

    def start(self, on_logs: OnLog | None) -> BuildInfo:
        """Build in a thread that the program waits for at its end."""

        def run() -> None:
            try:
                self.run(on_logs)
            except (BuildException, SandboxException):
                # Written down; whoever asks for the status is told.
                pass

        threading.Thread(target=run, name=f"localbox-build-{self._base_name}").start()
        return self.info

    def cancel(self) -> None:
        self._builder.cancel()

    def _log(self, entry: LogEntry) -> None:
        # Whatever a step prints, it does not fill the host's disk.
        if self._room >= 0:
            self._room -= self._write(entry)
            if self._room < 0:
                self._write(LogEntry(_now(), "warn", "the log is full; the rest is not kept"))
        self._show(entry)

    def _write(self, entry: LogEntry) -> int:
        line = {"at": entry.timestamp.timestamp(), "level": entry.level, "message": entry.message}
        return os.write(self._log_fd, json.dumps(line).encode() + b"\n")

    def _show(self, entry: LogEntry) -> None:
        if self._on_logs is not None:
            self._on_logs(entry)

    def _fail(self, error: BaseException) -> None:
        message = str(error) or type(error).__name__
        step = self._builder.step if hasattr(self, "_builder") else "base"
        self._write(LogEntry(_now(), "error", message))
        failed = dataclasses.replace(self._build, status="error", reason=message, step=step)
        try:
            registry.store(self._base_name, failed)
        except SandboxException:
            # Deleted meanwhile; what went wrong first is what counts.
            pass

    def _close(self) -> None:
        if self._log_fd >= 0:
            os.close(self._log_fd)
            self._log_fd = -1


def _refuse_built_in(name: str) -> None:
    from localbox.engine.creation import is_stored
    from localbox.errors import InvalidArgumentException

    if not is_stored(name):
        raise InvalidArgumentException(f"{name!r} is a built-in template; choose another name")


def _open_log(build_id: str) -> int:
    """The log, locked: that is how others see that somebody is at work."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    fd = os.open(registry.log_path(build_id), flags, 0o600)
    fcntl.flock(fd, fcntl.LOCK_EX)
    return fd


def _now() -> datetime:
    return datetime.now(UTC).astimezone()
