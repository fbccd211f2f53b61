"""Policy and machine -> plan: the JSON in which nothing is left for the zygote to decide."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import resource
from typing import TYPE_CHECKING, Any

from localbox.engine.base_root import HOME, USER, base_template, bind
from localbox.engine.python_environment import PythonEnvironment, current_environment
from localbox.errors import InvalidArgumentException, SandboxException
from localbox.policy import Policy
from localbox.policy.seccomp import compile_filters

if TYPE_CHECKING:
    from localbox.engine.layers import Layer

# Of overlays, layers and volumes: the zygote has descriptors set aside for that many.
_MOST_LOWERS = 40
# Programs are put here, and what a host has here, no sandbox needs: covered, not laid over.
SOURCES = "/usr/src"
# Directories of the sandbox's own disk, with their modes.
_WRITABLE = ((HOME, 0o755), ("/tmp", 0o1777), ("/dev/shm", 0o1777), ("/var/tmp", 0o1777))


@functools.lru_cache(maxsize=64)
def make_plan(
    policy: Policy, volumes: tuple[str, ...] = (), layers: tuple[Layer, ...] = ()
) -> tuple[str, dict[str, Any]]:
    """The plan and its digest.

    Args:
        volumes: where in the sandbox volumes go. Which ones is said at each create: sandboxes
            with different volumes at the same places share a template.
        layers: what is in the sandbox's writable directories from the start, the lowest first.

    Raises:
        SandboxException: a layer has files for a place that this sandbox would not have.
        InvalidArgumentException: a volume cannot be where it is wanted.
        WallError: the seccomp filter cannot be compiled here.
    """
    # A sandbox that was captured before it wrote anything.
    layers = tuple(layer for layer in layers if layer.parts)
    environment = current_environment()
    host_network = policy.network.mode == "host"
    template = base_template(policy.process.hostname, host_network)
    template["binds"] += _environment_binds(environment)
    template["binds"] += [
        bind(mount.host_path, mount.guest_path) for mount in policy.filesystem.readonly
    ]
    read_write = [
        bind(mount.host_path, mount.guest_path, writable=True)
        for mount in policy.filesystem.readwrite
    ]
    template["binds"] += read_write
    template["hidden"] = list(policy.filesystem.hidden)
    if volumes:
        _add_volumes(template, volumes)
    own = _own_directories(policy, template)
    late = _mark_late(template["binds"])
    overlays = _overlays(policy, environment, own, late)
    _check_descriptors(overlays, layers, volumes)
    writable_paths = [path for path, _mode in own]
    plan: dict[str, Any] = {
        "name": policy.name,
        "hostname": policy.process.hostname,
        "network": policy.network.mode,
        "template": template,
        "late_binds": late,
        "overlays": overlays,
        "volumes": list(volumes),
        "layers": [layer.host_path for layer in layers],
        "stacked": _stacked(layers, [*writable_paths, *overlays]) if layers else {},
        "writable": _modes(layers, own) if layers else own,
        "masked": list(policy.filesystem.masked),
        "disk_bytes": policy.filesystem.disk_bytes,
        "files": policy.filesystem.files,
        "memory_bytes": policy.resources.memory_bytes,
        "pids": policy.resources.pids,
        "wall_time_s": policy.resources.wall_time_s,
        "cpu_time_s": policy.resources.cpu_time_s,
        "rlimits": _rlimits(policy),
        "landlock": _wanted(policy, "landlock"),
        "landlock_writable": [
            *((path, False) for path in (*writable_paths, *overlays)),
            *((entry["target"], entry["file"]) for entry in read_write),
            *((guest_path, False) for guest_path in volumes),
        ],
        "cgroup": _wanted(policy, "cgroup"),
        "seccomp": [program.hex() for program in compile_filters(policy.seccomp)],
        "env": _environment_variables(policy, environment),
        "home": HOME,
        "user": USER,
        "sys_path": ["", *environment.sys_path],
    }
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()
    return digest, plan


def kernel_plan(plan: dict[str, Any]) -> dict[str, Any]:
    """The part of a plan that a kernel zygote needs: nothing about the host's files."""
    names = (
        "env",
        "sys_path",
        "network",
        "rlimits",
        "cpu_time_s",
        "landlock",
        "landlock_writable",
        "seccomp",
    )
    return {name: plan[name] for name in names}


def _wanted(policy: Policy, wall: str) -> str:
    """ "require", "prefer" or "off": what to do about an optional wall."""
    if wall in policy.isolation.require:
        return "require"
    if wall in policy.isolation.prefer:
        return "require" if policy.isolation.on_unavailable == "fail" else "prefer"
    return "off"


def _environment_binds(environment: PythonEnvironment) -> list[dict[str, Any]]:
    return [bind(root, root) for root in environment.roots if os.path.isdir(root)]


def _add_volumes(template: dict[str, Any], volumes: tuple[str, ...]) -> None:
    from localbox.engine.volume_mounts import check_places

    taken = [entry["target"] for entry in template["binds"]]
    taken += [path for path, _target in template["symlinks"]]
    taken += [path for path, _content, _mode in template["files"]]
    taken += [path for _source, path in template["copies"]]
    check_places(volumes, [*taken, *template["hidden"]], [path for path, _mode in _WRITABLE])
    # What is below a directory of the sandbox's own is made in the sandbox.
    template["directories"] += [(path, 0o755) for path in volumes if not _is_late(path)]


def _check_descriptors(
    overlays: list[str], layers: tuple[Layer, ...], volumes: tuple[str, ...]
) -> None:
    wanted = len(overlays) + len(layers) + len(volumes)
    if wanted > _MOST_LOWERS:
        raise InvalidArgumentException(
            f"filesystem.overlay: with {len(volumes)} volumes and {len(layers)} layers of files "
            f"there can be {_MOST_LOWERS - len(layers) - len(volumes)} overlays, not "
            f"{len(overlays)}"
        )


def _stacked(layers: tuple[Layer, ...], guest_paths: list[str]) -> dict[str, list[tuple[int, str]]]:
    """By guest path, the number of each layer that has a tree for it and the name of that tree.

    The topmost first.
    """
    stacked: dict[str, list[tuple[int, str]]] = {}
    for number, layer in enumerate(layers):
        for part in layer.parts:
            if part.guest_path not in guest_paths:
                raise SandboxException(
                    f"layer {layer.layer_id} has files for {part.guest_path}, which is not a "
                    "writable directory of sandboxes of this program and profile; use the profile "
                    "and the Python environment it was made with"
                )
            stacked.setdefault(part.guest_path, []).insert(0, (number, part.directory))
    return stacked


def _modes(layers: tuple[Layer, ...], own: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The writable directories with the modes that the topmost layers give them."""
    modes = dict(own)
    for layer in layers:
        modes.update((part.guest_path, part.mode) for part in layer.parts)
    return [(path, modes[path]) for path, _mode in own]


def _own_directories(policy: Policy, template: dict[str, Any]) -> list[tuple[str, int]]:
    """Those of every sandbox, and what `filesystem.overlay` names where there is nothing.

    An overlay over nothing is an empty directory.
    """
    own = list(_WRITABLE)
    wanted = [path for path in policy.filesystem.overlay if path != "python"]
    if not wanted:
        return own
    shown = [entry["target"] for entry in template["binds"]]
    within = [*shown, *(entry[0] for key in ("files", "symlinks") for entry in template[key])]
    within += [path for _source, path in template["copies"]]
    for path in wanted:
        there = any(_is_in(path, other) for other in shown)
        there = there or any(_is_in(other, path) for other in within)
        if path == SOURCES and os.path.isdir(path):
            own.append((path, 0o755))
        elif not there and not any(_is_in(path, other) for other, _mode in own):
            own.append((path, 0o755))
            template["directories"].append((path, 0o755))
    return own


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _mark_late(binds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give a number to each bind that lies below a directory of the sandbox's own disk.

    Mounted with the template it would be covered by that directory.
    """
    late: list[dict[str, Any]] = []
    for entry in binds:
        if _is_late(entry["target"]):
            entry["late"] = len(late)
            late.append(entry)
    return late


def _overlays(
    policy: Policy,
    environment: PythonEnvironment,
    own: list[tuple[str, int]],
    late: list[dict[str, Any]],
) -> list[str]:
    paths: list[str] = []
    shown_late = [entry["target"] for entry in late if not entry["writable"]]
    for path in policy.filesystem.overlay:
        if path != "python":
            if path in shown_late or not any(_is_in(path, other) for other, _mode in own):
                paths.append(path)
        elif environment.prefix in environment.roots and not _is_late(environment.prefix):
            paths.append(environment.prefix)
    return paths


def _is_late(path: str) -> bool:
    return any(path.startswith(own + "/") for own, _mode in _WRITABLE)


def _rlimits(policy: Policy) -> list[tuple[int, int, int]]:
    limits = {
        resource.RLIMIT_NPROC: (policy.resources.pids, policy.resources.pids),
        resource.RLIMIT_DATA: (policy.resources.memory_bytes, policy.resources.memory_bytes),
        # One file can be no larger than the disk, nor fill a writable bind of the host's.
        resource.RLIMIT_FSIZE: (policy.filesystem.disk_bytes, policy.filesystem.disk_bytes),
    }
    for limit in policy.resources.rlimits:
        limits[getattr(resource, limit.name)] = (limit.soft, limit.hard)
    return [(number, soft, hard) for number, (soft, hard) in sorted(limits.items())]


def _environment_variables(policy: Policy, environment: PythonEnvironment) -> dict[str, str]:
    env = {
        "PATH": environment.path,
        "HOME": HOME,
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
    }
    if environment.prefix in environment.roots:
        env["VIRTUAL_ENV"] = environment.prefix
    env.update(policy.process.env)
    return env
