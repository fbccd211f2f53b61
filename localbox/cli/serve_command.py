"""`localbox serve` and `localbox env`: E2B's own SDKs on this machine."""

from __future__ import annotations

import shlex
import sys
import threading
from collections.abc import Mapping
from typing import Annotated

import typer

from localbox.cli import options
from localbox.cli.failures import UserError, in_one_line

DEFAULT_PORT = 8383

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def serve(
    host: Annotated[
        str, typer.Option(help="The address to listen on; others can come in if it is not this.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="The port to listen on; 0 is any that is free.", min=0, max=65535)
    ] = DEFAULT_PORT,
    profile: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="The profile of its sandboxes.",
            autocompletion=options.complete_profile,
        ),
    ] = None,
    max_sandboxes: Annotated[
        int | None, typer.Option(help="How many sandboxes there may be at once.", min=1)
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(
            envvar="LOCALBOX_API_KEY", help="What clients have to know; made up if not given."
        ),
    ] = None,
) -> None:
    """Serve E2B's API, so that programs written for E2B run on this machine, unchanged.

    Prints the variables they need. Ctrl-C ends the server and its sandboxes.
    """
    from localbox.server.run import serve as start

    with in_one_line(), start(port, host, profile, max_sandboxes, api_key) as server:
        from localbox.server.whereabouts import announced

        with announced(server.env):
            # What a signal raises ends the block, and with it the sandboxes.
            _print_exports(server.env)
            print(f"localbox: serving at {server.url}; Ctrl-C ends it", file=sys.stderr)
            if host not in _LOOPBACK:
                print(
                    f"localbox: whoever reaches {host} and has the key can run code in sandboxes, "
                    "and the connection is not encrypted",
                    file=sys.stderr,
                )
            threading.Event().wait()


def env(
    port: Annotated[
        int | None, typer.Option(help="Of the server there, not of the one started last.")
    ] = None,
) -> None:
    """Print what makes E2B's SDKs use the server that runs: `eval "$(localbox env)"`."""
    from localbox.server.whereabouts import find

    with in_one_line():
        found = find(port)
        if found is None:
            where = "" if port is None else f" on port {port}"
            raise UserError(f"no server of yours runs{where}; start one with `localbox serve`")
        _print_exports(found)


def _print_exports(variables: Mapping[str, str]) -> None:
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}", flush=True)
