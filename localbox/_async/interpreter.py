"""Runs cells in the contexts of a sandbox, each of which is a process with a state of its own."""

from __future__ import annotations

import contextlib
import difflib

# unasync: async
import inspect

# unasync: sync
# unasync: end
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, cast

from localbox._async.connection import AsyncConnection
from localbox.engine import registry
from localbox.engine.answers import read_answer
from localbox.engine.contexts import (
    INTERRUPT_GRACE_S,
    ContextRecord,
    Contexts,
    Kernel,
    describe_death,
)
from localbox.engine.creation import prepare
from localbox.engine.plan import kernel_plan
from localbox.engine.zygote_process import ZygoteProcess
from localbox.errors import (
    InvalidArgumentException,
    NotFoundException,
    ProtocolError,
    SandboxException,
    SandboxNotRunningException,
    TimeoutException,
)
from localbox.execution import Context, Execution, ExecutionBuilder
from localbox.kernels.languages import ALIASES, LANGUAGES
from localbox.models import OutputHandler
from localbox.protocol.frames import (
    END_OF_DATA,
    MESSAGE,
    STDERR,
    Frame,
    FrameError,
    Message,
    decode_message,
    encode,
)
from localbox.transport import asyncio as transport
from localbox.transport.wire import OwnedFd, PeerGoneError, ProtocolViolationError, post

# A kernel asks whether we have taken the output so far, and waits for our word.
_SETTLE = (MESSAGE, b'{"settle":true}')
_SETTLED = encode(END_OF_DATA, b"")
# A kernel whose connection broke is dying; if it is not dead after this, it is killed.
_DEATH_PATIENCE_S = 2.0


class Callbacks:
    """What to tell the caller as a cell goes on."""

    def __init__(
        self,
        on_stdout: OutputHandler[Any] | None,
        on_stderr: OutputHandler[Any] | None,
        on_result: OutputHandler[Any] | None,
        on_error: OutputHandler[Any] | None,
    ) -> None:
        self.on_stdout = on_stdout
        self.on_stderr = on_stderr
        self.on_result = on_result
        self.on_error = on_error

    async def call(self, callback: OutputHandler[Any] | None, value: object) -> None:
        if callback is None or value is None:
            return
        # unasync: async
        answer = cast(Callable[[Any], Any], callback)(value)
        if inspect.isawaitable(answer):
            await answer
        # unasync: sync
        # cast(Callable[[Any], Any], callback)(value)
        # unasync: end


class AsyncInterpreter:
    """The contexts of one sandbox."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._record = connection.record

    @property
    def contexts(self) -> Contexts:
        return registry.contexts_of(self._record)

    async def find(self, context: Context | str) -> ContextRecord:
        """
        Raises:
            NotFoundException: the sandbox has no such context.
            SandboxNotRunningException: it has ended, and its contexts with it.
        """
        context_id = context.id if isinstance(context, Context) else context
        record = self.contexts.find(context_id)
        if record is None:
            await self._connection.ask({"op": "ping"})
            raise NotFoundException(f"Context {context_id} not found")
        return record

    # Cells

    async def run(
        self,
        record: ContextRecord,
        code: str,
        envs: Mapping[str, str],
        timeout_s: float | None,
        callbacks: Callbacks,
    ) -> Execution:
        """Run one cell and wait for its end.

        Raises:
            TimeoutException: the cell was not done in time, or its sandbox has ended.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        if self._record.may_be_paused:
            await self._connection.wake()
        try:
            await transport.take(record.turn, deadline)
        except TimeoutError:
            raise TimeoutException(
                f"another cell of context {record.context.id} was still running when the timeout "
                f"of {timeout_s} seconds expired"
            ) from None
        try:
            return await self._run(record, code, envs, deadline, callbacks)
        finally:
            record.turn.give_back()

    async def _run(
        self,
        record: ContextRecord,
        code: str,
        envs: Mapping[str, str],
        deadline: float | None,
        callbacks: Callbacks,
    ) -> Execution:
        builder = ExecutionBuilder(self._record.policy.resources.output_bytes)
        if record.kernel is not None and record.kernel.unfinished is not None:
            await self._stop_cell(record, record.kernel, record.kernel.unfinished)
        if record.kernel is None:
            await self.start(record)
        kernel = cast(Kernel, record.kernel)
        if record.note is not None:
            note = f"[localbox: {record.note}]\n".encode()
            record.note = None
            await self._take(builder, (STDERR, note), callbacks)
        request = {"op": "execute", "code": code, "env": dict(envs)}
        try:
            exchange = await transport.open_exchange(kernel.rendezvous, request, (), deadline)
        except FrameError as error:
            raise InvalidArgumentException(f"the code is too long: {error}") from None
        except TimeoutError:
            # The kernel does not have all of the code, and drops what it has.
            raise TimeoutException("the timeout expired before the code had begun") from None
        except (PeerGoneError, OSError):
            # It ended between two cells: a thread or a child of an earlier cell has killed it.
            how = await self._bury(record, kernel)
            record.note = f"this context was restarted, its variables are gone: {how}"
            return await self._run(record, code, envs, deadline, callbacks)
        kernel.unfinished = exchange
        try:
            await self._follow(exchange, kernel, builder, deadline, callbacks)
        except TimeoutError:
            if await self._is_paused():
                # It cannot react, and should not be killed for that: whoever comes next stops it.
                raise TimeoutException("the timeout expired while the sandbox was paused") from None
            killed = await self._stop_cell(record, kernel, exchange)
            raise TimeoutException(_timeout_text(killed)) from None
        except PeerGoneError:
            exchange.close()
            await self._take_death(record, kernel, builder, callbacks)
        except (ProtocolViolationError, ProtocolError) as error:
            exchange.close()
            await self._take_death(record, kernel, builder, callbacks, str(error))
        except BaseException:
            # The caller has lost interest: a callback raised, the task was cancelled, Ctrl-C. The
            # cell is told to stop, and whoever comes next sees to it that it has.
            self._post_interrupt(kernel)
            raise
        else:
            kernel.unfinished = None
            exchange.close()
            if builder.restart is not None:
                await self._end(kernel, _DEATH_PATIENCE_S)
                record.kernel = None
        for message in builder.finish():
            await callbacks.call(
                callbacks.on_stderr if message.error else callbacks.on_stdout, message
            )
        return builder.execution

    async def _follow(
        self,
        exchange: transport.Exchange,
        kernel: Kernel,
        builder: ExecutionBuilder,
        deadline: float | None,
        callbacks: Callbacks,
    ) -> None:
        while not builder.ended:
            frames = await exchange.receive_with(kernel, deadline)
            # Before the callbacks, one of which may wait for what the cell does next.
            for _ in range(frames.count(_SETTLE)):
                await exchange.send(_SETTLED, deadline)
            try:
                while frames:
                    await self._take(builder, frames.pop(0), callbacks)
            finally:
                # After a callback that raised, they tell whether the cell has ended.
                exchange.give_back(frames)

    async def _take(self, builder: ExecutionBuilder, frame: Frame, callbacks: Callbacks) -> None:
        kind, payload = frame
        if kind != MESSAGE:
            message = builder.take_output(payload, kind == STDERR)
            await callbacks.call(
                callbacks.on_stderr if kind == STDERR else callbacks.on_stdout, message
            )
            return
        try:
            taken = builder.take_message(decode_message(payload))
        except FrameError as error:
            raise ProtocolError(str(error)) from None
        if taken is not None:
            is_error = taken is builder.execution.error
            await callbacks.call(callbacks.on_error if is_error else callbacks.on_result, taken)

    async def _take_death(
        self,
        record: ContextRecord,
        kernel: Kernel,
        builder: ExecutionBuilder,
        callbacks: Callbacks,
        why: str | None = None,
    ) -> None:
        """The kernel died under its cell: that is the cell's error, and the context starts anew."""
        if why is not None:
            await self._end(kernel, 0)
        how = await self._bury(record, kernel)
        if why is not None:
            how = f"the cell wrote to the connection of its context, which had to end ({why})"
        text = f"{how}; the context starts afresh, without its variables"
        for kind, chunk in kernel.take():
            await self._take(builder, (kind, chunk), callbacks)
        failure = {"name": "KernelDied", "value": text, "traceback": f"KernelDied: {text}"}
        await callbacks.call(callbacks.on_error, builder.take_message({"failure": failure}))

    async def _bury(self, record: ContextRecord, kernel: Kernel) -> str:
        """See that a kernel is gone, and say why.

        Raises:
            SandboxNotRunningException: because its sandbox is.
        """
        record.kernel = None
        status = await self._end(kernel, _DEATH_PATIENCE_S)
        request = {"op": "why_killed", "pid": kernel.pid}
        answer = await self._connection.ask_zygote(request)
        info = await self._connection.ask_zygote({"op": "info"})
        if not info["running"]:
            raise await self._connection.why_gone()
        return describe_death(
            status,
            for_memory=bool(answer.get("memory")),
            memory_bytes=info["memory_bytes"],
        )

    # Interrupts

    async def _stop_cell(
        self, record: ContextRecord, kernel: Kernel, exchange: transport.Exchange
    ) -> bool:
        """Interrupt the cell of an exchange and wait for its end; True if it had to be killed."""
        kernel.unfinished = None
        builder = ExecutionBuilder(0)
        silent = Callbacks(None, None, None, None)
        try:
            # Twice: where Python cannot raise, such as in a weak reference's callback, it drops
            # the exception, and the interrupt with it.
            for _ in range(2):
                await self._ask(self._kernels(), {"op": "interrupt", "id": kernel.kernel_id})
                deadline = time.monotonic() + INTERRUPT_GRACE_S / 2
                with contextlib.suppress(TimeoutError):
                    await self._follow(exchange, kernel, builder, deadline, silent)
                    if builder.restart is None:
                        return False
                    break
        except (PeerGoneError, ProtocolViolationError, ProtocolError):
            pass
        finally:
            exchange.close()
        await self._end(kernel, 0)
        record.kernel = None
        record.note = (
            "this context was restarted, its variables are gone: the cell before did not end when "
            "it was interrupted"
        )
        return True

    def _post_interrupt(self, kernel: Kernel) -> None:
        """Interrupt without waiting: this is on the way out of a cancelled task."""
        request = {"op": "interrupt", "id": kernel.kernel_id}
        with contextlib.suppress(OSError, PeerGoneError):
            post(self._kernels().rendezvous, request)

    async def _end(self, kernel: Kernel, patience_s: float) -> int | None:
        """Wait for the end of a kernel, and bring it about if it takes longer than `patience_s`."""
        request = {"op": "end", "id": kernel.kernel_id, "patience_s": patience_s}
        try:
            answer, _fd = await self._ask(self._kernels(), request)
        except SandboxException:
            return None
        status = answer.get("status")
        return status if isinstance(status, int) else None

    # Contexts

    async def start(self, record: ContextRecord, request_timeout: float | None = None) -> None:
        """Give a context its process.

        Raises:
            InvalidArgumentException: its cwd does not exist, or its language is not installed.
            SandboxNotRunningException: the sandbox has ended.
        """
        deadline = self._connection.request_deadline(request_timeout)
        if self._record.may_be_paused:
            await self._connection.wake()
        zygote = await self._ready_kernels()
        self._record.zygote.pool.wants_cells(self._digest())
        sandbox_fd = await self._lend()
        try:
            kernel = Kernel()
            try:
                request = {"op": "create", "id": kernel.kernel_id, "digest": self._digest()}
                created = await transport.open_exchange(
                    zygote.rendezvous, request, kernel.passed_fds(sandbox_fd), deadline
                )
            finally:
                kernel.forget_theirs()
        except PeerGoneError:
            raise SandboxException("the kernel zygote has ended; try again") from None
        finally:
            os.close(sandbox_fd)
        async with created:
            try:
                answer = read_answer(await created.receive(deadline))
                kernel.pid = int(answer["pid"])
                pidfd = created.take_fd()
                kernel.pidfd = OwnedFd(pidfd)
                settings = {
                    "language": record.context.language,
                    "cwd": record.context.cwd,
                    "env": dict(self._record.envs),
                }
                started = await transport.open_exchange(kernel.rendezvous, settings, (), deadline)
                async with started:
                    adoption = {"op": "adopt", "id": self._record.sandbox_id, "pid": kernel.pid}
                    await self._ask(self._record.zygote, adoption, (pidfd,))
                    try:
                        read_answer(await started.receive(deadline))
                    except PeerGoneError:
                        # A wall that could not be built is told where the zygote answers.
                        read_answer(await created.receive(deadline))
                        raise
            except PeerGoneError:
                await self._bury(record, kernel)
                raise SandboxException(
                    "the process for this context ended before its first cell"
                ) from None
            except TimeoutError:
                await self._end(kernel, 0)
                raise TimeoutException("the context was not ready in time") from None
            except BaseException:
                record.kernel = None
                raise
        record.kernel = kernel

    async def stop(self, record: ContextRecord) -> None:
        """End a context's process, whatever it does."""
        kernel, record.kernel = record.kernel, None
        if kernel is not None:
            await self._end(kernel, 0)

    async def _is_paused(self) -> bool:
        return self._record.may_be_paused and await self._connection.is_paused()

    async def _lend(self) -> int:
        answer, fd = await self._ask(
            self._record.zygote, {"op": "lend", "id": self._record.sandbox_id}
        )
        if not answer.get("running") or fd < 0:
            raise await self._connection.why_gone()
        return fd

    def _digest(self) -> str:
        return prepare(self._record.policy, self._record.volume_paths())[1]

    def _kernels(self) -> ZygoteProcess:
        return self._record.zygote.kernels()

    async def _ready_kernels(self) -> ZygoteProcess:
        """The kernel zygote, which knows the plan of this sandbox."""
        zygote = await transport.run(self._record.zygote.kernels)
        if not zygote.is_alive():
            zygote = await transport.run(self._record.zygote.kernels, again=True)
        _zygote, digest, plan = await transport.run(
            prepare, self._record.policy, self._record.volume_paths()
        )
        if digest not in zygote.known_plans:
            await self._ask(zygote, {"op": "plan", "digest": digest, "plan": kernel_plan(plan)})
            zygote.known_plans.add(digest)
        return zygote

    async def _ask(
        self, zygote: ZygoteProcess, request: Message, fds: tuple[int, ...] = ()
    ) -> tuple[Message, int]:
        """One request to a zygote: its answer, and the descriptor that came with it or -1."""
        deadline = self._connection.request_deadline(None)
        try:
            exchange = await transport.open_exchange(zygote.rendezvous, request, fds, deadline)
            async with exchange:
                answer = read_answer(await exchange.receive(deadline))
                return answer, exchange.take_fd()
        except (PeerGoneError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise TimeoutException("the zygote did not answer in time") from None
            raise SandboxNotRunningException(
                f"sandbox {self._record.sandbox_id} is not running: its zygote has ended"
            ) from None


def _timeout_text(killed: bool) -> str:
    text = "the code did not end within its timeout and was interrupted; see run_code's `timeout`"
    if killed:
        text += (
            ". It did not react, so its context was killed: the next cell starts it afresh, "
            "without its variables"
        )
    return text


def check_language(language: str | None) -> str:
    """E2B's name of a language, from that or an alias.

    Raises:
        InvalidArgumentException: there is no such language.
    """
    if language is None or language == "":
        return "python"
    canonical = ALIASES.get(str(language).lower(), str(language).lower())
    if canonical not in LANGUAGES:
        near = difflib.get_close_matches(canonical, [*LANGUAGES, *ALIASES], 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InvalidArgumentException(
            f"language {language!r} is not known; there is {', '.join(LANGUAGES)}{hint}"
        )
    return canonical
