"""How a sandbox comes to be: from a spare if one is ready, or else made by the zygote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from localbox._async.connection import REQUEST_TIMEOUT_S, AsyncConnection
from localbox._async.sandbox_base import SandboxBase
from localbox.engine import creation, pool, registry
from localbox.engine.answers import read_answer
from localbox.errors import SandboxException, TimeoutException
from localbox.models import Isolation
from localbox.policy import Policy
from localbox.protocol.frames import Frame, Message
from localbox.transport import asyncio as transport
from localbox.transport.wire import PeerGoneError, rendezvous_pair

if TYPE_CHECKING:
    from localbox.engine.layers import Stack
    from localbox.templates.registry import Build

Profile = str | os.PathLike[str] | Policy


class BirthMethods(SandboxBase):
    """The steps of `create`."""

    @classmethod
    async def _launch(
        cls,
        template: str | None,
        timeout: int | None,
        metadata: Mapping[str, str] | None,
        envs: Mapping[str, str] | None,
        profile: Profile | None,
        allow_internet_access: bool | None,
        opts: Mapping[str, Any],
        volume_mounts: Mapping[str, Any] | None = None,
        stack: Stack | None = None,
        resources: Mapping[str, Any] | None = None,
    ) -> registry.SandboxRecord:
        creation.check_options(opts)
        built: Build | None = None
        if stack is None and creation.is_stored(template):
            stack, built = await transport.run(creation.find_stack, str(template))
        if template is None or (stack is None and built is None):
            template = creation.check_template(template)
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=False)
        timeout_s = timeout_s or creation.DEFAULT_TIMEOUT_S
        environment = creation.check_strings(envs, "envs")
        notes = creation.check_strings(metadata, "metadata")
        if built is not None:
            environment = {**built.envs, **environment}
        if stack is not None and stack.kind != "template" and profile is None:
            policy = stack.policy()
        elif built is not None:
            policy = creation.policy_of(built, profile)
        else:
            policy = creation.resolve_policy(profile, template)
        if resources is not None:
            policy = creation.limited(policy, resources)
        creation.check_network(policy, allow_internet_access)
        volumes = await transport.run(creation.find_volumes, volume_mounts) if volume_mounts else ()
        # Quick but for the first time, when a zygote has to be started.
        zygote, digest, plan = await transport.run(
            creation.prepare,
            policy,
            tuple(mount.guest_path for mount in volumes),
            stack.layers if stack is not None else (),
        )
        record = registry.SandboxRecord(
            sandbox_id="",
            zygote=zygote,
            rendezvous=registry.NOBODY,
            policy=policy,
            isolation=Isolation(()),
            template=template,
            metadata=notes,
            envs=environment,
            volumes=volumes,
        )
        connection = AsyncConnection(record, opts.get("request_timeout"))
        deadline = connection.request_deadline(opts.get("request_timeout"))
        # A spare is there before anybody says which volumes it is to have, and would be on layers
        # that nobody uses.
        pooled = pool.is_enabled() and not volumes and stack is None
        if stack is not None:
            await transport.run(registry.begin_use, record, stack, digest)
        try:
            spare = zygote.pool.take(digest) if pooled else None
            ready: Frame | None = None
            if spare is not None:
                ready = await cls._take_over(record, spare, connection, timeout_s)
            if ready is None:
                if digest not in zygote.known_plans:
                    plan_request = {"op": "plan", "digest": digest, "plan": plan}
                    exchange = await transport.open_exchange(
                        zygote.rendezvous, plan_request, (), deadline
                    )
                    async with exchange:
                        read_answer(await exchange.receive(deadline))
                    zygote.known_plans.add(digest)
                ready = await cls._make(record, digest, timeout_s, deadline)
            isolation = creation.read_isolation(ready)
            if environment:
                # Not with the request: what the zygote has once read, every later sandbox holds.
                await connection.ask({"op": "set_env", "env": environment})
            record.isolation = isolation
        except PeerGoneError:
            raise SandboxException(
                "the zygote ended while it made the sandbox; try again, and see "
                '"localbox doctor" if it happens again'
            ) from None
        except TimeoutError:
            raise TimeoutException(
                f"the sandbox was not ready within {REQUEST_TIMEOUT_S:.0f} s"
            ) from None
        finally:
            if not record.isolation.walls:
                # The agent ends when nobody can ask it any more.
                record.rendezvous = registry.NOBODY
                if record.use is not None:
                    registry.end_use(record)
        registry.add(record)
        if pooled:
            zygote.pool.refill(zygote, digest)
        if built is not None:
            record.cwd = built.workdir
            await cls._start_template(record, built, opts)
        return record

    @classmethod
    async def _start_template(
        cls, record: registry.SandboxRecord, built: Build, opts: Mapping[str, Any]
    ) -> None:
        """What the template starts in each of its sandboxes; without it there is no sandbox."""
        if built.start_cmd is None and built.ready_cmd is None:
            return
        from localbox._async.template_start import start

        sandbox: Any = cls._of(record, opts.get("request_timeout"))
        try:
            await start(sandbox, built, {})
        except BaseException:
            await sandbox.kill()
            raise

    @classmethod
    async def _make(
        cls,
        record: registry.SandboxRecord,
        digest: str,
        timeout_s: float,
        deadline: float | None,
    ) -> Frame:
        """Have the zygote make a sandbox; returns what that says of its walls."""
        record.sandbox_id = registry.new_sandbox_id()
        record.rendezvous, theirs = rendezvous_pair()
        request: Message = {
            "op": "create",
            "id": record.sandbox_id,
            "digest": digest,
            "timeout_s": timeout_s,
        }
        if record.volumes:
            request["volumes"] = [mount.host_path for mount in record.volumes]
        try:
            exchange = await transport.open_exchange(
                record.zygote.rendezvous, request, (theirs.fileno(),), deadline
            )
        finally:
            theirs.close()
        async with exchange:
            return await exchange.receive(deadline)

    @classmethod
    async def _take_over(
        cls,
        record: registry.SandboxRecord,
        spare: pool.Spare,
        connection: AsyncConnection,
        timeout_s: float,
    ) -> Frame | None:
        """Make a spare the caller's; returns what it said of its walls, None if it has ended."""
        record.sandbox_id, record.rendezvous = spare.sandbox_id, spare.rendezvous
        request: Message = {"op": "hand_out", "timeout_s": timeout_s}
        fds: tuple[int, ...] = ()
        if spare.kernel is not None and spare.kernel.pidfd is not None:
            request["pid"] = spare.kernel.pid
            fds = (spare.kernel.pidfd.fileno(),)
        answer = await connection.ask_zygote(request, fds=fds)
        if not answer["running"]:
            return None
        if spare.kernel is not None:
            if record.envs:
                variables = {"set_env": dict(record.envs)}
                # Read before any cell; there is no answer.
                (await transport.open_exchange(spare.kernel.rendezvous, variables)).close()
            registry.contexts_of(record).default("python").kernel = spare.kernel
        return spare.ready
