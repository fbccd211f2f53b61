"""`create(resources=)` and `set_limits`: what a program asks for, over what its profile says."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from localbox.errors import InvalidArgumentException, PolicyError
from localbox.policy import Policy, units
from localbox.policy.checks import FieldError
from localbox.policy.document import Node
from localbox.policy.schema import resource_fields

# Less than a hundredth of a processor could not answer a ping in time.
_FEWEST_CPUS = 0.01
_MOST_CPUS = 4096.0


class _Given(Node):
    """A value from a program: its errors name the argument instead of a file and line."""

    __slots__ = ()

    def fail(self, problem: str) -> NoReturn:
        raise PolicyError(f"{self.file}[{self.path!r}]: {problem}")


def with_resources(policy: Policy, resources: Mapping[str, Any]) -> Policy:
    """The policy with the `resources` of a caller in place of its own.

    Args:
        resources: keys and values as in the `resources` section of a profile; and "cpus", which
            is no policy's. See `cpus_of`.

    Raises:
        PolicyError: an unknown key or a value that cannot be; the message names the key.
        InvalidArgumentException: no mapping at all.
    """
    if not isinstance(resources, Mapping):
        raise InvalidArgumentException(f"resources must be a dict, not {resources!r}")
    nodes: dict[str, Node] = {
        str(key): _Given(_text(value), "resources", 0, str(key))
        for key, value in resources.items()
        if key != "cpus"
    }
    fields = resource_fields(nodes, extra=("cpus",))
    try:
        return dataclasses.replace(
            policy, resources=dataclasses.replace(policy.resources, **fields)
        )
    except FieldError as error:
        raise PolicyError(f"resources[{error.key!r}]: {error.problem}") from None


def cpus_of(resources: Mapping[str, Any]) -> float | None:
    """The limit of processors among them.

    Raises:
        InvalidArgumentException: it is no number of processors.
    """
    cpus = resources.get("cpus") if isinstance(resources, Mapping) else None
    return None if cpus is None else parse_cpus(cpus, "resources['cpus']")


def check_memory(policy: Policy, memory: str | int | None) -> int | None:
    """`set_limits(max_memory=)` in bytes.

    Raises:
        InvalidArgumentException: it is no size, or too little to live on.
    """
    if memory is None:
        return None
    try:
        if isinstance(memory, bool) or not isinstance(memory, str | int):
            raise ValueError(f"expected a size such as 512MB, 512MiB or bytes, not {memory!r}")
        memory_bytes = memory if isinstance(memory, int) else units.parse_size(memory)
        dataclasses.replace(policy.resources, memory_bytes=memory_bytes)
    except FieldError as error:
        hint = '; an int counts bytes, write "512MiB" for mebibytes'
        raise InvalidArgumentException(
            f"max_memory: {error.problem}{hint if isinstance(memory, int) else ''}"
        ) from None
    except ValueError as error:
        raise InvalidArgumentException(f"max_memory: {error}") from None
    return memory_bytes


def parse_cpus(cpus: object, what: str) -> float:
    """A number of processors: 1, "1", 0.5 or "1.5".

    Raises:
        InvalidArgumentException: it is none.
    """
    number = math.nan
    if isinstance(cpus, str | int | float) and not isinstance(cpus, bool):
        try:
            number = float(cpus)
        except ValueError:
            pass
    # Not a number compares false to everything.
    if not _FEWEST_CPUS <= number <= _MOST_CPUS:
        raise InvalidArgumentException(
            f"{what} must be a number of processors from {_FEWEST_CPUS} to {_MOST_CPUS:.0f}, such "
            f'as 1, 0.5 or "1.5", not {cpus!r}'
        )
    return number


def _text(value: object) -> Any:
    """As a profile would have it written."""
    if value is None:
        return "null"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return repr(value)
    return str(value)
