"""Cells in one context of a sandbox of their own, and cells out of a source file."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from localbox import Context, Execution, ExecutionError, OutputMessage, Result
from localbox._sync.sandbox import Sandbox
from localbox.cli.failures import TIMED_OUT, WallTimeError
from localbox.cli.options import LONGEST_S
from localbox.errors import SandboxNotRunningException, TimeoutException
from localbox.policy import Policy


@dataclass(frozen=True)
class Cell:
    """A part of a source file, and the line on which it begins there."""

    code: str
    line: int = 1


@dataclass(frozen=True)
class CellSettings:
    """Where cells run, and how.

    Args:
        timeout_s: interrupt a cell after this long; None for never.
        keep_going: run the cells after one that failed.
    """

    policy: Policy
    language: str
    timeout_s: float | None = None
    envs: dict[str, str] | None = None
    cwd: str | None = None
    keep_going: bool = False


@dataclass(frozen=True)
class CellEnd:
    """How a cell ended; `exit_code` is what the command's is if this was the first to fail."""

    count: int | None
    error: ExecutionError | None = None
    exit_code: int = 0


class Listener(Protocol):
    """Is told what a cell gives, while it runs and in its order."""

    def take_output(self, text: str, *, error: bool) -> None: ...
    def take_result(self, result: Result) -> None: ...
    def take_error(self, error: ExecutionError) -> None: ...


class CellSession:
    """A sandbox with one context, from `with` to the end of the block."""

    def __init__(self, settings: CellSettings) -> None:
        self._settings = settings
        self._started = time.monotonic()
        self._sandbox = Sandbox.create(
            timeout=LONGEST_S, profile=settings.policy, envs=settings.envs
        )
        try:
            self._context: Context = self._sandbox.create_code_context(
                settings.cwd, settings.language
            )
        except BaseException:
            self._sandbox.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._sandbox.kill()

    def run(self, code: str, listener: Listener) -> CellEnd:
        """Run a cell to its end, be that an error or the timeout.

        Raises:
            WallTimeError: the sandbox has ended, because the profile says so.
            SandboxException: it has ended for another reason.
        """

        def take(message: OutputMessage) -> None:
            listener.take_output(message.line, error=message.error)

        timeout_s = self._settings.timeout_s
        try:
            execution: Execution = self._sandbox.run_code(
                code,
                context=self._context,
                on_stdout=take,
                on_stderr=take,
                on_result=listener.take_result,
                on_error=listener.take_error,
                timeout=timeout_s or 0,
            )
        except SandboxNotRunningException:
            self._explain_the_end()
            raise
        except TimeoutException:
            text = f"the cell was interrupted after {timeout_s:g} s"
            error = ExecutionError("TimeoutError", text, f"TimeoutError: {text}")
            listener.take_error(error)
            return CellEnd(None, error, TIMED_OUT)
        failed = execution.error is not None
        return CellEnd(execution.execution_count, execution.error, 1 if failed else 0)

    def _explain_the_end(self) -> None:
        wall_time_s = self._settings.policy.resources.wall_time_s
        if wall_time_s is not None and time.monotonic() - self._started >= wall_time_s:
            raise WallTimeError(
                f"timeout: resources.wall_time of profile {self._settings.policy.name} is "
                f"{wall_time_s:g} s"
            ) from None


class Record:
    """What a cell gives, as values for JSON."""

    def __init__(self) -> None:
        self._texts: dict[bool, list[str]] = {False: [], True: []}
        self._results: list[Result] = []
        self._error: ExecutionError | None = None

    def take_output(self, text: str, *, error: bool) -> None:
        self._texts[error].append(text)

    def take_result(self, result: Result) -> None:
        self._results.append(result)

    def take_error(self, error: ExecutionError) -> None:
        self._error = error

    def as_dict(self, end: CellEnd | None) -> dict[str, Any]:
        """With the text of each stream in one piece, as in `run --json`."""
        results = json.loads(Execution(self._results).to_json())["results"]
        for value, result in zip(results, self._results, strict=True):
            value["is_main_result"] = result.is_main_result
        return {
            "execution_count": end.count if end else None,
            "stdout": "".join(self._texts[False]),
            "stderr": "".join(self._texts[True]),
            "results": results,
            "error": json.loads(self._error.to_json()) if self._error else None,
        }


def split_cells(source: str, language: str) -> list[Cell]:
    """The cells between `# %%` lines, as editors see them; without those that hold no code."""
    comment = "//" if language in {"javascript", "typescript", "java"} else "#"
    marker = re.compile(rf"{comment}\s*%%(?P<title>.*)")
    cells = []
    start, lines, is_code = 1, [], True
    for number, line in enumerate([*source.splitlines(), f"{comment} %%"], 1):
        match = marker.match(line)
        if match is None:
            lines.append(line)
            continue
        if is_code and any(text.strip() for text in lines):
            cells.append(Cell("\n".join(lines) + "\n", start))
        start, lines = number + 1, []
        is_code = not re.search(r"\[(markdown|md|raw)\]", match["title"])
    return cells
