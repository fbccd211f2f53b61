"""What the tests of cells share: gates that a cell waits at, and policies."""

from __future__ import annotations

import dataclasses

from localbox import AsyncSandbox
from localbox.policy import Policy, load_profile

# Far more than any of these cells takes: a claim that fails ends in an error, not in a hang.
PATIENCE_S = 20


async def make_gate(sandbox: AsyncSandbox, name: str) -> None:
    """A file on which `open(name).read()` in a cell waits for `open_gate`."""
    await sandbox.commands.run(f"mkfifo {name}")


async def open_gate(sandbox: AsyncSandbox, name: str) -> None:
    """Let the cell go on as soon as it gets there; for callbacks too, so it does not wait."""
    await sandbox.commands.run(f"echo open > {name}", background=True, timeout=PATIENCE_S)


def with_output_limit(limit_bytes: int) -> Policy:
    policy = load_profile("default")
    resources = dataclasses.replace(policy.resources, output_bytes=limit_bytes)
    return dataclasses.replace(policy, resources=resources)
