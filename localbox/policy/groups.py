"""Named groups of system calls: `@network` and its like to names, from profiles/syscalls.yaml."""

from __future__ import annotations

import functools

from localbox.errors import PolicyError
from localbox.policy import shipped
from localbox.policy.checks import did_you_mean
from localbox.policy.document import Node, parse_document, read_text


def expand(entries: list[Node]) -> tuple[str, ...]:
    """Replace each `@group` by its calls; what comes twice is kept once, in order of the alphabet.

    Raises:
        PolicyError: a group that does not exist, or a call named twice in so many words.
    """
    groups = _groups()
    names: set[str] = set()
    spelled_out: set[str] = set()
    for entry in entries:
        word = entry.value
        if not isinstance(word, str) or not word:
            entry.fail("expected a system call or an @group")
        if not word.startswith("@"):
            if word in spelled_out:
                entry.fail(f"{word!r} is listed twice")
            spelled_out.add(word)
            names.add(word)
        elif word[1:] in groups:
            names |= groups[word[1:]]
        else:
            hint = did_you_mean(word, (f"@{group}" for group in groups))
            entry.fail(f"{word!r} is no group of system calls{hint}")
    return tuple(sorted(names))


def group_names() -> list[str]:
    """Every group there is."""
    return sorted(_groups())


@functools.cache
def _groups() -> dict[str, frozenset[str]]:
    file = shipped.syscalls_file()
    root = parse_document(read_text(file), str(file))
    if not isinstance(root.value, dict):
        root.fail("expected groups of system calls")
    resolved: dict[str, frozenset[str]] = {}
    for group in root.value:
        _resolve(group, root.value, resolved, ())
    return resolved


def _resolve(
    group: str, table: dict[str, Node], resolved: dict[str, frozenset[str]], above: tuple[str, ...]
) -> frozenset[str]:
    if group in resolved:
        return resolved[group]
    if group in above or group not in table:
        raise PolicyError(f"@{group}: unknown, or part of itself")
    names: set[str] = set()
    node = table[group]
    if not isinstance(node.value, list):
        node.fail("expected a list of system calls")
    for entry in node.value:
        if not isinstance(entry.value, str):
            entry.fail("expected a system call or an @group")
        elif entry.value.startswith("@"):
            names |= _resolve(entry.value[1:], table, resolved, (*above, group))
        else:
            names.add(entry.value)
    resolved[group] = frozenset(names)
    return resolved[group]
