# generated from localbox/_async/sandbox_control.py by scripts/unasync.py; edit that, not this
"""A sandbox's life after its creation: pause and resume, limits, metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from localbox._sync.connection import Connection
from localbox._sync.sandbox_base import SandboxBase
from localbox.engine import creation, registry
from localbox.engine.dual_method import dual_method
from localbox.errors import ServiceBusyException, TimeoutException
from localbox.models import SandboxInfoLifecycle, SnapshotMode
from localbox.protocol.frames import Message

if TYPE_CHECKING:
    import logging
    from datetime import datetime

    from localbox.models_control import SandboxMetrics, SandboxOnResume

# What a healthy agent answers a ping in is a thousandth of this.
_HEALTHY_WITHIN_S = 5.0


class ControlMethods(SandboxBase):
    """What the zygote does to a sandbox while it lives."""

    @dual_method("_pause_by_id")
    def pause(
        self,
        keep_memory: bool | None = None,
        *,
        mode: SnapshotMode | None = None,
        strict: bool = False,
        **opts: Any,
    ) -> bool:
        """Stop everything in it, and its clock; `connect` lets it go on.

        A paused sandbox does not reach its timeout. It lives in this machine's memory, and ends
        with this program. Calls on it raise SandboxNotRunningException; handles of running
        commands wait, and a command's own timeout goes on.

        Also `Sandbox.pause(sandbox_id)`.

        Args:
            keep_memory: older than `mode`: False is "filesystem".
            mode: "full", the default, keeps all its processes, stopped. "filesystem" ends them
                and keeps the files.
            strict: refuse if its agent does not answer.

        Returns:
            False if it was paused already.

        Raises:
            ServiceBusyException: its agent does not answer, or its processes cannot be stopped.
            SandboxNotFoundException: it has ended.
            InvalidArgumentException: no such mode.
        """
        from localbox.engine.lifecycle import resolve_mode

        creation.check_options(opts)
        mode_name = resolve_mode("mode", mode, keep_memory)
        connection = self._connection_for(opts)
        if strict and not connection.is_paused():
            try:
                connection.ask({"op": "ping"}, _HEALTHY_WITHIN_S)
            except TimeoutException as error:
                raise ServiceBusyException(f"cannot pause: {error}") from None
        # Before, so that no call of another thread falls between.
        self._record.may_be_paused = True
        answer = self._control(connection, {"op": "pause", "mode": mode_name})
        return bool(answer["changed"])

    @dual_method("_pause_by_id")
    def beta_pause(
        self,
        keep_memory: bool | None = None,
        *,
        mode: SnapshotMode | None = None,
        **opts: Any,
    ) -> bool:
        """The older name of `pause`."""
        return self.pause(keep_memory, mode=mode, **opts)

    @dual_method("_connect_by_id")
    def connect(
        self,
        timeout: int | None = None,
        *,
        on_resume: SandboxOnResume = "restore",
        **opts: Any,
    ) -> Self:
        """Resume it if it is paused; if it runs, let it live for at least `timeout` seconds.

        Also `Sandbox.connect(sandbox_id)`, which makes an object for a sandbox of this program.

        Args:
            timeout: seconds from now, 300 if not given.
            on_resume: "reboot" ends all processes of a paused sandbox before it goes on.

        Raises:
            SandboxNotFoundException: it has ended.
        """
        from localbox.engine.lifecycle import check_on_resume

        creation.check_options(opts)
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=False)
        request: Message = {
            "op": "resume",
            "timeout_s": timeout_s or creation.DEFAULT_TIMEOUT_S,
            "reboot": check_on_resume(on_resume),
        }
        connection = self._connection_for(opts)
        self._control(connection, request)
        return self

    @dual_method("_set_limits_by_id")
    def set_limits(
        self,
        max_memory: str | int | None = None,
        max_cpu: str | float | None = None,
        timeout: int | None = None,
        **opts: Any,
    ) -> None:
        """Change what it may use, from now on; what is not given stays. Not in E2B.

        Also `Sandbox.set_limits(sandbox_id, ...)`.

        Args:
            max_memory: of all its processes together, and of each: "512MB" (10^6), "512MiB" (2^20)
                or bytes. Each process by RLIMIT_DATA at every moment, all together as the profile's
                `resources.memory`. Everybody can lower it; the kernel lets it be raised above what
                is in force only with CAP_SYS_RESOURCE, as root has it outside of containers.
            max_cpu: processors, such as 1, "1" or 0.5, for all its processes together. As many as
                this machine has, or more, is no limit. The kernel keeps it where a cgroup can be
                made; elsewhere the sandbox is stopped for moments once it has had its share,
                which programs that set out to can get around. See docs/decisions.md.
            timeout: as `set_timeout`'s.

        Raises:
            InvalidArgumentException: no size or number, or a limit that cannot be raised.
            ServiceBusyException: its processes fork faster than they can be limited.
            SandboxNotFoundException: it has ended.
        """
        from localbox.engine.resources import check_memory, parse_cpus

        creation.check_options(opts)
        record = self._record
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=False)
        request: Message = {
            "op": "set_limits",
            "memory_bytes": check_memory(record.policy, max_memory),
            "cpus": None if max_cpu is None else parse_cpus(max_cpu, "max_cpu"),
        }
        connection = self._connection_for(opts)
        self._control(connection, request)
        if timeout_s is not None:
            self._control(connection, {"op": "set_timeout", "timeout_s": timeout_s})

    @dual_method("_get_metrics_by_id")
    def get_metrics(
        self, start: datetime | None = None, end: datetime | None = None, **opts: Any
    ) -> list[SandboxMetrics]:
        """What it has used, in samples five seconds apart, of the last hour at most.

        The last is of this moment. Also `Sandbox.get_metrics(sandbox_id)`.

        Args:
            start: leave out samples before that time; naive ones are local.
            end: leave out samples after that time.

        Raises:
            SandboxNotFoundException: it has ended.
        """
        from localbox.engine.metrics import read_metrics

        creation.check_options(opts)
        connection = self._connection_for(opts)
        answer = self._control(connection, {"op": "metrics"})
        return read_metrics(answer, start, end)

    def _control(self, connection: Connection, request: Message) -> Message:
        answer = connection.ask_zygote(request)
        if not answer["running"]:
            raise self._not_found(self._record.sandbox_id, answer["reason"])
        return answer

    @staticmethod
    def _check_beginning(
        lifecycle: Mapping[str, Any] | None, resources: Mapping[str, Any] | None
    ) -> None:
        from localbox.engine.lifecycle import resolve_lifecycle
        from localbox.engine.resources import cpus_of

        resolve_lifecycle(lifecycle or {})
        cpus_of(resources or {})

    def _begin(
        self, lifecycle: Mapping[str, Any] | None, resources: Mapping[str, Any] | None
    ) -> None:
        """What `create` asks for beyond the policy; if it cannot be had there is no sandbox."""
        from localbox.engine.lifecycle import resolve_lifecycle
        from localbox.engine.resources import cpus_of

        record = self._record
        requests: list[Message] = []
        if lifecycle is not None:
            record.lifecycle = resolved = resolve_lifecycle(lifecycle)
            if resolved.on_timeout == "pause":
                record.may_be_paused = True
                requests.append({"op": "set_lifecycle", "on_timeout": resolved.mode})
        cpus = cpus_of(resources or {})
        if cpus is not None:
            requests.append({"op": "set_limits", "memory_bytes": None, "cpus": cpus})
        try:
            for request in requests:
                self._control(self._connection, request)
        except BaseException:
            self._connection.ask_zygote({"op": "kill"})
            registry.forget(record.sandbox_id)
            raise

    def _lifecycle_info(self) -> SandboxInfoLifecycle:
        lifecycle = self._record.lifecycle
        if lifecycle is None:
            return {"on_timeout": "kill", "auto_resume": False}
        return {"on_timeout": lifecycle.on_timeout, "auto_resume": lifecycle.auto_resume}

    @classmethod
    def _pause_by_id(
        cls,
        sandbox_id: str,
        keep_memory: bool | None = None,
        *,
        mode: SnapshotMode | None = None,
        strict: bool = False,
        **opts: Any,
    ) -> bool:
        return cls._by_id(sandbox_id).pause(keep_memory, mode=mode, strict=strict, **opts)

    @classmethod
    def _set_limits_by_id(
        cls,
        sandbox_id: str,
        max_memory: str | int | None = None,
        max_cpu: str | float | None = None,
        timeout: int | None = None,
        **opts: Any,
    ) -> None:
        cls._by_id(sandbox_id).set_limits(max_memory, max_cpu, timeout, **opts)

    @classmethod
    def _get_metrics_by_id(
        cls,
        sandbox_id: str,
        start: datetime | None = None,
        end: datetime | None = None,
        **opts: Any,
    ) -> list[SandboxMetrics]:
        return cls._by_id(sandbox_id).get_metrics(start, end, **opts)

    @classmethod
    def _connect_by_id(
        cls,
        sandbox_id: str,
        timeout: int | None = None,
        logger: logging.Logger | None = None,
        *,
        on_resume: SandboxOnResume = "restore",
        **opts: Any,
    ) -> Self:
        sandbox = cls._by_id(sandbox_id)
        return sandbox.connect(timeout, on_resume=on_resume, **opts)
