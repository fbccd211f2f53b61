"""Options that more than one command has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import typer

# Sandboxes have a timeout, programs on a command line do not unless asked for.
LONGEST_S = 366 * 86400


def complete_profile(incomplete: str) -> Iterator[str]:
    """Shipped profiles; with nothing to say, the shell completes the names of files."""
    from localbox.policy import shipped

    return (name for name in shipped.shipped_profiles() if name.startswith(incomplete))


def complete_language(incomplete: str) -> Iterator[str]:
    from localbox.kernels.languages import LANGUAGES

    return (name for name in LANGUAGES if name.startswith(incomplete))


def timeout_option(help_text: str) -> typer.models.OptionInfo:
    option: typer.models.OptionInfo = typer.Option(
        metavar="SECONDS",
        min=0,
        # Also refuses `inf`, and with it `nan`.
        max=LONGEST_S,
        show_default=False,
        help=help_text,
    )
    return option


Profile = Annotated[
    str,
    typer.Option(
        "--profile",
        "-p",
        help="A shipped profile's name, or a YAML file's path.",
        autocompletion=complete_profile,
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


def variables(assignments: list[str] | None) -> dict[str, str]:
    """What `--env` says."""
    result = {}
    for assignment in assignments or []:
        name, equals, value = assignment.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"expected NAME=VALUE, not {assignment!r}", param_hint="--env")
        result[name] = value
    return result
