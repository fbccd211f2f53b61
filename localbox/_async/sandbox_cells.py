"""Cells: `run_code` and the contexts they run in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from localbox._async.sandbox_base import SandboxBase
from localbox.engine import creation
from localbox.errors import InvalidArgumentException

if TYPE_CHECKING:
    from localbox._async.interpreter import AsyncInterpreter
    from localbox.execution import Context, Execution, ExecutionError, OutputMessage, Result
    from localbox.models import OutputHandler

DEFAULT_CELL_TIMEOUT_S = 300.0


class CellMethods(SandboxBase):
    """What a code interpreter adds to a sandbox."""

    async def run_code(
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
        from localbox._async.interpreter import Callbacks, check_language

        if language and context:
            raise InvalidArgumentException("give a language or a context, not both")
        if not isinstance(code, str):
            raise InvalidArgumentException(f"code must be a str, not {type(code).__name__}")
        interpreter = self._interpreter
        if context is not None:
            record = await interpreter.find(context)
        else:
            record = interpreter.contexts.default(check_language(language))
        timeout_s = creation.check_timeout(timeout, "timeout", zero_is_none=True)
        if timeout is None:
            timeout_s = DEFAULT_CELL_TIMEOUT_S
        callbacks = Callbacks(on_stdout, on_stderr, on_result, on_error)
        variables = creation.check_strings(envs, "envs")
        return await interpreter.run(record, code, variables, timeout_s, callbacks)

    async def create_code_context(
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
        from localbox._async.interpreter import check_language
        from localbox.engine.contexts import DEFAULT_CWD

        interpreter = self._interpreter
        record = interpreter.contexts.add(check_language(language), cwd or DEFAULT_CWD)
        try:
            await interpreter.start(record, request_timeout)
        except BaseException:
            interpreter.contexts.remove(record)
            raise
        return record.context

    async def list_code_contexts(self) -> list[Context]:
        """The contexts of this sandbox; the default one for Python is always among them.

        Raises:
            SandboxNotRunningException: the sandbox has ended.
        """
        await self._connection.ask({"op": "ping"})
        return [record.context for record in self._interpreter.contexts.all()]

    async def restart_code_context(self, context: Context | str) -> None:
        """End a context's process, and whatever it runs, and start it afresh.

        Raises:
            NotFoundException: the sandbox has no such context.
        """
        interpreter = self._interpreter
        record = await interpreter.find(context)
        await interpreter.stop(record)
        record.note = None
        await interpreter.start(record)

    async def remove_code_context(self, context: Context | str) -> None:
        """End a context and forget it.

        Raises:
            NotFoundException: the sandbox has no such context.
        """
        interpreter = self._interpreter
        record = await interpreter.find(context)
        interpreter.contexts.remove(record)
        await interpreter.stop(record)

    @property
    def _interpreter(self) -> AsyncInterpreter:
        # Imported late: most programs run no cells.
        from localbox._async.interpreter import AsyncInterpreter

        return AsyncInterpreter(self._connection)
