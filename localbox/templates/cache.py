"""The layers that steps have left, by what they depend on, and their end when nobody needs them.

templates/cache/<key>.json       the topmost layer after a step
"""

from __future__ import annotations

import json
from pathlib import Path

from localbox.engine import layer_store, layers
from localbox.engine.data_dir import subdirectory, write_atomically
from localbox.templates.registry import is_running, templates


def find(key: str) -> tuple[bool, str | None]:
    """Whether the outcome of a step is known, and if so, its topmost layer."""
    try:
        layer_id = json.loads((_directory() / f"{key}.json").read_bytes())["layer_id"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return False, None
    if layer_id is not None and layers.load(layer_id) is None:
        return False, None
    return True, layer_id


def store(key: str, layer_id: str | None) -> None:
    write_atomically(_directory() / f"{key}.json", json.dumps({"layer_id": layer_id}).encode())


def prune() -> int:
    """Delete what was kept of steps that no template needs; returns how many layers that were.

    A build that is running needs what it has built so far, so nothing is deleted meanwhile.
    """
    if any(is_running(path.stem) for path in subdirectory("templates/builds").glob("*.log")):
        return 0
    needed: set[str] = set()
    for template in templates():
        for build_id, _since in template.tags.values():
            layer_id = template.builds[build_id].layer_id
            stack = layers.load(layer_id) if layer_id else None
            needed.update(layer.layer_id for layer in (stack.layers if stack else ()))
    for path in _directory().glob("[!.]*.json"):
        known, layer_id = find(path.stem)
        if not known or layer_id not in needed:
            path.unlink(missing_ok=True)
    retired = 0
    for stack in layers.stacks("template"):
        if stack.layer_id not in needed:
            retired += layer_store.retire(stack.layer_id)
    return retired


def _directory() -> Path:
    return subdirectory("templates/cache")
