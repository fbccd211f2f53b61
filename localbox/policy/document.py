"""YAML text to a tree of nodes that remember their file and line.

Composed from the parser's events instead of `yaml.compose`: libyaml's composer recurses in C,
and 100 kB of "[" make it crash the interpreter. Here nesting and size are bounded first.

Scalars stay text; what `none`, `no` or `0755` means is for the key that holds it to say, so
YAML 1.1's surprises (`no` is false, `1:30` is 90) cannot happen.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from localbox.errors import PolicyError

MAX_FILE_BYTES = 1 << 20
# Aliases are counted as often as they are used, so "billion laughs" ends here too.
MAX_NODES = 20_000
MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Node:
    """One value of a document: text (None for an empty one), a list or a mapping."""

    value: str | list[Node] | dict[str, Node] | None
    file: str
    line: int
    path: str = ""  # key path, such as resources.memory
    quoted: bool = False
    count: int = 1  # nodes in this subtree, itself included
    depth: int = 0  # levels below it

    @property
    def is_null(self) -> bool:
        """Whether it was left empty or written as YAML's null."""
        if self.quoted or isinstance(self.value, (list, dict)):
            return False
        return self.value in {None, "", "~", "null", "Null", "NULL"}

    def fail(self, problem: str) -> NoReturn:
        """Raise the error that says where in which file the problem is."""
        key = f"{self.path}: " if self.path else ""
        raise PolicyError(f"{self.file}:{self.line}: {key}{problem}")


def read_text(file: Path) -> str:
    """Read a file somebody named: regular files only, and no more than a profile needs."""
    try:
        # O_NONBLOCK: opening a FIFO would otherwise wait for a writer that may never come.
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise PolicyError(f"cannot read {str(file)!r}: {reason}") from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise PolicyError(f"cannot read {str(file)!r}: not a regular file")
        with os.fdopen(fd, "rb", closefd=False) as stream:
            content = stream.read(MAX_FILE_BYTES + 1)
    finally:
        os.close(fd)
    if len(content) > MAX_FILE_BYTES:
        raise PolicyError(f"cannot read {str(file)!r}: larger than {MAX_FILE_BYTES} bytes")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file}: not UTF-8 text (byte {error.start})") from error


def parse_document(text: str, file: str) -> Node:
    """Compose the one document in `text`; an empty one is an empty mapping."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _Composer(yaml.parse(text, Loader=loader), file).document()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{file}:{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:  # a control character, say
        raise PolicyError(f"{file}:1: not YAML: {' '.join(str(error).split())}") from error


class _Composer:
    def __init__(self, events: Iterator[Any], file: str) -> None:
        self._events = events
        self._file = file
        self._anchors: dict[str, Node] = {}
        self._count = 0

    def document(self) -> Node:
        for event in self._events:
            kind = type(event).__name__
            if kind == "DocumentStartEvent":
                break
        else:
            return Node({}, self._file, 1)
        root = self._node(self._next(), "", 0)
        self._next()  # the end of the document
        end = self._next()
        if type(end).__name__ != "StreamEndEvent":
            self._fail(end, "a second document; a profile is one")
        return Node({}, self._file, root.line) if root.is_null else root

    def _next(self) -> Any:
        return next(self._events)

    def _node(self, event: Any, path: str, depth: int) -> Node:
        kind = type(event).__name__
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
        if kind == "AliasEvent":
            # An anchor is known only once its node is complete, so no node contains itself.
            known = self._anchors.get(event.anchor)
            if known is None:
                self._fail(event, f"*{event.anchor} names no anchor above it")
            if depth + known.depth > MAX_DEPTH:
                self._fail(event, f"nested deeper than {MAX_DEPTH} levels")
            self._charge(event, known.count)
            return _moved(known, path)
        self._charge(event, 1)
        if event.tag is not None:
            self._fail(event, f"the tag {event.tag} has no meaning in a profile")
        value: str | list[Node] | dict[str, Node]
        children: list[Node] = []
        quoted = False
        if kind == "ScalarEvent":
            value, quoted = event.value, not event.implicit[0]
        elif kind == "SequenceStartEvent":
            while type(item := self._next()).__name__ != "SequenceEndEvent":
                children.append(self._node(item, f"{path}[{len(children)}]", depth + 1))
            value = children
        else:
            value = self._mapping(path, depth)
            children = list(value.values())
        count = 1 + sum(child.count for child in children)
        below = 1 + max(child.depth for child in children) if children else 0
        node = Node(value, self._file, line, path, quoted, count, below)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _mapping(self, path: str, depth: int) -> dict[str, Node]:
        items: dict[str, Node] = {}
        while type(key := self._next()).__name__ != "MappingEndEvent":
            if type(key).__name__ != "ScalarEvent":
                self._fail(key, "a key must be plain text")
            key_path = f"{path}.{key.value}" if path else key.value
            if key.value in items:
                self._fail(key, f"{key_path}: this key was set above already")
            value = self._node(self._next(), key_path, depth + 1)
            # The key's line, not the value's: a value may start lines below its key.
            items[key.value] = _at_line(value, key.start_mark.line + 1)
        return items

    def _charge(self, event: Any, nodes: int) -> None:
        self._count += nodes
        if self._count > MAX_NODES:
            self._fail(event, f"more than {MAX_NODES} values, aliases counted each time")

    def _fail(self, event: Any, problem: str) -> NoReturn:
        raise PolicyError(f"{self._file}:{event.start_mark.line + 1}: {problem}")


def _at_line(node: Node, line: int) -> Node:
    return Node(node.value, node.file, line, node.path, node.quoted, node.count, node.depth)


def _moved(node: Node, path: str) -> Node:
    """Copy an aliased node to where it is used, so that errors name that key path."""
    value = node.value
    if isinstance(value, list):
        value = [_moved(child, f"{path}[{at}]") for at, child in enumerate(value)]
    elif isinstance(value, dict):
        value = {key: _moved(child, f"{path}.{key}") for key, child in value.items()}
    return Node(value, node.file, node.line, path, node.quoted, node.count, node.depth)
