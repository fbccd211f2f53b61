"""What running code gives: E2B's values, field for field, and the way to them from a kernel.

Everything here that comes from a kernel is the word of a guest, which may be hostile: it is
checked and bounded in `ExecutionBuilder`, while the value classes take what a program gives them,
as E2B's do.
"""

from __future__ import annotations

import codecs
import json as json_format
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from localbox.charts import Chart, deserialize_chart
from localbox.errors import ProtocolError
from localbox.protocol.frames import MAX_MESSAGE_BYTES

__all__ = [
    "Context",
    "Execution",
    "ExecutionBuilder",
    "ExecutionError",
    "Logs",
    "MIMEType",
    "OutputMessage",
    "Result",
    "RunCodeLanguage",
]

RunCodeLanguage = Literal["python", "javascript", "typescript", "r", "java", "bash"] | str


@dataclass
class OutputMessage:
    """A piece of output, as the callbacks get it; `timestamp` is in nanoseconds since 1970."""

    line: str
    timestamp: int
    error: bool = False

    def __str__(self) -> str:
        return self.line


@dataclass
class ExecutionError:
    """The error that ended a cell; the traceback is text without colours."""

    name: str
    value: str
    traceback: str

    def __init__(self, name: str, value: str, traceback: str, **kwargs: Any) -> None:
        self.name = name
        self.value = value
        self.traceback = traceback

    def to_json(self) -> str:
        """Its three fields as JSON."""
        return json_format.dumps(
            {"name": self.name, "value": self.value, "traceback": self.traceback}
        )


class MIMEType(str):
    """The name of a format outside E2B's list, as in `Result.extra`."""


_TEXT_FORMATS = ("text", "html", "markdown", "svg", "png", "jpeg", "pdf", "latex")
_FORMATS = (*_TEXT_FORMATS, "json", "javascript", "data", "chart")
_BYTES_OF_A_RESULT = 1024


@dataclass
class Result:
    """Something a cell displayed, in one or more formats; pictures and PDF are base64 text.

    `is_main_result` is true of the value of the cell's last expression. `extra` holds formats for
    which there is no field, by MIME type. `result["png"]` is `result.png`.
    """

    def __getitem__(self, item: str) -> Any:
        return getattr(self, item)

    text: str | None = None
    html: str | None = None
    markdown: str | None = None
    svg: str | None = None
    png: str | None = None
    jpeg: str | None = None
    pdf: str | None = None
    latex: str | None = None
    json: dict[str, Any] | None = None
    javascript: str | None = None
    data: dict[str, Any] | None = None
    chart: Chart | None = None
    is_main_result: bool = False
    extra: dict[str, Any] | None = None

    def __init__(
        self,
        text: str | None = None,
        html: str | None = None,
        markdown: str | None = None,
        svg: str | None = None,
        png: str | None = None,
        jpeg: str | None = None,
        pdf: str | None = None,
        latex: str | None = None,
        json: dict[str, Any] | None = None,
        javascript: str | None = None,
        data: dict[str, Any] | None = None,
        chart: dict[str, Any] | None = None,
        is_main_result: bool = False,
        extra: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self.text = text
        self.html = html
        self.markdown = markdown
        self.svg = svg
        self.png = png
        self.jpeg = jpeg
        self.pdf = pdf
        self.latex = latex
        self.json = json
        self.javascript = javascript
        self.data = data
        self.chart = _chart_or_none(chart)
        self.is_main_result = is_main_result
        self.extra = extra

    def formats(self) -> Iterable[str]:
        """The names of the formats it has, those in `extra` last."""
        return [*(name for name in _FORMATS if self[name]), *(self.extra or ())]

    def __str__(self) -> str:
        return self.__repr__()

    def __repr__(self) -> str:
        if self.text:
            return f"Result({self.text})"
        return f"Result(Formats: {', '.join(self.formats())})"

    def _repr_html_(self) -> str | None:
        return self.html

    def _repr_markdown_(self) -> str | None:
        return self.markdown

    def _repr_svg_(self) -> str | None:
        return self.svg

    def _repr_png_(self) -> str | None:
        return self.png

    def _repr_jpeg_(self) -> str | None:
        return self.jpeg

    def _repr_pdf_(self) -> str | None:
        return self.pdf

    def _repr_latex_(self) -> str | None:
        return self.latex

    def _repr_json_(self) -> dict[str, Any] | None:
        return self.json

    def _repr_javascript_(self) -> str | None:
        return self.javascript


@dataclass(repr=False)
class Logs:
    """What a cell and its subprocesses wrote, piece by piece as it came."""

    stdout: list[str] = field(default_factory=list)
    stderr: list[str] = field(default_factory=list)

    def __init__(
        self,
        stdout: list[str] | None = None,
        stderr: list[str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.stdout = stdout or []
        self.stderr = stderr or []

    def __repr__(self) -> str:
        return f"Logs(stdout: {self.stdout}, stderr: {self.stderr})"

    def to_json(self) -> str:
        """Both lists as JSON."""
        return json_format.dumps({"stdout": self.stdout, "stderr": self.stderr})


@dataclass(repr=False)
class Execution:
    """What came of a cell: all it displayed, all it wrote, and the error, if one ended it.

    Attributes:
        truncated: some of the output or of the results was dropped, because it was more than
            the profile allows. Not in E2B, and no field: it plays no part in `==`.
    """

    results: list[Result] = field(default_factory=list)
    logs: Logs = field(default_factory=Logs)
    error: ExecutionError | None = None
    execution_count: int | None = None

    def __init__(
        self,
        results: list[Result] | None = None,
        logs: Logs | None = None,
        error: ExecutionError | None = None,
        execution_count: int | None = None,
        *,
        truncated: bool = False,
        **kwargs: Any,
    ) -> None:
        self.results = results or []
        self.logs = logs or Logs()
        self.error = error
        self.execution_count = execution_count
        self.truncated = truncated

    def __repr__(self) -> str:
        return f"Execution(Results: {self.results}, Logs: {self.logs}, Error: {self.error})"

    @property
    def text(self) -> str | None:
        """The text of the main result, which is the value of the last expression."""
        return next((result.text for result in self.results if result.is_main_result), None)

    def to_json(self) -> str:
        """As JSON; logs and error are JSON texts within it, as in E2B."""
        return json_format.dumps(
            {
                "results": [_to_dict(result) for result in self.results],
                "logs": self.logs.to_json(),
                "error": self.error.to_json() if self.error else None,
            }
        )


@dataclass
class Context:
    """Where cells run that share their state: one kernel, one language, one working directory."""

    id: str
    language: str
    cwd: str

    def __init__(self, context_id: str, language: str, cwd: str, **kwargs: Any) -> None:
        self.id = context_id
        self.language = language
        self.cwd = cwd

    @classmethod
    def from_json(cls, data: dict[str, str]) -> Context:
        """From a dictionary with `id`, `language` and `cwd`."""
        return cls(context_id=data["id"], language=data["language"], cwd=data["cwd"])


def _to_dict(result: Result) -> dict[str, Any]:
    contents: dict[str, Any] = {}
    for name in result.formats():
        if name in _FORMATS:
            content = result[name]
            contents[name] = content.to_dict() if isinstance(content, Chart) else content
        else:
            contents[name] = (result.extra or {})[name]
    contents["text"] = result.text
    return contents


def _chart_or_none(raw: dict[str, Any] | None) -> Chart | None:
    """A chart that cannot be read costs only itself, as in E2B."""
    try:
        return deserialize_chart(raw)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        # logging is not needed otherwise, and importing it takes a while.
        import logging

        # It quotes the guest, who may be long-winded.
        reason = f"{type(error).__name__}: {error!s:.200}"
        logging.getLogger("localbox").error("a result's chart was left out: %s", reason)
        return None


class ExecutionBuilder:
    """Output and messages of one cell in, an `Execution` out, and on the way what callbacks get.

    Whatever comes in, the worst that happens is a ProtocolError; a field of the wrong type is
    dropped, and text that is not Unicode is made so.

    Args:
        limit_bytes: how much output is taken of both streams together, and how much of results
            (of which a single one is always taken): what a guest sends must not fill the host's
            memory. The rest is counted, and `finish` reports it.

    Attributes:
        execution: what there is so far.
        ended: the cell has ended.
        restart: why the context has to start anew after it, if it has to.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.execution = Execution()
        self.ended = False
        self.restart: str | None = None
        self._limit = limit_bytes
        self._output_left = limit_bytes
        self._results_left = max(limit_bytes, MAX_MESSAGE_BYTES)
        self._dropped_bytes = 0
        self._dropped_results = 0
        decoder = codecs.getincrementaldecoder("utf-8")
        self._decoders = {error: decoder(errors="replace") for error in (False, True)}

    def take_output(self, chunk: bytes, error: bool) -> OutputMessage | None:
        """What a piece of output adds to the text of its stream; None if that is nothing yet."""
        taken = chunk[: self._output_left]
        self._output_left -= len(taken)
        text = self._decoders[error].decode(taken)
        if len(taken) < len(chunk):
            self._dropped_bytes += len(chunk) - len(taken)
            self.execution.truncated = True
            # A character that was cut in two is part of what is dropped.
            self._decoders[error].reset()
        return self._append(text, error)

    def take_message(self, message: dict[str, Any]) -> Result | ExecutionError | None:
        """What a message of the kernel's brings for the callbacks.

        Raises:
            ProtocolError: it is not a message a kernel sends.
        """
        if not isinstance(message, dict):
            raise ProtocolError(f"a kernel sent a {type(message).__name__} for a message")
        count = message.get("count")
        if isinstance(count, int) and not isinstance(count, bool):
            self.execution.execution_count = count
        if "result" in message:
            return self._take_result(_section(message, "result"))
        if "failure" in message:
            failure = _section(message, "failure")
            name, value, traceback = (
                _as_text(failure.get(key)) or "" for key in ("name", "value", "traceback")
            )
            self.execution.error = ExecutionError(name, value, traceback)
            return self.execution.error
        if "end" in message:
            self.restart = _as_text(_section(message, "end").get("restart"))
            self.ended = True
        return None

    def finish(self) -> list[OutputMessage]:
        """The last output: characters that were never completed, and what was dropped and why."""
        decoders = self._decoders.items()
        last = [self._append(decoder.decode(b"", final=True), error) for error, decoder in decoders]
        dropped = []
        if self._dropped_bytes:
            dropped.append(f"{self._dropped_bytes} bytes of output")
        if self._dropped_results:
            dropped.append(f"{self._dropped_results} results")
        self._dropped_bytes = self._dropped_results = 0
        if dropped:
            stderr = self.execution.logs.stderr
            start = "\n" if stderr and not stderr[-1].endswith("\n") else ""
            note = (
                f"{start}[localbox: {' and '.join(dropped)} dropped; the profile's "
                f"resources.output allows {self._limit} bytes]\n"
            )
            last.append(self._append(note, error=True))
        return [message for message in last if message is not None]

    def _append(self, text: str, error: bool) -> OutputMessage | None:
        if not text:
            return None
        logs = self.execution.logs
        (logs.stderr if error else logs.stdout).append(text)
        return OutputMessage(text, time.time_ns(), error)

    def _take_result(self, contents: dict[str, Any]) -> Result | None:
        weight = _BYTES_OF_A_RESULT + _weight(contents)
        if weight > self._results_left and self.execution.results:
            # A smaller one after it may fit, such as the value of the last expression.
            self._dropped_results += 1
            self.execution.truncated = True
            return None
        self._results_left -= weight
        checked: dict[str, Any] = {
            name: _as_text(contents.get(name)) for name in (*_TEXT_FORMATS, "javascript")
        }
        for name in ("data", "chart", "extra"):
            checked[name] = content if isinstance(content := contents.get(name), dict) else None
        if isinstance(content := contents.get("json"), dict | list):
            checked["json"] = content
        result = Result(**checked, is_main_result=contents.get("is_main_result") is True)
        self.execution.results.append(result)
        return result


def _section(message: dict[str, Any], name: str) -> dict[str, Any]:
    section = message[name]
    if not isinstance(section, dict):
        raise ProtocolError(f"a kernel's {name} must be an object, not {type(section).__name__}")
    return section


def _as_text(value: object) -> str | None:
    if not isinstance(value, str) or value.isascii():
        return value if isinstance(value, str) else None
    # JSON can spell lone surrogates, at which print() and every file would raise.
    return value.encode("utf-8", "replace").decode("utf-8")


def _weight(contents: object) -> int:
    """About how many bytes a decoded message takes."""
    weight, pending = 0, [contents]
    while pending:
        value = pending.pop()
        weight += 64
        if isinstance(value, str):
            weight += len(value)
        elif isinstance(value, dict):
            pending += value
            pending += value.values()
        elif isinstance(value, list):
            pending += value
    return weight
