"""Names of results: what Jupyter calls by a MIME type has a name of its own in E2B."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

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
}


def result_of(bundle: Mapping[str, Any]) -> dict[str, Any]:
    """A result from MIME types and their contents."""
    result: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for mime_type, content in bundle.items():
        name = _NAMES.get(mime_type)
        if name is None:
            extra[mime_type] = content
        elif name == "json" or isinstance(content, str):
            result[name] = content
        else:
            # Jupyter allows the lines of a text as a list.
            result[name] = "".join(map(str, content)) if isinstance(content, list) else str(content)
    if extra:
        result["extra"] = extra
    return result
