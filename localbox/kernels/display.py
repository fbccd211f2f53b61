"""Turns what IPython displays, a bundle of MIME types, into a result with E2B's names."""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import json
import math

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

# No MIME types of the world outside: the formatters make them, `to_result` takes them out.
DATA = "e2b/data"
CHART = "e2b/chart"

_NAMES = {
    "text/plain": "text",
    "text/html": "html",
    "text/markdown": "markdown",
    "image/svg+xml": "svg",
    "image/png": "png",
    "image/jpeg": "jpeg",
    "application/pdf": "pdf",
    "text/latex": "latex",
    "application/json": "json",
    "application/javascript": "javascript",
    DATA: "data",
    CHART: "chart",
}
_STRUCTURED = {"json", "data", "chart"}
_DEEPEST = 100


class NotJSONError(ValueError):
    """The value has parts for which JSON has nothing."""


def to_result(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """The result dict of what was displayed: what E2B has no name for is in "extra"."""
    result: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for mime, content in bundle.items():
        name = _NAMES.get(mime)
        if content is None:
            continue
        if name is None:
            extra[str(mime)] = _as_text(str(mime), content, structured=True)
        else:
            result[name] = _as_text(mime, content, structured=name in _STRUCTURED)
    if "text" in result:
        result["text"] = _unquoted(result["text"])
    if extra:
        result["extra"] = extra
    return result


def _as_text(mime: str, content: Any, *, structured: bool) -> Any:
    if isinstance(content, (bytes, bytearray)):
        if mime.startswith("text/") or mime.endswith(("+xml", "javascript")):
            return content.decode("utf-8", "replace")
        return base64.b64encode(content).decode("ascii")
    if structured or isinstance(content, str):
        return content
    return str(content)


def _unquoted(text: str) -> str:
    """The text of a string without the quotes of its repr."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def as_json(value: Any) -> Any:
    """`value`, or something like it that JSON can say.

    Raises:
        NotJSONError: there is nothing like it.
    """
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return _converted(value, _DEEPEST)
    return value


def _converted(value: Any, depth: int) -> Any:
    if depth == 0:
        raise NotJSONError("a cycle, or nested too deep")
    if isinstance(value, (list, tuple)):
        return [_converted(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_key(key): _converted(item, depth - 1) for key, item in value.items()}
    return scalar(value)


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    # As json.dumps has them.
    return json.dumps(key) if key is None or isinstance(key, (bool, int)) else str(key)


def scalar(value: Any) -> Any:
    """A single value as JSON has it: dates are ISO strings, what is missing is None.

    Raises:
        NotJSONError: there is nothing like it.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, enum.Enum):
        return scalar(value.value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    # pandas' NaT is a datetime and NA compares as nothing else does.
    if type(value).__name__ in {"NaTType", "NAType"}:
        return None
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return float(value) if value.is_finite() else None
    return _numpy_scalar(value)


def _numpy_scalar(value: Any) -> Any:
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind in {"M", "m"}:
        return None if str(value) == "NaT" else str(value)
    if kind in {"b", "i", "u", "f", "U"} and getattr(value, "shape", None) == ():
        return scalar(value.item())
    if kind in {"b", "i", "u", "f"}:
        return _converted(value.tolist(), _DEEPEST)
    raise NotJSONError(f"no JSON for a {type(value).__name__}")
