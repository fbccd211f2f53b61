"""The commands and their options, as typer declares them; the work is elsewhere in this folder."""

from __future__ import annotations

import itertools
import re
from typing import Annotated

import typer

import localbox
from localbox.cli import options, serve_command, template_command
from localbox.cli.code_command import CodeCommand, code
from localbox.cli.execution import Run, execute, shell_program
from localbox.cli.failures import in_one_line
from localbox.cli.mounts import make_policy

app = typer.Typer(
    name="localbox",
    help="Run code in a sandbox on this machine.",
    no_args_is_help=True,
    # A traceback of ours means a bug, and then the plain one is the one to send.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

# Options of the command that is run are not ours.
_FIRST_WORD_ENDS_OPTIONS = {"allow_interspersed_args": False}


@app.command(context_settings=_FIRST_WORD_ENDS_OPTIONS)
def run(
    command: Annotated[list[str], typer.Argument(metavar="[--] CMD...", show_default=False)],
    profile: options.Profile = "default",
    timeout: Annotated[
        float | None,
        options.timeout_option(
            "Kill it after this long, with exit code 124; 0 is never, as if not given."
        ),
    ] = None,
    ro: options.ReadOnly = None,
    rw: options.ReadWrite = None,
    env: options.Env = None,
    cwd: options.Cwd = None,
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
                envs=options.variables(env),
                cwd=cwd,
                as_json=as_json,
            )
        )
    raise typer.Exit(exit_code)


app.command(cls=CodeCommand, context_settings=_FIRST_WORD_ENDS_OPTIONS)(code)
app.add_typer(template_command.app, name="template")
app.command()(serve_command.serve)
app.command()(serve_command.env)


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
