"""What a sandbox takes over from the template it is made from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable

from localbox.engine import layers
from localbox.engine.base_root import HOME
from localbox.engine.creation import resolve_policy
from localbox.engine.python_environment import current_environment
from localbox.errors import NotFoundException, TemplateException
from localbox.policy import Policy, checks, merge_overrides
from localbox.templates import registry
from localbox.templates.registry import Build


def find_build(name: str) -> Build | None:
    """The build that a sandbox is to be made from; None if no template has this name.

    Raises:
        NotFoundException: the template has no build of this tag.
    """
    return registry.find_build(name)


def stack_of(build: Build, name: str) -> layers.Stack | None:
    """Its files; None if no step has changed any.

    Raises:
        TemplateException: they are missing.
    """
    if build.layer_id is None:
        return None
    stack = layers.load(build.layer_id)
    if stack is None:
        raise TemplateException(
            f"the files of template {name!r} (layer {build.layer_id}) are missing from "
            f"{layers.layers_dir()}; build it again"
        )
    return stack


def not_found(name: str, built_in: list[str]) -> NotFoundException:
    built = [template.name for template in registry.templates()]
    near = registry.did_you_mean(name, [*built_in, *built, *_snapshot_names()])
    there = ", ".join(map(repr, [*built_in, *built]))
    return NotFoundException(
        f"template {name!r} is not found; there is {there}, and no snapshot has this id or "
        f"name{near}"
    )


def _snapshot_names() -> list[str]:
    return [name.partition(":")[0] for several in layers.names().values() for name in several]


def policy_for(build: Build, profile: str | os.PathLike[str] | Policy | None) -> Policy:
    """The policy of a sandbox made from `build`.

    It is never the one the template was built with, which has the network.
    """
    policy = resolve_policy(profile, build.base)
    resources = policy.resources
    memory = None if build.memory_mb is None else build.memory_mb << 20
    disk = None
    if build.disk_mb is not None:
        disk = max(policy.filesystem.disk_bytes, build.disk_mb << 20)
    if memory is not None or disk is not None:
        memory = resources.memory_bytes if memory is None else memory
        policy = merge_overrides(policy, memory=memory, disk=disk)
    return with_places(policy, build.places)


def with_places(policy: Policy, places: Iterable[str]) -> Policy:
    """The policy with directories of the sandbox's own, as `filesystem.overlay` names them."""
    own = policy.filesystem.overlay
    wanted = set(places)
    prefix = current_environment().prefix
    if "python" in own and any(
        prefix.startswith(f"{path}/") for path in (HOME, "/tmp", "/var/tmp")
    ):
        # Below a directory of the sandbox's own "python" gives no overlay, which would cost every
        # sandbox; what a template is for is to install something.
        wanted.add(prefix)
    more = sorted(path for path in wanted - set(own) if _can_be_covered(path))
    if not more:
        return policy
    filesystem = dataclasses.replace(policy.filesystem, overlay=(*own, *more))
    return dataclasses.replace(policy, filesystem=filesystem)


def _can_be_covered(path: str) -> bool:
    try:
        checks.mount_destination(path)
    except ValueError:
        # Such as /etc/shadow. Whatever writes there is told that it cannot.
        return False
    return True
