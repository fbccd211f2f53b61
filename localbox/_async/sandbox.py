"""`AsyncSandbox`: a sandbox from its creation to its end."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from localbox._async.commands import Commands
from localbox._async.connection import AsyncConnection
from localbox._async.filesystem import Filesystem
from localbox._async.sandbox_birth import BirthMethods, Profile
from localbox._async.sandbox_cells import CellMethods
from localbox._async.sandbox_cloud import CloudMethods
from localbox._async.sandbox_control import ControlMethods
from localbox._async.sandbox_listing import ListingMethods
from localbox._async.sandbox_network import NetworkMethods
from localbox._async.sandbox_snapshots import SnapshotMethods
from localbox._async.sandbox_terminals import TerminalMethods
from localbox._version import __version__
from localbox.engine import creation, registry
from localbox.engine.dual_method import dual_method
from localbox.errors import SandboxNotRunningException

# unasync: async
# unasync: sync
# from localbox.legacy import LegacyMethods
# unasync: end
from localbox.models import (
    Isolation,
    SandboxInfo,
    SandboxLifecycle,
    SandboxNetworkInfo,
    SandboxState,
)
from localbox.policy import Policy

if TYPE_CHECKING:
    import logging

    from localbox._async.volume import AsyncVolume
    from localbox.models_network import McpServer, SandboxIamOpts, SandboxNetworkOpts


# unasync: async
class AsyncSandbox(
    CellMethods,
    TerminalMethods,
    NetworkMethods,
    ControlMethods,
    CloudMethods,
    ListingMethods,
    SnapshotMethods,
    BirthMethods,
):
    # unasync: sync
    # class AsyncSandbox(
    #     CellMethods,
    #     TerminalMethods,
    #     NetworkMethods,
    #     ControlMethods,
    #     CloudMethods,
    #     ListingMethods,
    #     SnapshotMethods,
    #     BirthMethods,
    #     LegacyMethods,
    # ):
    # unasync: end
    """A sandbox on this machine, with the interface of E2B's.

    Make one with `create`; it ends at its timeout, when it is killed, when the `with` block ends,
    or when this program does, whichever comes first.
    """

    default_sandbox_timeout = creation.DEFAULT_TIMEOUT_S
    default_template = creation.DEFAULT_TEMPLATE

    # unasync: async
    def __init__(
        self,
        record: registry.SandboxRecord | None = None,
        request_timeout: float | None = None,
    ) -> None:
        """Not for callers: a constructor cannot wait. Use `await AsyncSandbox.create()`."""
        if not isinstance(record, registry.SandboxRecord):
            raise TypeError("use `await AsyncSandbox.create(...)` to make a sandbox")
        self._set_up(record, request_timeout)

    # unasync: sync
    # def __init__(
    #     self,
    #     template: str | None = None,
    #     timeout: int | None = None,
    #     metadata: dict[str, str] | None = None,
    #     envs: dict[str, str] | None = None,
    #     *,
    #     profile: Profile | None = None,
    #     _record: registry.SandboxRecord | None = None,
    #     **opts: Any,
    # ) -> None:
    #     """Make a sandbox: `Sandbox(...)` is `Sandbox.create(...)`, with all it takes."""
    #     if _record is None:
    #         if self._bound_params:
    #             opts = self._with_bound(opts)
    #         # Of no subclass, whose constructor may take other arguments.
    #         made = AsyncSandbox.create(
    #             template, timeout, metadata, envs, profile=profile, **opts
    #         )
    #         _record = made._record
    #     self._set_up(_record, opts.get("request_timeout"))
    # unasync: end

    def _set_up(self, record: registry.SandboxRecord, request_timeout: float | None) -> None:
        self._record = record
        self._connection = AsyncConnection(record, request_timeout)
        self._commands = Commands(self._connection)
        self._files = Filesystem(self._connection)

    @classmethod
    async def create(
        cls,
        template: str | None = None,
        timeout: int | None = None,
        metadata: dict[str, str] | None = None,
        envs: dict[str, str] | None = None,
        secure: bool | None = None,
        allow_internet_access: bool | None = None,
        mcp: McpServer | None = None,
        network: SandboxNetworkOpts | None = None,
        iam: SandboxIamOpts | None = None,
        lifecycle: SandboxLifecycle | None = None,
        volume_mounts: dict[str, AsyncVolume | str] | None = None,
        logger: logging.Logger | None = None,
        idempotency_key: str | None = None,
        *,
        profile: Profile | None = None,
        resources: Mapping[str, Any] | None = None,
        **opts: Any,
    ) -> Self:
        """Make a sandbox; it runs when this returns.

        Args:
            template: "base", which is this machine's system and Python environment, read-only.
                "code-interpreter-v1" is the same with numpy, pandas and pyplot imported ahead, if
                they are installed: profile "data-analysis", where no other is given. Else a
                template that was built, by its name, "name:tag" or id, or a snapshot.
            timeout: seconds until the sandbox is killed, 300 if not given; see `set_timeout`.
            metadata: your own notes, given back by `get_info`.
            envs: environment variables of every command.
            secure, logger, idempotency_key: accepted as E2B does; nothing is ever sent twice.
            allow_internet_access: True needs a profile that shares the host's network.
            lifecycle: `{"on_timeout": "pause"}` pauses it at its timeout instead; with
                `"auto_resume": True` the next call on it then resumes it, for as long as it was
                given the last time.
            network: accepted if it is what the profile gives: to deny "0.0.0.0/0" where there is
                no network. There are no rules, proxies and masks; an error says what there is.
            mcp, iam: not available here; an error says what is.
            volume_mounts: paths in the sandbox, and the volume (or the name of one) that is to be
                there, writable; see `AsyncVolume`.
            profile: not in E2B: a shipped profile's name, the path of a YAML file, or a Policy.
            resources: not in E2B: limits in place of the profile's, with the keys of its
                `resources` section, and "cpus", such as `{"memory": "512MiB", "cpus": 1}`; see
                `set_limits`.
            opts: E2B's connection options; `request_timeout` in seconds counts, the rest is
                accepted.

        Raises:
            WallError: a wall the profile requires cannot be built here; nothing has run.
            PolicyError: the profile is not valid.
            NotFoundException: no such template, or no such volume.
            InvalidArgumentException: an argument cannot be.
        """
        if lifecycle is not None or resources is not None:
            cls._check_beginning(lifecycle, resources)
        network_info: SandboxNetworkInfo | None = None
        if not (mcp is None and network is None and iam is None and idempotency_key is None):
            network_info = cls._check_cloud(mcp, network, iam, idempotency_key, profile, template)
        if cls._bound_params:
            opts = cls._with_bound(opts)
        record = await cls._launch(
            template,
            timeout,
            metadata,
            envs,
            profile,
            allow_internet_access,
            opts,
            volume_mounts,
            resources=resources,
        )
        record.network = network_info
        sandbox = cls._of(record, opts.get("request_timeout"))
        if lifecycle is not None or resources is not None:
            await sandbox._begin(lifecycle, resources)
        return sandbox

    @property
    def commands(self) -> Commands:
        """Run programs in it."""
        return self._commands

    @property
    def files(self) -> Filesystem:
        """Read and write its files."""
        return self._files

    @property
    def isolation(self) -> Isolation:
        """The walls around it, as they were built. Not in E2B."""
        return self._record.isolation

    @property
    def policy(self) -> Policy:
        """The policy it was made with. Not in E2B."""
        return self._record.policy

    async def is_running(self, request_timeout: float | None = None) -> bool:
        """Whether its agent answers; asking does not resume a paused one.

        Raises:
            TimeoutException: it neither answers nor is it gone.
        """
        if self._record.may_be_paused and await self._connection.is_paused():
            return False
        try:
            await self._connection.ask({"op": "ping"}, request_timeout)
        except SandboxNotRunningException:
            return False
        return True

    @dual_method("_kill_by_id")
    async def kill(self, **opts: Any) -> bool:
        """End it and everything in it; nothing of it is left when this returns.

        Also `Sandbox.kill(sandbox_id)`.

        Returns:
            False if it had ended already.
        """
        creation.check_options(opts)
        return await self._kill(self._record, self._connection_for(opts).request_timeout)

    @dual_method("_set_timeout_by_id")
    async def set_timeout(self, timeout: int, **opts: Any) -> None:
        """Let it end `timeout` seconds from now, sooner or later than it would have.

        Also `Sandbox.set_timeout(sandbox_id, timeout)`.

        Raises:
            SandboxNotFoundException: it has ended.
            SandboxNotRunningException: it is paused.
        """
        creation.check_options(opts)
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=False)
        connection = self._connection_for(opts)
        answer = await connection.ask_zygote({"op": "set_timeout", "timeout_s": timeout_s})
        if not answer["running"]:
            raise self._not_found(self._record.sandbox_id, answer["reason"])
        if answer["paused"]:
            raise await connection.why_gone()

    @dual_method("_get_info_by_id")
    async def get_info(self, **opts: Any) -> SandboxInfo:
        """What it is, since when and until when.

        Also `Sandbox.get_info(sandbox_id)`.

        Raises:
            SandboxNotFoundException: it has ended.
        """
        creation.check_options(opts)
        record = self._record
        connection = self._connection_for(opts)
        answer = await connection.ask_zygote({"op": "info"})
        if not answer["running"]:
            raise self._not_found(record.sandbox_id, answer["reason"])
        started_at = datetime.fromtimestamp(answer["started_at"], UTC)
        return SandboxInfo(
            sandbox_id=record.sandbox_id,
            sandbox_domain=None,
            template_id=record.template,
            name=record.template,
            metadata=dict(record.metadata),
            started_at=started_at,
            end_at=datetime.now(UTC) + timedelta(seconds=answer["remaining_s"]),
            state=SandboxState.PAUSED if answer["paused"] else SandboxState.RUNNING,
            cpu_count=math.ceil(answer["cpus"] or len(os.sched_getaffinity(0))),
            memory_mb=answer["memory_bytes"] >> 20,
            envd_version=__version__,
            allow_internet_access=record.policy.network.mode == "host",
            network=record.network,
            lifecycle=self._lifecycle_info(),
            volume_mounts=[
                {"name": mount.name, "path": mount.guest_path} for mount in record.volumes
            ],
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
        await self.kill()

    @classmethod
    async def _kill(cls, record: registry.SandboxRecord, request_timeout: float | None) -> bool:
        connection = AsyncConnection(record, request_timeout)
        answer = await connection.ask_zygote({"op": "kill"})
        registry.forget(record.sandbox_id)
        return bool(answer["killed"])

    @classmethod
    async def _kill_by_id(cls, sandbox_id: str, **opts: Any) -> bool:
        creation.check_options(opts)
        record = registry.find(sandbox_id)
        opts = cls._with_bound(opts)
        return record is not None and await cls._kill(record, opts.get("request_timeout"))

    @classmethod
    async def _set_timeout_by_id(cls, sandbox_id: str, timeout: int, **opts: Any) -> None:
        await cls._by_id(sandbox_id).set_timeout(timeout, **opts)

    @classmethod
    async def _get_info_by_id(cls, sandbox_id: str, **opts: Any) -> SandboxInfo:
        return await cls._by_id(sandbox_id).get_info(**opts)
