"""A profile's name or path to its Policy: finding, inheriting, remembering, overriding."""

from __future__ import annotations

import dataclasses
import os
import posixpath
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from localbox.errors import PolicyError
from localbox.policy import shipped
from localbox.policy.checks import FieldError, did_you_mean
from localbox.policy.document import Node, parse_document, read_text
from localbox.policy.model import Mount, Policy
from localbox.policy.schema import parse_policy, seccomp_profile
from localbox.policy.shipped import shipped_profiles

__all__ = ["load_profile", "merge_overrides", "shipped_profiles"]

PathLike = str | os.PathLike[str]
MountLike = PathLike | tuple[PathLike, str] | Mount

# What was read, as (file, mtime, size): a policy is good as long as none of it has changed.
_Stamp = tuple[str, int, int]
_loaded: dict[str, tuple[tuple[_Stamp, ...], Policy]] = {}
# Names of shipped profiles to the keys above.
_keys: dict[str, str] = {}


def load_profile(name_or_path: PathLike) -> Policy:
    """Read a profile by its name, or by a path: anything with a "/" or ending in .yaml or .yml.

    Raises:
        PolicyError: no such profile, or something in it is wrong; says in which line.
    """
    name = os.fspath(name_or_path)
    # A path may be relative to another directory the next time.
    file = None if name in _keys else _find(name)
    key = _keys[name] if file is None else str(file)
    known = _loaded.get(key)
    if known is not None and all(_stamp(stamp[0]) == stamp for stamp in known[0]):
        return known[1]
    file = file or _find(name)
    if name in shipped_profiles():
        _keys[name] = key
    # Taken before each file is read: of one that changes meanwhile, the stamp no longer fits.
    stamps: list[_Stamp | None] = []
    root = _read_with_bases(file, (), stamps)
    stamps += [_stamp(str(path)) for path in _other_files(root)]
    policy = parse_policy(root, file.stem)
    complete = tuple(stamp for stamp in stamps if stamp is not None)
    if len(complete) == len(stamps):
        _loaded[key] = (complete, policy)
    return policy


def merge_overrides(
    policy: Policy,
    *,
    readonly: Iterable[MountLike] = (),
    readwrite: Iterable[MountLike] = (),
    network: Literal["none", "loopback", "host"] | None = None,
    memory: int | None = None,
    pids: int | None = None,
    disk: int | None = None,
    wall_time: float | None = None,
) -> Policy:
    """Return the policy with what a caller asked for on top, checked like the original.

    Args:
        policy: what to start from; it stays as it is.
        readonly: host paths to show, at the same path or as (host path, guest path).
            Relative host paths count from the working directory.
        readwrite: the same, writable. A mount replaces an earlier one at its guest path.
        network: replaces `network.mode`.
        memory: replaces `resources.memory`, in bytes.
        pids: replaces `resources.pids`.
        disk: replaces `filesystem.disk`, in bytes.
        wall_time: replaces `resources.wall_time`, in seconds.

    Raises:
        PolicyError: the outcome is no valid policy.
    """
    extra_readonly = tuple(_mount(entry) for entry in readonly)
    extra_readwrite = tuple(_mount(entry) for entry in readwrite)
    taken = {mount.guest_path for mount in extra_readonly + extra_readwrite}
    filesystem = dataclasses.replace(
        policy.filesystem,
        readonly=_without(policy.filesystem.readonly, taken) + extra_readonly,
        readwrite=_without(policy.filesystem.readwrite, taken) + extra_readwrite,
        disk_bytes=policy.filesystem.disk_bytes if disk is None else disk,
    )
    resources = dataclasses.replace(
        policy.resources,
        memory_bytes=policy.resources.memory_bytes if memory is None else memory,
        pids=policy.resources.pids if pids is None else pids,
        wall_time_s=policy.resources.wall_time_s if wall_time is None else wall_time,
    )
    mode = policy.network.mode if network is None else network
    return dataclasses.replace(
        policy,
        filesystem=filesystem,
        resources=resources,
        network=dataclasses.replace(policy.network, mode=mode),
    )


def _find(name: str, beside: Path | None = None) -> Path:
    if not name:
        raise PolicyError("the name of a profile is empty")
    if "/" in name or name.endswith((".yaml", ".yml")):
        # abspath and not resolve: a profile's relative paths count from where its name is.
        return Path(posixpath.abspath((beside or Path.cwd()) / name))
    known = shipped_profiles()
    if name not in known:
        raise PolicyError(
            f"no profile {name!r}{did_you_mean(name, known)} (shipped: {', '.join(known)};"
            " your own: by path, such as ./mine.yaml)"
        )
    return shipped.shipped_file(name)


def _read_with_bases(file: Path, above: tuple[Path, ...], stamps: list[_Stamp | None]) -> Node:
    """Read a document and lay it over the one it extends, which by default is `default`."""
    stamps.append(_stamp(str(file)))
    above = (*above, file)
    root = parse_document(read_text(file), str(file))
    if not isinstance(root.value, dict):
        root.fail("a profile is a mapping of keys")
    base = root.value.get("extends")
    if base is None:
        if file == shipped.shipped_file(shipped.BASE):
            return root
        base_file = shipped.shipped_file(shipped.BASE)
    else:
        if not isinstance(base.value, str) or base.is_null:
            base.fail("expected the name of a profile, or a path")
        try:
            base_file = _find(base.value, beside=file.parent)
        except PolicyError as error:
            base.fail(str(error))
        if base_file in above:
            base.fail(f"{base.value!r} extends this profile, so neither can come first")
        if not base_file.exists():
            base.fail(f"there is no {str(base_file)!r}")
    return _merged(_read_with_bases(base_file, above, stamps), root)


def _other_files(root: Node) -> list[Path]:
    """List files besides YAML that the policy is made from."""
    seccomp = root.value.get("seccomp") if isinstance(root.value, dict) else None
    profile = seccomp.value.get("profile") if seccomp and isinstance(seccomp.value, dict) else None
    return [] if profile is None or profile.is_null else [seccomp_profile(profile)]


def _merged(below: Node, above: Node) -> Node:
    """Merge mappings key by key; everything else is replaced as a whole."""
    if isinstance(below.value, dict) and above.is_null:
        return below  # a section whose keys are all commented out
    if not isinstance(below.value, dict) or not isinstance(above.value, dict):
        return above
    items = dict(below.value)
    if above.path == "seccomp":
        # A seccomp JSON and our own lists exclude each other; the profile on top has its way.
        if "profile" in above.value:
            items = {}
        elif "profile" in items:
            del items["profile"]
    for key, node in above.value.items():
        items[key] = _merged(items[key], node) if key in items else node
    return dataclasses.replace(above, value=items)


def _stamp(path: str) -> _Stamp | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return path, status.st_mtime_ns, status.st_size


def _mount(entry: MountLike) -> Mount:
    if isinstance(entry, Mount):
        return entry
    host_path, guest_path = entry if isinstance(entry, tuple) else (entry, None)
    host_path = posixpath.abspath(os.fspath(host_path))
    try:
        return Mount(host_path, host_path if guest_path is None else guest_path)
    except FieldError as error:
        raise PolicyError(f"cannot mount {host_path!r}: {error.problem}") from error


def _without(mounts: tuple[Mount, ...], guest_paths: set[str]) -> tuple[Mount, ...]:
    return tuple(mount for mount in mounts if mount.guest_path not in guest_paths)
