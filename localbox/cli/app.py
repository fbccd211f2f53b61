"""The commands and their options, as typer declares them; the work is elsewhere in this folder."""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import sys
from typing import Annotated

import typer

import localbox
from localbox.cli.execution import LONGEST_S, Run, execute, python_program, shell_program
from localbox.cli.failures import UserError, in_one_line
from localbox.cli.mounts import make_policy

app = typer.Typer(
    name="localbox",
    help="Run code in a sandbox on this machine.",
    no_args_is_help=True,
    # A traceback of ours means a bug, and then the plain one is the one to send.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Profile = Annotated[
    str, typer.Option("--profile", "-p", help="A shipped profile's name, or a YAML file's path.")
]
Timeout = Annotated[
    float | None,
    # The upper limit is there to refuse `inf`, and with it `nan`.
    typer.Option(
        metavar="SECONDS",
        min=0,
        max=LONGEST_S,
        show_default=False,
        help="Kill it after this long, with exit code 124; 0 is never, as if not given.",
    ),
]
ReadOnly = Annotated[
    list[str] | None,
    typer.Option(
        "--ro", metavar="PATH[:GUEST]", help="Show a host path, at the same place or at GUEST."
    ),
]
ReadWrite = Annotated[
    list[str] | None,
    typer.Option("--rw", metavar="PATH[:GUEST]", help="The same, writable."),
]
Env = Annotated[
    list[str] | None, typer.Option("--env", "-e", metavar="K=V", help="Set a variable.")
]
Cwd = Annotated[
    str | None, typer.Option(metavar="DIR", help="Where to run, in the sandbox. [/home/user]")
]
# Options of the command that is run are not ours.
_FIRST_WORD_ENDS_OPTIONS = {"allow_interspersed_args": False}


@app.command(context_settings=_FIRST_WORD_ENDS_OPTIONS)
def run(
    command: Annotated[list[str], typer.Argument(metavar="[--] CMD...", show_default=False)],
    profile: Profile = "default",
    timeout: Timeout = None,
    ro: ReadOnly = None,
    rw: ReadWrite = None,
    env: Env = None,
    cwd: Cwd = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print stdout, stderr and exit code as one JSON object.")
    ] = False,
) -> None:
    """Run a command in a new sandbox; its output and exit code become this program's."""
    with in_one_line():
        exit_code = execute(
            Run(
                shell_program(command),
                make_policy(profile, ro or [], rw or []),
                timeout_s=timeout or None,
                envs=_variables(env or []),
                cwd=cwd,
                as_json=as_json,
            )
        )
    raise typer.Exit(exit_code)


@app.command(context_settings=_FIRST_WORD_ENDS_OPTIONS)
def code(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[FILE.py | -] [ARGS]...", show_default=False),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--code", "-c", metavar="CODE", help="Python source to run.")
    ] = None,
    profile: Profile = "default",
    timeout: Timeout = None,
    ro: ReadOnly = None,
    rw: ReadWrite = None,
    env: Env = None,
    cwd: Cwd = None,
) -> None:
    """Run Python from a file, from -c or from standard input in a new sandbox."""
    with in_one_line():
        program, from_stdin = _python(source, arguments or [])
        exit_code = execute(
            Run(
                program,
                make_policy(profile, ro or [], rw or []),
                timeout_s=timeout or None,
                envs=_variables(env or []),
                cwd=cwd,
                feeds_stdin=not from_stdin,
            )
        )
    raise typer.Exit(exit_code)


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="For machines: JSON on stdout.")] = False,
) -> None:
    """Try every wall by running something contained; say what does not stand and what to do."""
    from localbox.cli import doctor_report
    from localbox.cli.doctor import examine

    with in_one_line():
        report = examine()
    if as_json:
        print(doctor_report.to_json(report))
    else:
        doctor_report.print_table(report)
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def profiles() -> None:
    """List the profiles that come with localbox."""
    from localbox.policy import shipped

    with in_one_line():
        names = shipped.shipped_profiles()
        width = max(map(len, names))
        for name in names:
            text = shipped.shipped_file(name).read_text("utf-8")
            print(f"{name:{width}}  {_first_sentence(text)}")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"localbox {localbox.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


def _first_sentence(profile: str) -> str:
    """Of the comment a profile starts with."""
    comment = itertools.takewhile(lambda line: line.startswith("#"), profile.splitlines())
    return re.split(r"[.:;](?= |$)", " ".join(line.strip("# ") for line in comment))[0]


def _variables(assignments: list[str]) -> dict[str, str]:
    variables = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"expected NAME=VALUE, not {assignment!r}", param_hint="--env")
        variables[name] = value
    return variables


def _python(source: str | None, arguments: list[str]) -> tuple[dict[str, object], bool]:
    """The program, and whether standard input was where it came from."""
    if source is not None:
        return python_program(source, "<string>", arguments), False
    if not arguments and os.isatty(0):
        raise typer.BadParameter("give a FILE.py, -c CODE, or the program on standard input")
    file, args = (arguments[0], arguments[1:]) if arguments else ("-", [])
    if file == "-":
        return python_program(_decode(sys.stdin.buffer.read(), "<stdin>"), "<stdin>", args), True
    try:
        with open(file, "rb") as stream:
            content = stream.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(f"cannot read {file}: {reason}") from None
    return python_program(_decode(content, file), file, args), False


def _decode(content: bytes, name: str) -> str:
    """Source as Python reads it, by its encoding line."""
    try:
        return importlib.util.decode_source(content)
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UserError(f"{name} is not Python source: {error}") from None
