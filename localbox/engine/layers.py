"""Layers: what sandboxes wrote, kept on the host's disk. Snapshots, forks and templates are these.

A *layer* is a directory `layers/<id>` of the data directory with one tree for each writable place
of a sandbox, as the upper directory of an overlay holds it, and `layer.json`. A *stack* is a layer
and those below it. A sandbox made on a stack shares its files; nothing is copied.

For those who build on this:

    use = await sandbox._capture_use("template") # a new layer over the sandbox's own; use.close()
    stack = layers.resolve(id_or_name)           # NotFoundException; find() returns None instead
    record = await cls._launch(..., stack=stack) # a sandbox on it; its profile if none is given
    layers.set_name("name:tag", layer_id)        # a name moves from the layer that had it
    layer_store.retire(layer_id)                 # gone when no sandbox and no layer needs it

`Stack.layer_id` is what to write down; `resolve` reads it again, in this program or a later one.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localbox.engine.data_dir import has_subdirectory, subdirectory, write_atomically
from localbox.errors import InvalidArgumentException, NotFoundException, SandboxException
from localbox.policy import Policy, load_profile

FORMAT = 1
DESCRIPTION = "layer.json"
RETIRED = "retired"
DEFAULT_TAG = "default"
# How many layers a sandbox is put together from: each takes a descriptor while it is made.
MOST_LAYERS = 12

_ID = re.compile(r"s[0-9a-f]{19}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True)
class Part:
    """One tree of a layer: a guest path, the directory that holds it, and that path's mode."""

    guest_path: str
    directory: str
    mode: int


@dataclass(frozen=True)
class Layer:
    layer_id: str
    host_path: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Stack:
    """
    Args:
        layers: the lowest first; the last is that of `layer_id`.
        description: the `layer.json` of the topmost.
    """

    layers: tuple[Layer, ...]
    description: Mapping[str, Any] = field(compare=False)

    @property
    def layer_id(self) -> str:
        return self.layers[-1].layer_id

    @property
    def kind(self) -> str:
        """ "snapshot", "template" or "fork"; a fork's ends with the last sandbox on it."""
        return str(self.description["kind"])

    @property
    def template(self) -> str:
        """What the sandbox was made from whose files these are."""
        return str(self.description["template"])

    def policy(self) -> Policy:
        """The policy that sandbox had: what its profile says today, or a policy made in code.

        Raises:
            SandboxException: it was written by another version of localbox.
            PolicyError: the profile is not there any more, or not valid.
        """
        if self.description.get("profile"):
            return load_profile(self.description["profile"])
        from localbox.engine.layer_policy import read_policy

        return read_policy(self.description["policy"], self.layer_id)


def layers_dir() -> Path:
    return subdirectory("layers")


def names_dir() -> Path:
    return subdirectory("layer-names")


def is_layer_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def new_layer_id() -> str:
    return "s" + os.urandom(10).hex()[:19]


def read_description(layer_id: str) -> dict[str, Any] | None:
    """What a layer says of itself; None if there is no such layer, or it is not complete.

    Raises:
        SandboxException: it is not for this version of localbox to read.
    """
    try:
        text = (layers_dir() / layer_id / DESCRIPTION).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        description = json.loads(text)
        known = description["format"] == FORMAT
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise SandboxException(
            f"layer {layer_id} in {layers_dir()} was written by another version of localbox, or is "
            "damaged; delete it, or use that version"
        )
    return dict(description)


def is_there(layer_id: str) -> bool:
    """Whether there is such a layer, complete and not deleted."""
    host_path = layers_dir() / layer_id
    return (host_path / DESCRIPTION).exists() and not (host_path / RETIRED).exists()


def load(layer_id: str) -> Stack | None:
    """The stack whose topmost layer this is; None if there is none, or it was deleted."""
    if not is_layer_id(layer_id) or not is_there(layer_id):
        return None
    description = read_description(layer_id)
    if description is None:
        return None
    layers = []
    for each in [*description["parents"], layer_id]:
        own = description if each == layer_id else read_description(each)
        if own is None:
            raise SandboxException(
                f"layer {layer_id} stands on layer {each}, which is missing from {layers_dir()}"
            )
        parts = tuple(Part(path, directory, mode) for path, directory, mode in own["parts"])
        layers.append(Layer(each, str(layers_dir() / each), parts))
    return Stack(tuple(layers), description)


def find(name_or_id: str) -> Stack | None:
    """A stack by the id of its topmost layer, or by its name, "name" or "name:tag"."""
    if not has_subdirectory("layers"):
        return None
    stack = load(name_or_id)
    if stack is not None:
        return stack
    try:
        target = (names_dir() / _file_name(name_or_id)).read_text("ascii")
    except (InvalidArgumentException, FileNotFoundError):
        return None
    return load(target)


def resolve(name_or_id: str) -> Stack:
    """
    Raises:
        NotFoundException: there is neither a layer nor a name like this.
    """
    stack = find(name_or_id)
    if stack is None:
        raise NotFoundException(f"snapshot {name_or_id!r} is not found")
    return stack


def full_name(name: str) -> str:
    """ "name:tag", with the default tag if there is none.

    Raises:
        InvalidArgumentException: it cannot be a name.
    """
    base, colon, tag = name.partition(":") if isinstance(name, str) else ("", "", "")
    tag = tag if colon else DEFAULT_TAG
    if not _NAME.fullmatch(base) or not _NAME.fullmatch(tag) or is_layer_id(base):
        raise InvalidArgumentException(
            f"name={name!r}: a snapshot's name is letters, digits and any of _ . - after the first,"
            " and may be followed by a colon and a tag of the same kind"
        )
    return f"{base}:{tag}"


def set_name(name: str, layer_id: str) -> str:
    """Let a name mean this layer from now on; returns it with its tag."""
    write_atomically(names_dir() / _file_name(name), layer_id.encode("ascii"))
    return full_name(name)


def names() -> dict[str, list[str]]:
    """The names of each layer that has any, by its id."""
    found: dict[str, list[str]] = {}
    for file in sorted(names_dir().iterdir()):
        if not file.name.startswith("."):
            # Another program may delete it at this moment.
            with contextlib.suppress(FileNotFoundError):
                found.setdefault(file.read_text("ascii"), []).append(file.name)
    return found


def forget_names(layer_id: str) -> None:
    for name in names().get(layer_id, []):
        (names_dir() / name).unlink(missing_ok=True)


def stacks(kind: str) -> list[Stack]:
    """All of one kind that can be used, the newest first."""
    found = []
    for entry in os.listdir(layers_dir()):
        try:
            stack = load(entry)
        except SandboxException:
            continue
        if stack is not None and stack.kind == kind:
            found.append(stack)
    return sorted(found, key=lambda stack: (stack.description["created"], stack.layer_id))[::-1]


def describe(kind: str, policy: Policy, template: str, source: str) -> dict[str, Any]:
    """The beginnings of a `layer.json`."""
    profile = None
    if _is_unchanged(policy):
        from localbox.policy import shipped_profiles

        shipped = policy.name in shipped_profiles()
        shipped = shipped and load_profile(policy.name).source == policy.source
        profile = policy.name if shipped else policy.source
    return {
        "format": FORMAT,
        "kind": kind,
        # "full" would be a second kind of part beside the trees: the memory of Python contexts.
        "mode": "filesystem",
        "template": template,
        "source": source,
        "created": time.time(),
        "profile": profile,
        "policy": None if profile else policy.to_dict(),
    }


def _is_unchanged(policy: Policy) -> bool:
    """Whether it is what its profile says, and not something made of it in code."""
    try:
        return load_profile(policy.source).digest == policy.digest
    except (SandboxException, ValueError, OSError):
        return False


def _file_name(name: str) -> str:
    # Neither "/" nor a leading dot can be in it.
    return full_name(name)
