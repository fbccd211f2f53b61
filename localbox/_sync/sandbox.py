# generated from localbox/_async/sandbox.py by scripts/unasync.py; edit that, not this
"""`Sandbox`: a sandbox from its creation to its end."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from localbox._sync.commands import Commands
from localbox._sync.connection import REQUEST_TIMEOUT_S, Connection
from localbox._sync.filesystem import Filesystem
from localbox._version import __version__
from localbox.engine import creation, pool, registry
from localbox.engine.answers import read_answer
from localbox.engine.dual_method import dual_method
from localbox.errors import (
    InvalidArgumentException,
    SandboxException,
    SandboxNotFoundException,
    SandboxNotRunningException,
    TimeoutException,
)
from localbox.legacy import LegacyMethods
from localbox.models import Isolation, SandboxInfo, SandboxLifecycle, SandboxState
from localbox.policy import Policy
from localbox.protocol.frames import Frame, Message
from localbox.transport import blocking as transport
from localbox.transport.wire import PeerGoneError, rendezvous_pair

if TYPE_CHECKING:
    import logging

    from localbox._sync.interpreter import Interpreter
    from localbox.execution import Context, Execution, ExecutionError, OutputMessage, Result
    from localbox.models import OutputHandler

DEFAULT_CWD = "/home/user"
DEFAULT_CELL_TIMEOUT_S = 300.0

Profile = str | os.PathLike[str] | Policy


class Sandbox(LegacyMethods):
    """A sandbox on this machine, with the interface of E2B's.

    Make one with `create`; it ends at its timeout, when it is killed, when the `with` block ends,
    or when this program does, whichever comes first.
    """

    default_sandbox_timeout = creation.DEFAULT_TIMEOUT_S
    default_template = creation.DEFAULT_TEMPLATE

    def __init__(
        self,
        template: str | None = None,
        timeout: int | None = None,
        metadata: dict[str, str] | None = None,
        envs: dict[str, str] | None = None,
        *,
        profile: Profile | None = None,
        _record: registry.SandboxRecord | None = None,
        **opts: Any,
    ) -> None:
        """Make a sandbox: `Sandbox(...)` is `Sandbox.create(...)`."""
        request_timeout = opts.get("request_timeout")
        if _record is None:
            _record = self._launch(template, timeout, metadata, envs, profile, None, opts)
        self._set_up(_record, request_timeout)

    def _set_up(self, record: registry.SandboxRecord, request_timeout: float | None) -> None:
        self._record = record
        self._connection = Connection(record, request_timeout)
        self._commands = Commands(self._connection)
        self._files = Filesystem(self._connection)

    @classmethod
    def create(
        cls,
        template: str | None = None,
        timeout: int | None = None,
        metadata: dict[str, str] | None = None,
        envs: dict[str, str] | None = None,
        secure: bool | None = None,
        allow_internet_access: bool | None = None,
        mcp: Any = None,
        network: Any = None,
        iam: Any = None,
        lifecycle: SandboxLifecycle | None = None,
        volume_mounts: Any = None,
        logger: logging.Logger | None = None,
        idempotency_key: str | None = None,
        *,
        profile: Profile | None = None,
        **opts: Any,
    ) -> Self:
        """Make a sandbox; it runs when this returns.

        Args:
            template: "base", which is this machine's system and Python environment, read-only.
                "code-interpreter-v1" is the same with numpy, pandas and pyplot imported ahead, if
                they are installed: profile "data-analysis", where no other is given.
            timeout: seconds until the sandbox is killed, 300 if not given; see `set_timeout`.
            metadata: your own notes, given back by `get_info`.
            envs: environment variables of every command.
            secure, logger, idempotency_key: accepted as E2B does.
            allow_internet_access: True needs a profile that shares the host's network.
            mcp, network, iam, lifecycle, volume_mounts: not available here; an error says what is.
            profile: not in E2B: a shipped profile's name, the path of a YAML file, or a Policy.
            opts: E2B's connection options; `request_timeout` in seconds counts, the rest is
                accepted.

        Raises:
            WallError: a wall the profile requires cannot be built here; nothing has run.
            PolicyError: the profile is not valid.
            NotFoundException: no such template.
            InvalidArgumentException: an argument cannot be.
        """
        creation.check_unavailable(
            {
                "mcp": mcp,
                "network": network,
                "iam": iam,
                "lifecycle": lifecycle,
                "volume_mounts": volume_mounts,
            }
        )
        record = cls._launch(
            template, timeout, metadata, envs, profile, allow_internet_access, opts
        )
        return cls(_record=record, request_timeout=opts.get("request_timeout"))

    @property
    def sandbox_id(self) -> str:
        """Its id: 20 characters without a dash."""
        return self._record.sandbox_id

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

    # Cells

    def run_code(
        self,
        code: str,
        language: str | None = None,
        context: Context | None = None,
        on_stdout: OutputHandler[OutputMessage] | None = None,
        on_stderr: OutputHandler[OutputMessage] | None = None,
        on_result: OutputHandler[Result] | None = None,
        on_error: OutputHandler[ExecutionError] | None = None,
        envs: dict[str, str] | None = None,
        timeout: float | None = None,
        request_timeout: float | None = None,
    ) -> Execution:
        """Run a cell as a notebook does; what it defines is there for the next one.

        The cells of one context come one after the other, those of different contexts at once.
        An error in the code is no exception but the result's `error`.

        Args:
            code: the source; for Python with IPython's magics, `!cmd` and top-level await.
            language: "python" if not given, "bash", "javascript", "typescript", "r" or "java";
                runs in that language's default context.
            context: the context to run in instead.
            on_stdout, on_stderr: called with each piece of output while the cell runs.
            on_result: called with each result, in order with the output.
            on_error: called with the error that ended the cell.
            envs: environment variables for this cell only.
            timeout: seconds after which the cell is interrupted, 300 if not given, 0 for never.
                Its context keeps its state unless the cell ignores that.
            request_timeout: accepted as E2B does.

        Raises:
            TimeoutException: the timeout expired, or the sandbox has ended.
            NotFoundException: the context was removed.
            InvalidArgumentException: both language and context, or an unknown language.
        """
        from localbox._sync.interpreter import Callbacks, check_language

        if language and context:
            raise InvalidArgumentException("give a language or a context, not both")
        if not isinstance(code, str):
            raise InvalidArgumentException(f"code must be a str, not {type(code).__name__}")
        interpreter = self._interpreter
        if context is not None:
            record = interpreter.find(context)
        else:
            record = interpreter.contexts.default(check_language(language))
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=True)
        if timeout is None:
            timeout_s = DEFAULT_CELL_TIMEOUT_S
        callbacks = Callbacks(on_stdout, on_stderr, on_result, on_error)
        variables = creation.check_strings(envs, "envs")
        return interpreter.run(record, code, variables, timeout_s, callbacks)

    def create_code_context(
        self,
        cwd: str | None = None,
        language: str | None = None,
        request_timeout: float | None = None,
    ) -> Context:
        """Make a context: a process with a state of its own, for `run_code(context=...)`.

        Args:
            cwd: where it starts, /home/user if not given.
            language: as `run_code`'s.
            request_timeout: seconds to wait for it to be ready.

        Raises:
            InvalidArgumentException: no such directory or language, or it is not installed.
        """
        from localbox._sync.interpreter import check_language

        interpreter = self._interpreter
        record = interpreter.contexts.add(check_language(language), cwd or DEFAULT_CWD)
        try:
            interpreter.start(record, request_timeout)
        except BaseException:
            interpreter.contexts.remove(record)
            raise
        return record.context

    def list_code_contexts(self) -> list[Context]:
        """The contexts of this sandbox; the default one for Python is always among them.

        Raises:
            SandboxNotRunningException: the sandbox has ended.
        """
        self._connection.ask({"op": "ping"})
        return [record.context for record in self._interpreter.contexts.all()]

    def restart_code_context(self, context: Context | str) -> None:
        """End a context's process, and whatever it runs, and start it afresh.

        Raises:
            NotFoundException: the sandbox has no such context.
        """
        interpreter = self._interpreter
        record = interpreter.find(context)
        interpreter.stop(record)
        record.note = None
        interpreter.start(record)

    def remove_code_context(self, context: Context | str) -> None:
        """End a context and forget it.

        Raises:
            NotFoundException: the sandbox has no such context.
        """
        interpreter = self._interpreter
        record = interpreter.find(context)
        interpreter.contexts.remove(record)
        interpreter.stop(record)

    @property
    def _interpreter(self) -> Interpreter:
        # Imported late: most programs run no cells.
        from localbox._sync.interpreter import Interpreter

        return Interpreter(self._connection)

    def is_running(self, request_timeout: float | None = None) -> bool:
        """Whether its agent answers.

        Raises:
            TimeoutException: it neither answers nor is it gone.
        """
        try:
            self._connection.ask({"op": "ping"}, request_timeout)
        except SandboxNotRunningException:
            return False
        return True

    @dual_method("_kill_by_id")
    def kill(self, **opts: Any) -> bool:
        """End it and everything in it; nothing of it is left when this returns.

        Also `Sandbox.kill(sandbox_id)`.

        Returns:
            False if it had ended already.
        """
        creation.check_options(opts)
        return self._kill(self._record, opts.get("request_timeout"))

    @dual_method("_set_timeout_by_id")
    def set_timeout(self, timeout: int, **opts: Any) -> None:
        """Let it end `timeout` seconds from now, sooner or later than it would have.

        Also `Sandbox.set_timeout(sandbox_id, timeout)`.

        Raises:
            SandboxNotFoundException: it has ended.
        """
        creation.check_options(opts)
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=False)
        connection = Connection(self._record, opts.get("request_timeout"))
        answer = connection.ask_zygote({"op": "set_timeout", "timeout_s": timeout_s})
        if not answer["running"]:
            raise _not_found(self._record.sandbox_id, answer["reason"])

    @dual_method("_get_info_by_id")
    def get_info(self, **opts: Any) -> SandboxInfo:
        """What it is, since when and until when.

        Also `Sandbox.get_info(sandbox_id)`.

        Raises:
            SandboxNotFoundException: it has ended.
        """
        creation.check_options(opts)
        record = self._record
        connection = Connection(record, opts.get("request_timeout"))
        answer = connection.ask_zygote({"op": "info"})
        if not answer["running"]:
            raise _not_found(record.sandbox_id, answer["reason"])
        started_at = datetime.fromtimestamp(answer["started_at"], UTC)
        return SandboxInfo(
            sandbox_id=record.sandbox_id,
            sandbox_domain=None,
            template_id=record.template,
            name=record.template,
            metadata=dict(record.metadata),
            started_at=started_at,
            end_at=datetime.now(UTC) + timedelta(seconds=answer["remaining_s"]),
            state=SandboxState.RUNNING,
            cpu_count=len(os.sched_getaffinity(0)),
            memory_mb=record.policy.resources.memory_bytes >> 20,
            envd_version=__version__,
            allow_internet_access=record.policy.network.mode == "host",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, exc_value: object, traceback: object) -> None:
        self.kill()

    @classmethod
    def _launch(
        cls,
        template: str | None,
        timeout: int | None,
        metadata: Mapping[str, str] | None,
        envs: Mapping[str, str] | None,
        profile: Profile | None,
        allow_internet_access: bool | None,
        opts: Mapping[str, Any],
    ) -> registry.SandboxRecord:
        creation.check_options(opts)
        template = creation.check_template(template)
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=False)
        timeout_s = timeout_s or creation.DEFAULT_TIMEOUT_S
        environment = creation.check_strings(envs, "envs")
        notes = creation.check_strings(metadata, "metadata")
        policy = creation.resolve_policy(profile, template)
        creation.check_network(policy, allow_internet_access)
        # Quick but for the first time, when a zygote has to be started.
        zygote, digest, plan = transport.run(creation.prepare, policy)
        record = registry.SandboxRecord(
            sandbox_id="",
            zygote=zygote,
            rendezvous=registry.NOBODY,
            policy=policy,
            isolation=Isolation(()),
            template=template,
            metadata=notes,
            envs=environment,
        )
        connection = Connection(record, opts.get("request_timeout"))
        deadline = connection.request_deadline(opts.get("request_timeout"))
        pooled = pool.is_enabled()
        try:
            spare = zygote.pool.take(digest) if pooled else None
            ready: Frame | None = None
            if spare is not None:
                ready = cls._take_over(record, spare, connection, timeout_s)
            if ready is None:
                if digest not in zygote.known_plans:
                    plan_request = {"op": "plan", "digest": digest, "plan": plan}
                    exchange = transport.open_exchange(
                        zygote.rendezvous, plan_request, (), deadline
                    )
                    with exchange:
                        read_answer(exchange.receive(deadline))
                    zygote.known_plans.add(digest)
                ready = cls._make(record, digest, timeout_s, deadline)
            isolation = creation.read_isolation(ready)
            if environment:
                # Not with the request: what the zygote has once read, every later sandbox holds.
                connection.ask({"op": "set_env", "env": environment})
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
        registry.add(record)
        if pooled:
            zygote.pool.refill(zygote, digest)
        return record

    @classmethod
    def _make(
        cls,
        record: registry.SandboxRecord,
        digest: str,
        timeout_s: float,
        deadline: float | None,
    ) -> Frame:
        """Have the zygote make a sandbox; returns what that says of its walls."""
        record.sandbox_id = registry.new_sandbox_id()
        record.rendezvous, theirs = rendezvous_pair()
        request = {
            "op": "create",
            "id": record.sandbox_id,
            "digest": digest,
            "timeout_s": timeout_s,
        }
        try:
            exchange = transport.open_exchange(
                record.zygote.rendezvous, request, (theirs.fileno(),), deadline
            )
        finally:
            theirs.close()
        with exchange:
            return exchange.receive(deadline)

    @classmethod
    def _take_over(
        cls,
        record: registry.SandboxRecord,
        spare: pool.Spare,
        connection: Connection,
        timeout_s: float,
    ) -> Frame | None:
        """Make a spare the caller's; returns what it said of its walls, None if it has ended."""
        record.sandbox_id, record.rendezvous = spare.sandbox_id, spare.rendezvous
        request: Message = {"op": "hand_out", "timeout_s": timeout_s}
        fds: tuple[int, ...] = ()
        if spare.kernel is not None and spare.kernel.pidfd is not None:
            request["pid"] = spare.kernel.pid
            fds = (spare.kernel.pidfd.fileno(),)
        answer = connection.ask_zygote(request, fds=fds)
        if not answer["running"]:
            return None
        if spare.kernel is not None:
            if record.envs:
                variables = {"set_env": dict(record.envs)}
                # Read before any cell; there is no answer.
                transport.open_exchange(spare.kernel.rendezvous, variables).close()
            registry.contexts_of(record).default("python").kernel = spare.kernel
        return spare.ready

    @classmethod
    def _kill(cls, record: registry.SandboxRecord, request_timeout: float | None) -> bool:
        connection = Connection(record, request_timeout)
        answer = connection.ask_zygote({"op": "kill"})
        registry.forget(record.sandbox_id)
        return bool(answer["killed"])

    @classmethod
    def _kill_by_id(cls, sandbox_id: str, **opts: Any) -> bool:
        creation.check_options(opts)
        record = registry.find(sandbox_id)
        return record is not None and cls._kill(record, opts.get("request_timeout"))

    @classmethod
    def _set_timeout_by_id(cls, sandbox_id: str, timeout: int, **opts: Any) -> None:
        cls._by_id(sandbox_id).set_timeout(timeout, **opts)

    @classmethod
    def _get_info_by_id(cls, sandbox_id: str, **opts: Any) -> SandboxInfo:
        return cls._by_id(sandbox_id).get_info(**opts)

    @classmethod
    def _by_id(cls, sandbox_id: str) -> Sandbox:
        record = registry.find(sandbox_id)
        if record is None:
            raise _not_found(sandbox_id, "this program has none by that id")
        return cls(_record=record)


def _not_found(sandbox_id: str, reason: str | None) -> SandboxNotFoundException:
    return SandboxNotFoundException(f"sandbox {sandbox_id} not found: {reason or 'it has ended'}")
