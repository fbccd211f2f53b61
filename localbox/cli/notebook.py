"""Notebooks as files, and what a cell gives as a notebook's outputs."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import warnings
from typing import Any

from localbox import ExecutionError, Result
from localbox.cli.failures import NotebookError, UserError
from localbox.kernels.languages import ALIASES, LANGUAGES

# Kernels whose names say their language to people only.
_KERNELS = {"ir": "r", "ijavascript": "javascript", "deno": "typescript", "tslab": "typescript"}
_MIME_TYPES = {
    "text": "text/plain",
    "html": "text/html",
    "markdown": "text/markdown",
    "svg": "image/svg+xml",
    "png": "image/png",
    "jpeg": "image/jpeg",
    "pdf": "application/pdf",
    "latex": "text/latex",
    "json": "application/json",
    "javascript": "application/javascript",
}


def read_notebook(path: str) -> Any:
    """The notebook in the file, in version 4 of the format.

    Raises:
        NotebookError: there is none that could be run.
    """
    nbformat = _nbformat()
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else f"not JSON: {error}"
        raise NotebookError(f"cannot read {path}: {reason}") from None
    if not isinstance(content, dict) or not isinstance(content.get("nbformat"), int):
        raise NotebookError(f"{path} is not a notebook: it is JSON without `nbformat`")
    try:
        had_ids = _give_ids(content)
        # Of older versions nbformat warns, and mends them.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            notebook = nbformat.convert(nbformat.reader.reads(json.dumps(content)), 4)
            if not had_ids:
                _give_ids(notebook, anew=True)
            nbformat.validate(notebook)
    # What has an odd shape meets no check before it meets an attribute that is not there.
    except (nbformat.ValidationError, ValueError, AttributeError, LookupError, TypeError) as error:
        lines = str(getattr(error, "message", error)).splitlines() or [type(error).__name__]
        raise NotebookError(f"{path} is not a valid notebook: {lines[0]:.300}") from None
    return notebook


def write_notebook(notebook: Any, path: str) -> None:
    """Write all of it or nothing: the file may be the one that it was read from.

    Raises:
        UserError: it could not be written.
    """
    content = _nbformat().writes(notebook) + "\n"
    target = os.path.realpath(path)
    try:
        if _is_special(path):
            with open(path, "w", encoding="utf-8") as file:
                file.write(content)
            return
        handle, temporary = tempfile.mkstemp(dir=os.path.dirname(target), suffix=".ipynb~")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                file.write(content)
                os.fchmod(file.fileno(), _mode(target))
            os.replace(temporary, target)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None


def check_writable(path: str) -> None:
    """Rather now than after an hour of cells.

    Raises:
        NotebookError: the file could not be written.
    """
    if os.path.isdir(path):
        raise NotebookError(f"cannot write {path}: it is a directory")
    needed = [path] if os.path.exists(path) else []
    if not _is_special(path):
        directory = os.path.dirname(os.path.realpath(path))
        if not os.path.isdir(directory):
            raise NotebookError(f"cannot write {path}: there is no directory {directory}")
        needed.append(directory)
    for place in needed:
        if not os.access(place, os.W_OK):
            raise NotebookError(f"cannot write {path}: {place} may not be written")


def language_of(notebook: Any, path: str) -> str:
    """What its cells are written in, from the metadata; Python if those do not say.

    Raises:
        NotebookError: a language that no context has.
    """
    kernelspec, info = (notebook.metadata.get(name, {}) for name in ("kernelspec", "language_info"))
    named = [info.get("name"), kernelspec.get("language"), kernelspec.get("name")]
    for name in named:
        simple = str(name or "").lower()
        simple = _KERNELS.get(simple) or ALIASES.get(simple, simple)
        simple = "python" if simple.startswith(("python", "ipython")) else simple
        if simple in LANGUAGES:
            return simple
    if any(named):
        name = next(filter(None, named))
        raise NotebookError(
            f"{path}: its language is {name!r}; there is {', '.join(LANGUAGES)}. "
            "--language overrides it"
        )
    return "python"


class Outputs:
    """Makes a cell's outputs of what it gives."""

    def __init__(self) -> None:
        self._outputs: list[Any] = []
        self._new = _nbformat().v4.new_output

    def take_output(self, text: str, *, error: bool) -> None:
        name = "stderr" if error else "stdout"
        last = self._outputs[-1] if self._outputs else None
        if last is not None and last.output_type == "stream" and last.name == name:
            # Joined at the end: adding to a text of megabytes piece by piece takes minutes.
            last.text.append(text)
        else:
            self._outputs.append(self._new("stream", name=name, text=[text]))

    def take_result(self, result: Result) -> None:
        kind = "execute_result" if result.is_main_result else "display_data"
        self._outputs.append(self._new(kind, data=_mime_bundle(result)))

    def take_error(self, error: ExecutionError) -> None:
        self._outputs.append(
            self._new(
                "error",
                ename=error.name,
                evalue=error.value,
                traceback=(error.traceback or f"{error.name}: {error.value}").splitlines(),
            )
        )

    def finish(self, count: int | None) -> list[Any]:
        for output in self._outputs:
            if output.output_type == "stream":
                output.text = "".join(output.text)
            elif output.output_type == "execute_result":
                output.execution_count = count
        return self._outputs


def _mime_bundle(result: Result) -> dict[str, Any]:
    contents = ((mime, result[name]) for name, mime in _MIME_TYPES.items())
    bundle = {mime: content for mime, content in contents if content is not None}
    # A list or a dict has JSON for programs; in a notebook it would take the place of its text.
    text = bundle.get("text/plain", "")
    if text and not text.startswith("<IPython.core.display.JSON"):
        bundle.pop("application/json", None)
    for mime, content in (result.extra or {}).items():
        is_json = mime.endswith("json") or isinstance(content, str)
        bundle[mime] = content if is_json else json.dumps(content)
    return bundle


def _give_ids(notebook: Any, *, anew: bool = False) -> bool:
    """Number the cells that lack the id their format asks for, so that each run gives the same.

    Returns:
        Whether the format has ids.
    """
    if (notebook["nbformat"], notebook.get("nbformat_minor", 0)) < (4, 5):
        return False
    cells = [cell for cell in notebook.get("cells", ()) if isinstance(cell, dict)]
    taken = set() if anew else {cell.get("id") for cell in cells}
    for number, cell in enumerate(cells, 1):
        if anew or "id" not in cell:
            name = f"cell-{number}"
            while name in taken:
                name += "-"
            taken.add(name)
            cell["id"] = name
    return True


def _is_special(path: str) -> bool:
    """Whether it is a device or a pipe, which is written to and not replaced."""
    return os.path.exists(path) and not os.path.isfile(path)


def _mode(path: str) -> int:
    """Of the file that is replaced, or as open() would make it."""
    try:
        return stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _nbformat() -> Any:
    try:
        import nbformat
    except ImportError:
        raise UserError('notebooks need nbformat: pip install "localbox[cli]"') from None
    return nbformat
