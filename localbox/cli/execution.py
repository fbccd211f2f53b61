"""Runs one program in a sandbox of its own and ends both: what `run` and `code` have in common."""

from __future__ import annotations

import json
import math
import os
import shlex
import sys
import time
from dataclasses import dataclass
from typing import Any

from localbox._sync.sandbox import Sandbox
from localbox.cli.failures import TIMED_OUT, complain
from localbox.cli.options import LONGEST_S
from localbox.cli.streaming import (
    OutputClosedError,
    copy_output,
    forward_stdin,
    stdin_can_be_forwarded,
)
from localbox.errors import SandboxNotRunningException, TimeoutException
from localbox.policy import Policy

# The command's own timeout comes first, because it says more.
_MARGIN_S = 60
OUTPUT_CLOSED = 128 + 13  # as if by SIGPIPE


@dataclass(frozen=True)
class Run:
    """What to run, and how.

    Args:
        program: the part of a start request that says what: `argv`, or `code` and its name.
        timeout_s: kill it after this long; None for never.
        feeds_stdin: let it read our standard input, where that is not a terminal.
        as_json: print one JSON object at the end instead of the output as it comes.
    """

    program: dict[str, Any]
    policy: Policy
    timeout_s: float | None = None
    envs: dict[str, str] | None = None
    cwd: str | None = None
    feeds_stdin: bool = True
    as_json: bool = False


def shell_program(argv: list[str]) -> dict[str, Any]:
    """A command by its words. `exec`, so that none is taken for a shell's keyword or assignment."""
    return {"argv": ["/bin/bash", "-l", "-c", f"exec -- {shlex.join(argv)}"]}


def python_program(code: str, filename: str, args: list[str]) -> dict[str, Any]:
    # As Python itself fills sys.argv.
    argv0 = {"<string>": "-c", "<stdin>": "-"}.get(filename, filename)
    return {"code": code, "filename": filename, "argv": [argv0, *args]}


def execute(run: Run) -> int:
    """Run it to its end; returns the exit code for this program to end with."""
    started = time.monotonic()
    lifetime_s = LONGEST_S if run.timeout_s is None else math.ceil(run.timeout_s) + _MARGIN_S
    feeds_stdin = run.feeds_stdin and stdin_can_be_forwarded()
    with Sandbox.create(timeout=lifetime_s, profile=run.policy) as sandbox:
        # Neither `run` nor `run_python` fits both: one takes no source, the other no stdin.
        handle = sandbox.commands._start(
            # In the background in the agent's sense: the pid is wanted at once, to feed it.
            {**run.program, "background": True},
            run.envs,
            None,
            run.cwd,
            feeds_stdin,
            run.timeout_s,
            run.as_json,
            None,
            None,
        )
        problem = None
        try:
            if feeds_stdin:
                forward_stdin(handle)
            exit_code = copy_output(handle, to_stdio=not run.as_json)
        except OutputClosedError:
            return OUTPUT_CLOSED
        except TimeoutException as error:
            problem = _why_too_late(error, run, time.monotonic() - started)
            if problem is None:
                raise
            exit_code = TIMED_OUT
            complain(problem)
        if run.as_json:
            output = handle._output
            print_json(
                {
                    "stdout": output.stdout,
                    "stderr": output.stderr,
                    "exit_code": exit_code,
                    "error": problem or output.error,
                }
            )
        return exit_code


def _why_too_late(error: TimeoutException, run: Run, elapsed_s: float) -> str | None:
    """Which limit ended it; None if the sandbox ended for another reason."""
    if not isinstance(error, SandboxNotRunningException):
        return f"timeout: killed after {run.timeout_s:g} s"
    wall_time_s = run.policy.resources.wall_time_s
    if wall_time_s is not None and elapsed_s >= wall_time_s:
        profile = run.policy.name
        return f"timeout: resources.wall_time of profile {profile} is {wall_time_s:g} s"
    return None


def print_json(result: dict[str, Any]) -> None:
    try:
        print(json.dumps(result), flush=True)
    except BrokenPipeError:
        # Python would try once more at its exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
