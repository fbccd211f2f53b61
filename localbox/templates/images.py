"""Which images are to be had here: those that are what this machine has anyway."""

from __future__ import annotations

import functools
import platform
import re
import shutil
import subprocess

from localbox.engine.creation import DEFAULT_TEMPLATE, INTERPRETER_TEMPLATES
from localbox.errors import BuildException

# What Docker puts before a name that has no host in it.
_PREFIX = re.compile(r"^(?:docker\.io/)?(?:library/)?")
_E2B = {"e2bdev/base": DEFAULT_TEMPLATE, "e2bdev/code-interpreter": INTERPRETER_TEMPLATES[0]}
_VERSION = re.compile(r"v?(\d+(?:\.\d+)*)")
_VERSION_TIMEOUT_S = 10


def base_for(image: str) -> tuple[str, list[str]]:
    """The built-in template that stands in for an image, and what is not quite the same.

    Raises:
        BuildException: nothing here is like it; the message says what is.
    """
    name, _colon, tag = _PREFIX.sub("", image).partition(":")
    tag = tag.partition("@")[0]
    if name in _E2B:
        return _E2B[name], []
    version, _dash, variant = tag.partition("-")
    notes = []
    if name == "python":
        notes = _python(image, version, tag)
    elif name in {"node", "oven/bun"}:
        _tool(image, "node" if name == "node" else "bun", version)
    else:
        _system(image, name, tag)
    if variant and name != "alpine" and "alpine" in variant:
        notes.append(f"{image}: the system is this machine's, not Alpine's")
    return DEFAULT_TEMPLATE, notes


def _refuse(image: str, why: str) -> BuildException:
    return BuildException(
        f"cannot build from image {image!r}: {why}. Templates are built on what this machine has: "
        f"python:{_python_minor()}, from_base_image(), {_supported_system()}or another local "
        "template with from_template()"
    )


def _python(image: str, version: str, tag: str) -> list[str]:
    here = platform.python_version()
    # "3.11.4" is not to be had where "3.11.9" is, but it would be surprising to need it.
    wanted = version.split(".")[:2] if version[:1].isdigit() else ["3"]
    if wanted != here.split(".")[: len(wanted)]:
        raise _refuse(image, f"the Python that localbox runs under is {here}")
    exact = version.split(".")[:3]
    if len(exact) == 3 and exact != here.split("."):
        return [f"{image}: this is Python {here}"]
    return []


def _tool(image: str, program: str, version: str) -> None:
    here = _version_of(program)
    if here is None:
        raise _refuse(image, f"{program} is not installed here")
    wanted = version.split(".") if version[:1].isdigit() else []
    if wanted != here.split(".")[: len(wanted)]:
        raise _refuse(image, f"the {program} of this machine is {here}")


@functools.cache
def _version_of(program: str) -> str | None:
    path = shutil.which(program)
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout)
    return match[1] if match else None


def _system(image: str, name: str, tag: str) -> None:
    release = _os_release()
    ours = {"arch": "archlinux"}.get(release.get("ID", ""), release.get("ID", ""))
    if name != ours:
        raise _refuse(image, "images are not downloaded, and this machine's system is another")
    version = release.get("VERSION_ID", "")
    names = {version, version.split(".")[0], release.get("VERSION_CODENAME", "")} - {""}
    # Without any, all there ever is is the latest.
    if tag.removesuffix("-slim") not in (names or {"", "latest"}):
        raise _refuse(image, f"this machine's system is {ours} {version}")


def _os_release() -> dict[str, str]:
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def _python_minor() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _supported_system() -> str:
    release = _os_release()
    if not release.get("VERSION_ID"):
        return ""
    return f"{release['ID']}:{release['VERSION_ID']}, "
