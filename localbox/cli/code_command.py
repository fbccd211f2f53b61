"""`localbox code`: decides whether it is a program, cells, a notebook or a conversation."""

from __future__ import annotations

import importlib.util
import os
import sys
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from localbox.cli import options
from localbox.cli.cells import Cell, CellSettings, split_cells
from localbox.cli.execution import Run, execute, python_program
from localbox.cli.failures import UserError, in_one_line
from localbox.cli.figures import Figures
from localbox.cli.mounts import make_policy
from localbox.kernels.languages import ALIASES, LANGUAGES

_NOTEBOOK = ".ipynb"


class CodeCommand(TyperCommand):
    """What follows a program's file are its arguments; a notebook takes none, only our options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        values, _rest, _order = self.make_parser(ctx).parse_args(list(args))
        words = values.get("arguments") or ()
        if words and str(words[0]).endswith(_NOTEBOOK) and values.get("source") is None:
            ctx.allow_interspersed_args = True
        return super().parse_args(ctx, args)


def code(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE.py | FILE.ipynb | -] [ARGS]...", show_default=False),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--code", "-c", metavar="CODE", help="Source to run.")
    ] = None,
    cells: Annotated[
        bool,
        typer.Option("--cells", help="Run as notebook cells, split at `# %%`; show results."),
    ] = False,
    language: Annotated[
        str | None,
        typer.Option(
            "--language",
            "-l",
            metavar="NAME",
            autocompletion=options.complete_language,
            help=f"{', '.join(LANGUAGES)}; all but python run as cells. [python]",
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.ipynb",
            help="Where to write the notebook; may be FILE.ipynb itself. [FILE.out.ipynb]",
        ),
    ] = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", "-k", help="Run the cells after one that failed.")
    ] = False,
    figures: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Save cells' pictures here. [beside FILE.py, or here; a notebook holds its own]",
        ),
    ] = None,
    profile: options.Profile = "default",
    timeout: Annotated[
        float | None,
        options.timeout_option(
            "Kill a program after this long, or interrupt a cell, with exit code 124; 0 is never."
        ),
    ] = None,
    ro: options.ReadOnly = None,
    rw: options.ReadWrite = None,
    env: options.Env = None,
    cwd: options.Cwd = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object at the end instead.")
    ] = False,
) -> None:
    """Run Python, a notebook or cells in a new sandbox; on a terminal, a prompt.

    \b
    localbox code                          a prompt, as IPython's
    localbox code program.py one two       a program with its arguments
    localbox code -c 'print(6 * 7)'
    localbox code --cells analysis.py      its `# %%` cells, with figures and tables
    localbox code report.ipynb             writes report.out.ipynb
    localbox code report.ipynb -o report.ipynb --ro . --cwd "$PWD"
    localbox code -l bash -c 'echo $RANDOM'
    """
    request = _Request(
        arguments or [], source, cells, _checked_language(language), output, keep_going, figures
    )
    with in_one_line():
        policy = make_policy(profile, ro or [], rw or [])
        settings = CellSettings(
            policy,
            request.language or "python",
            timeout_s=timeout or None,
            envs=options.variables(env),
            cwd=cwd,
            keep_going=keep_going,
        )
        exit_code = _dispatch(request, settings, as_json=as_json)
    raise typer.Exit(exit_code)


@dataclass(frozen=True)
class _Request:
    arguments: list[str]
    source: str | None
    cells: bool
    language: str | None
    output: str | None
    keep_going: bool
    figures: str | None

    @property
    def is_notebook(self) -> bool:
        return (
            self.source is None
            and self.arguments[:1] != []
            and (self.arguments[0].endswith(_NOTEBOOK))
        )

    @property
    def is_conversation(self) -> bool:
        return self.source is None and not self.arguments and os.isatty(0)

    @property
    def is_cells(self) -> bool:
        return self.cells or self.language not in {None, "python"}


def _dispatch(request: _Request, settings: CellSettings, *, as_json: bool) -> int:
    if request.output is not None and not request.is_notebook:
        raise typer.BadParameter("only a notebook is written", param_hint="--output")
    if request.is_notebook:
        return _run_notebook(request, settings, as_json=as_json)
    if request.is_conversation:
        return _converse(request, settings, as_json=as_json)
    if request.is_cells:
        return _run_cells(request, settings, as_json=as_json)
    for name, given in (("--keep-going", request.keep_going), ("--figures", request.figures)):
        if given:
            raise typer.BadParameter("a program has no cells; see --cells", param_hint=name)
    text, name, args = _read(request)
    return execute(
        Run(
            python_program(text, name, args),
            settings.policy,
            timeout_s=settings.timeout_s,
            envs=settings.envs,
            cwd=settings.cwd,
            feeds_stdin=name != "<stdin>",
            as_json=as_json,
        )
    )


def _run_notebook(request: _Request, settings: CellSettings, *, as_json: bool) -> int:
    from localbox.cli.notebook import check_writable, language_of, read_notebook
    from localbox.cli.notebook_run import NotebookRun, execute_notebook

    path, *args = request.arguments
    if args:
        raise typer.BadParameter(f"a notebook takes no arguments: {' '.join(args)}")
    if request.cells:
        raise typer.BadParameter("a notebook has its cells", param_hint="--cells")
    stem = path.removesuffix(_NOTEBOOK)
    output = request.output or f"{stem}.out{_NOTEBOOK}"
    notebook = read_notebook(path)
    check_writable(output)
    language = request.language or language_of(notebook, path)
    figures = None
    if request.figures is not None:
        figures = Figures(request.figures, os.path.basename(stem))
    return execute_notebook(
        NotebookRun(notebook, output, replace(settings, language=language), figures, as_json)
    )


def _converse(request: _Request, settings: CellSettings, *, as_json: bool) -> int:
    from localbox.cli.prompt import converse

    if as_json:
        raise typer.BadParameter("not at the prompt", param_hint="--json")
    return converse(settings, Figures(request.figures or "", "figure"))


def _run_cells(request: _Request, settings: CellSettings, *, as_json: bool) -> int:
    from localbox.cli.cells_run import CellsRun, execute_cells

    text, name, args = _read(request)
    if args:
        raise typer.BadParameter(f"cells take no arguments: {' '.join(args)}")
    cells = split_cells(text, settings.language) if request.cells else [Cell(text)]
    stem, directory = "figure", request.figures
    if not name.startswith("<"):
        stem = os.path.splitext(os.path.basename(name))[0]
        directory = directory or os.path.dirname(name)
    figures = Figures(directory or "", stem)
    return execute_cells(CellsRun(cells, name, settings, figures, as_json))


def _checked_language(name: str | None) -> str | None:
    if name is None:
        return None
    language = ALIASES.get(name.lower(), name.lower())
    if language not in LANGUAGES:
        raise typer.BadParameter(
            f"{name!r} is none of {', '.join(LANGUAGES)}", param_hint="--language"
        )
    return language


def _read(request: _Request) -> tuple[str, str, list[str]]:
    """The source, its name in tracebacks, and the program's arguments."""
    if request.source is not None:
        return request.source, "<string>", request.arguments
    file, *args = request.arguments or ["-"]
    is_python = request.language in {None, "python"}
    if file == "-":
        return _decode(sys.stdin.buffer.read(), "<stdin>", is_python), "<stdin>", args
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot read {file}: {reason}") from None
    return _decode(content, file, is_python), file, args


def _decode(content: bytes, name: str, is_python: bool) -> str:
    """Source as Python reads it, by its encoding line; other languages have none."""
    try:
        return importlib.util.decode_source(content) if is_python else content.decode("utf-8-sig")
    except (SyntaxError, UnicodeDecodeError) as error:
        kind = "Python source" if is_python else "UTF-8 text"
        raise UserError(f"{name} is not {kind}: {error}") from None
