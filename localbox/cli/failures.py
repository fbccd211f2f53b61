"""What goes wrong, as one line on stderr and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from localbox import errors

# As timeout(1).
TIMED_OUT = 124
# Half of E2B's exceptions are no SandboxExceptions; see localbox/errors.py.
_EXPECTED = (
    errors.SandboxException,
    errors.AuthenticationException,
    errors.BuildException,
    errors.ServiceBusyException,
    errors.SecretException,
    errors.VolumeException,
)


class UserError(Exception):
    """What the user asked for cannot be done; the message says why and what to do."""

    exit_code = 1


class NotebookError(UserError):
    """There is no notebook to run. Not 1, which says that one of its cells has failed."""

    exit_code = 2


class WallTimeError(UserError):
    """The profile's limit has ended the sandbox."""

    exit_code = TIMED_OUT


def complain(message: object) -> None:
    print(f"localbox: {' '.join(str(message).split())}", file=sys.stderr)


@contextmanager
def in_one_line() -> Iterator[None]:
    """End the command with one line and an exit code where localbox raises what it documents."""
    try:
        yield
    except (UserError, *_EXPECTED) as error:
        complain(error)
        exit_code = error.exit_code if isinstance(error, UserError) else 1
        raise typer.Exit(exit_code) from None
