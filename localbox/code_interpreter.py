"""`CodeInterpreter`: E2B's notebook sandbox as it was before 1.0, and in the founding document.

It is a `Sandbox` with a `notebook`. New programs say `Sandbox` and `run_code`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localbox._sync.sandbox import Sandbox
from localbox._sync.sandbox_birth import Profile
from localbox.engine.creation import INTERPRETER_TEMPLATES
from localbox.errors import NotFoundException
from localbox.execution import Context, Execution, ExecutionError, OutputMessage, Result

# What the kernels of Jupyter are called, and the language each of them speaks.
_KERNEL_NAMES = {
    "python3": "python",
    "deno": "typescript",
    "ijavascript": "javascript",
    "ir": "r",
    "java": "java",
    "bash": "bash",
}


class CellError(ExecutionError):
    """The error that ended a cell."""

    @property
    def traceback_raw(self) -> list[str]:
        """The lines of the traceback."""
        return self.traceback.split("\n")


class CellExecution(Execution):
    """What came of a cell; with `data`, which the founding document reads."""

    @property
    def data(self) -> Any:
        """The value of the last expression as data: a table's columns, a dict or a list."""
        main = next((result for result in self.results if result.is_main_result), Result())
        return main.json if main.data is None else main.data


class Notebook:
    """Runs cells in a sandbox, all in its default Python context if not told otherwise."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox

    @property
    def default_kernel_id(self) -> str:
        """The id of the context that is used when no other is named.

        Raises:
            NotFoundException: it was shut down; the next cell starts another.
        """
        for context in self._sandbox.list_code_contexts():
            if context.language == "python":
                return context.id
        raise NotFoundException("the default kernel was shut down; the next cell starts another")

    def exec_cell(
        self,
        code: str,
        kernel_id: str | None = None,
        on_stdout: Callable[[OutputMessage], Any] | None = None,
        on_stderr: Callable[[OutputMessage], Any] | None = None,
        on_result: Callable[[Result], Any] | None = None,
        timeout: float | None = 60,
    ) -> CellExecution:
        """Run a cell; an error in it is no exception here. Now `run_code`.

        Args:
            kernel_id: from `create_kernel`.
            on_stdout, on_stderr, on_result: called as it goes on.
            timeout: seconds after which the cell is interrupted; 0 for never.

        Raises:
            TimeoutException: the timeout expired.
            NotFoundException: there is no such kernel.
        """
        # Nothing but the id of a context is looked at.
        context = None if kernel_id is None else Context(kernel_id, "python", "")
        execution = self._sandbox.run_code(
            code,
            context=context,
            on_stdout=on_stdout,
            on_stderr=on_stderr,
            on_result=on_result,
            timeout=timeout or 0,
        )
        error = execution.error
        return CellExecution(
            results=execution.results,
            logs=execution.logs,
            error=error and CellError(error.name, error.value, error.traceback),
            execution_count=execution.execution_count,
            truncated=execution.truncated,
        )

    def create_kernel(
        self,
        cwd: str = "/home/user",
        kernel_name: str | None = None,
        timeout: float | None = 60,
    ) -> str:
        """Make a context with a state of its own; now `create_code_context`.

        Args:
            kernel_name: a kernel's name in Jupyter, "python3" by default, or a language.

        Returns:
            Its id.
        """
        name = kernel_name or "python3"
        language = _KERNEL_NAMES.get(name, name)
        return self._sandbox.create_code_context(cwd, language, request_timeout=timeout).id

    def list_kernels(self, timeout: float | None = 60) -> list[str]:
        """The ids of the contexts."""
        return [context.id for context in self._sandbox.list_code_contexts()]

    def restart_kernel(self, kernel_id: str | None = None, timeout: float | None = 60) -> None:
        """End a context's process and start it afresh, without its variables."""
        self._sandbox.restart_code_context(kernel_id or self.default_kernel_id)

    def shutdown_kernel(self, kernel_id: str | None = None, timeout: float | None = 60) -> None:
        """End a context and forget it."""
        self._sandbox.remove_code_context(kernel_id or self.default_kernel_id)

    def close(self) -> None:
        """Nothing to do: no connection is kept between cells."""


class CodeInterpreter(Sandbox):
    """A sandbox with a `notebook`."""

    def __init__(
        self,
        template: str | None = None,
        timeout: int | None = None,
        metadata: dict[str, str] | None = None,
        envs: dict[str, str] | None = None,
        *,
        env_vars: dict[str, str] | None = None,
        profile: Profile | None = None,
        **opts: Any,
    ) -> None:
        """Make one, as `Sandbox(...)` does.

        Args:
            template: "code-interpreter-v1" if not given; see `Sandbox.create`.
            env_vars: an older name for `envs`.
        """
        template = template or INTERPRETER_TEMPLATES[0]
        super().__init__(
            template,
            timeout,
            metadata,
            {**(env_vars or {}), **(envs or {})},
            profile=profile,
            **opts,
        )

    @property
    def notebook(self) -> Notebook:
        """Run cells in it."""
        return Notebook(self)
