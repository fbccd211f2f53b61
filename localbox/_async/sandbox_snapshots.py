"""Snapshots of a sandbox's files, and forks of a sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from localbox._async.connection import AsyncConnection
from localbox._async.sandbox_birth import BirthMethods
from localbox._async.snapshot_paginator import AsyncSnapshotPaginator
from localbox.engine import creation, registry
from localbox.engine.dual_method import dual_method
from localbox.errors import SandboxException
from localbox.models import SnapshotMode
from localbox.protocol.frames import Message
from localbox.transport import asyncio as transport

if TYPE_CHECKING:
    import logging

    from localbox.engine.layer_store import Draft, Use
    from localbox.models_control import SnapshotInfo


class SnapshotMethods(BirthMethods):
    """What becomes of a sandbox's files beyond the sandbox itself."""

    @dual_method("_create_snapshot_by_id")
    async def create_snapshot(
        self,
        name: str | None = None,
        *,
        mode: SnapshotMode | None = None,
        **opts: Any,
    ) -> SnapshotInfo:
        """Keep its files: `create(snapshot_id)`, in this or a later program, starts with them.

        It stands still while they are copied, and goes on. Kept is what it can write: the home
        directory, /tmp, /var/tmp and the Python environment, without /dev/shm and /root. All files
        belong to the user then. Running programs, contexts, `envs` and `metadata` are not kept; the
        policy is, so that `create` needs a `profile` only to have another.

        Also `Sandbox.create_snapshot(sandbox_id)`.

        Args:
            name: "name" or "name:tag", by which it can be asked for too; a snapshot that had it
                before keeps its id.
            mode: "filesystem", also if not given, where E2B's is "full"; that is not here yet.

        Raises:
            NotEnoughSpaceException: the data directory has no space for it; nothing is left.
            ServiceBusyException: its processes cannot be stopped.
            InvalidArgumentException: no such mode, or it cannot be a name; also where
                directories are more than 400 levels deep.
            SandboxNotFoundException: it has ended.
        """
        from localbox.engine import layers, snapshots

        creation.check_options(opts)
        snapshots.check_mode(mode)
        full_name = snapshots.check_name(name)
        use = await self._capture_use("snapshot", opts.get("request_timeout"))
        try:
            if full_name is not None:
                await transport.run(layers.set_name, full_name, use.stack.layer_id)
            return await transport.run(snapshots.info, use.stack)
        finally:
            use.close()

    @dual_method("_list_snapshots_of")
    def list_snapshots(
        self,
        limit: int | None = None,
        next_token: str | None = None,
        name: str | None = None,
        **opts: Any,
    ) -> AsyncSnapshotPaginator:
        """The snapshots of this sandbox, the newest first; `Sandbox.list_snapshots()`: all.

        Args:
            limit: how many on a page, 100 if not given.
            next_token: where to begin, as a paginator's `next_token`.
            name: only those with this name or id; with a tag only the one that has it.
        """
        return AsyncSnapshotPaginator(
            self.sandbox_id, limit, next_token, name, **self._with_bound(opts)
        )

    @classmethod
    async def delete_snapshot(cls, snapshot_id: str, **opts: Any) -> bool:
        """Delete a snapshot, by its id or name. Sandboxes made from it keep its files.

        Returns:
            False if there is none.
        """
        from localbox.engine import layer_store, layers

        creation.check_options(opts)
        stack = await transport.run(layers.find, snapshot_id)
        if stack is None or stack.kind != "snapshot":
            return False
        return await transport.run(layer_store.retire, stack.layer_id)

    @dual_method("_fork_by_id")
    async def fork(
        self,
        timeout: int | None = None,
        count: int | None = None,
        *,
        mode: SnapshotMode | None = None,
        **opts: Any,
    ) -> list[Self | Exception]:
        """Make sandboxes that start with the files of this one, as `create_snapshot` keeps them.

        They have its policy, variables, metadata and volumes; its running programs and contexts
        stay behind. Its files are copied once for all of them, and what it has from a snapshot
        or a fork not at all.

        Also `Sandbox.fork(sandbox_id)`.

        Args:
            timeout: seconds until each is killed, 15 if not given.
            count: how many, from 1, if not given, to 20.
            mode: not in E2B: as for `create_snapshot`.

        Returns:
            For each a sandbox, or the exception that making it ended with.

        Raises:
            Exception: as `create_snapshot`, if the files could not be copied.
        """
        from localbox.engine import snapshots

        creation.check_options(opts)
        snapshots.check_mode(mode)
        wanted = snapshots.check_count(count)
        creation.check_timeout(timeout, "timeout", zero_is_none=False)
        use = await self._capture_use("fork", opts.get("request_timeout"))
        try:
            return [await self._born_on(use, timeout, opts) for _ in range(wanted)]
        finally:
            use.close()

    async def _born_on(
        self, use: Use, timeout: int | None, opts: dict[str, Any]
    ) -> Self | Exception:
        from localbox.engine.snapshots import FORK_TIMEOUT_S

        source = self._record
        try:
            record = await self._launch(
                source.template,
                timeout or FORK_TIMEOUT_S,
                source.metadata,
                source.envs,
                source.policy,
                None,
                opts,
                {mount.guest_path: mount.name for mount in source.volumes},
                use.stack,
            )
        except Exception as error:  # noqa: BLE001 (one fork's, and for the caller to look at)
            return error
        record.network, record.cwd = source.network, source.cwd
        record.cwd = source.cwd
        return self._of(record, opts.get("request_timeout"))

    async def _capture_use(self, kind: str, request_timeout: float | None = None) -> Use:
        """Copy what it has written to a new layer over those it stands on, and use them.

        Args:
            kind: "fork" goes with its last use; what is of another kind is there to stay.
        """
        from localbox.engine import layer_store, layers, snapshots

        registry.sweep()
        record = self._record
        below = record.use.stack.layers if record.use is not None else ()
        _zygote, _digest, plan = await transport.run(
            creation.prepare, record.policy, record.volume_paths(), below
        )
        connection = AsyncConnection(record, request_timeout)
        request = snapshots.capture_request(plan)
        is_full = len(below) >= layers.MOST_LAYERS
        draft = await transport.run(layer_store.Draft)
        try:
            answer = await self._on_draft(connection, request, draft)
            if kind != "fork" and not is_full:
                await self._on_draft(connection, {"op": "sync"}, draft)
            parents = tuple(layer.layer_id for layer in below)
            own_kind = "fork" if is_full else kind
            description = snapshots.describe(own_kind, record, answer["parts"], parents)
            use = draft.commit(description)
        except BaseException:
            await transport.run(draft.abandon)
            raise
        if not is_full:
            return use
        try:
            return await self._merge(connection, kind, use)
        finally:
            use.close()

    async def _merge(self, connection: AsyncConnection, kind: str, use: Use) -> Use:
        """One layer that holds all that a stack does, so that no stack becomes too high."""
        from localbox.engine import layer_store, snapshots

        draft = await transport.run(layer_store.Draft)
        request: Message = {
            "op": "merge_layers",
            "target": draft.layer_id,
            "layers": [
                (
                    layer.layer_id,
                    [(part.guest_path, part.directory, part.mode) for part in layer.parts],
                )
                for layer in use.stack.layers
            ],
        }
        try:
            answer = await self._on_draft(connection, request, draft)
            if kind != "fork":
                await self._on_draft(connection, {"op": "sync"}, draft)
            return draft.commit(snapshots.describe(kind, self._record, answer["parts"], ()))
        except BaseException:
            await transport.run(draft.abandon)
            raise

    async def _on_draft(
        self, connection: AsyncConnection, request: Message, draft: Draft
    ) -> Message:
        fd = draft.parent_fd if request["op"] == "merge_layers" else draft.fd
        answer = await connection.ask_zygote(request, fds=(fd,))
        if answer.get("running") is False:
            info = await connection.ask_zygote({"op": "info"})
            if info["running"]:
                raise SandboxException(
                    f"the files of sandbox {self.sandbox_id} were not copied: the process that did "
                    "it was killed; is there enough memory?"
                )
            raise self._not_found(self.sandbox_id, info["reason"])
        return answer

    @classmethod
    async def _create_snapshot_by_id(
        cls,
        sandbox_id: str,
        name: str | None = None,
        *,
        mode: SnapshotMode | None = None,
        **opts: Any,
    ) -> SnapshotInfo:
        return await cls._by_id(sandbox_id).create_snapshot(name, mode=mode, **opts)

    @classmethod
    def _list_snapshots_of(
        cls,
        sandbox_id: str | None = None,
        limit: int | None = None,
        next_token: str | None = None,
        name: str | None = None,
        **opts: Any,
    ) -> AsyncSnapshotPaginator:
        return AsyncSnapshotPaginator(sandbox_id, limit, next_token, name, **cls._with_bound(opts))

    @classmethod
    async def _fork_by_id(
        cls,
        sandbox_id: str,
        timeout: int | None = None,
        count: int | None = None,
        logger: logging.Logger | None = None,
        *,
        mode: SnapshotMode | None = None,
        **opts: Any,
    ) -> list[Self | Exception]:
        return await cls._by_id(sandbox_id).fork(timeout, count, mode=mode, **opts)
