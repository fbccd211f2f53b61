"""The templates of this user: names, tags and builds, as files below the data directory.

    templates/<name>.json            id, tags, builds
    templates/builds/<id>.log        what a build has said; locked as long as it runs

It says what there is. The files that templates are made of are engine/layers.py's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import fcntl
import json
import os
import re
import secrets
import string
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeVar

from localbox.engine.data_dir import subdirectory, write_atomically
from localbox.errors import InvalidArgumentException, NotFoundException, TemplateException

DEFAULT_TAG = "default"
_FORMAT = 1
# Of one template, beside those that tags mean.
MOST_BUILDS = 50
_ID_LENGTH = 20
_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_.-]*/)?[a-z0-9][a-z0-9_.-]{0,127}")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")

T = TypeVar("T")


@dataclass(frozen=True)
class Build:
    """One build of a template, and what a sandbox needs to start from it.

    Args:
        base: the built-in template at the bottom of it all.
        layer_id: the topmost layer; None if no step changed a file.
        envs, workdir, user: as the last step left them.
        places: directories beyond a sandbox's usual ones that it can write to.
        waits: whether `ready_cmd` is waited for; what a Dockerfile starts has none of its own.
        memory_mb, disk_mb: what a sandbox shall have at least; None for the profile's.
    """

    build_id: str
    template_id: str
    created_at: float
    status: Literal["waiting", "building", "ready", "error"] = "waiting"
    base: str = "base"
    layer_id: str | None = None
    envs: Mapping[str, str] = field(default_factory=dict)
    workdir: str | None = None
    user: str = "user"
    places: tuple[str, ...] = ()
    start_cmd: str | None = None
    ready_cmd: str | None = None
    waits: bool = True
    memory_mb: int | None = None
    disk_mb: int | None = None
    reason: str | None = None
    step: str | None = None


@dataclass
class Template:
    """A name, and the builds it has had; a tag says which build it means."""

    name: str
    template_id: str
    created_at: float
    tags: dict[str, tuple[str, float]] = field(default_factory=dict)
    builds: dict[str, Build] = field(default_factory=dict)


def split_name(name: object) -> tuple[str, str | None]:
    """Of "name" or "name:tag" the two parts, the name in lower case as E2B has it.

    Raises:
        InvalidArgumentException: it cannot be a name.
    """
    base, colon, tag = name.strip().partition(":") if isinstance(name, str) else ("", "", "")
    base = base.lower()
    if not _NAME.fullmatch(base) or (colon and not _TAG.fullmatch(tag)):
        raise InvalidArgumentException(
            f"{name!r} is no name for a template: letters, digits and any of _ . - after the "
            "first, and perhaps a colon and a tag"
        )
    return base, tag if colon else None


def check_tags(tags: list[str]) -> list[str]:
    """
    Raises:
        InvalidArgumentException: one of them cannot be a tag.
    """
    for tag in tags:
        if not isinstance(tag, str) or not _TAG.fullmatch(tag):
            raise InvalidArgumentException(f"{tag!r} is no tag: letters, digits and any of _ . -")
    return list(dict.fromkeys(tags))


def templates() -> list[Template]:
    """All of them, by name."""
    found = (_read(path) for path in _directory().glob("[!.]*.json"))
    return sorted((each for each in found if each is not None), key=lambda each: each.name)


def find(name_or_id: str) -> Template | None:
    """A template by its name or its id; a tag is not looked at."""
    try:
        name, _tag = split_name(name_or_id)
    except InvalidArgumentException:
        return None
    template = _read(_file(name))
    if template is None and len(name) == _ID_LENGTH:
        template = next((each for each in templates() if each.template_id == name), None)
    return template


def find_build(name_or_id: str) -> Build | None:
    """The build that "name", "name:tag" or an id in place of the name means; None if none is there.

    Raises:
        NotFoundException: the template has no such tag, or the build has failed.
    """
    template = find(name_or_id)
    if template is None:
        return None
    _name, tag = split_name(name_or_id)
    chosen = template.tags.get(tag or DEFAULT_TAG)
    if chosen is None:
        known = ", ".join(sorted(template.tags)) or "none: no build of it has succeeded yet"
        raise NotFoundException(
            f"template {template.name!r} has no tag {tag or DEFAULT_TAG!r}; its tags are {known}"
        )
    return template.builds[chosen[0]]


def get(name_or_id: str) -> Template:
    """
    Raises:
        NotFoundException: there is no such template.
    """
    template = find(name_or_id)
    if template is None:
        near = did_you_mean(name_or_id, [each.name for each in templates()])
        raise NotFoundException(f"template {name_or_id!r} is not found{near}")
    return template


def did_you_mean(name: object, known: list[str]) -> str:
    near = difflib.get_close_matches(str(name), known, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


def begin(name: str) -> Build:
    """Note a build that is about to begin, and its template if there was none."""

    def change(template: Template | None) -> tuple[Template, Build]:
        if template is None:
            letters = string.ascii_lowercase + string.digits
            template_id = "".join(secrets.choice(letters) for _ in range(_ID_LENGTH))
            template = Template(name, template_id, time.time())
        build = Build(str(uuid.uuid4()), template.template_id, time.time())
        template.builds[build.build_id] = build
        _drop_old(template)
        return template, build

    return _change(name, change)


def _drop_old(template: Template) -> None:
    """Forget what is too long ago: builds that no tag means, and what they said."""
    tagged = {build_id for build_id, _since in template.tags.values()}
    others = [build_id for build_id in template.builds if build_id not in tagged]
    for build_id in others[:-MOST_BUILDS]:
        if not is_running(build_id):
            del template.builds[build_id]
            log_path(build_id).unlink(missing_ok=True)


def store(name: str, build: Build, tags: list[str] | None = None) -> None:
    """Write down how a build is now; with `tags`, let them mean it from now on."""

    def change(template: Template | None) -> tuple[Template, None]:
        if template is None:
            raise TemplateException(f"template {name!r} was deleted while it was built")
        template.builds[build.build_id] = build
        for tag in tags or ():
            template.tags[tag] = (build.build_id, time.time())
        return template, None

    _change(name, change)


def assign_tags(target: str, tags: list[str]) -> str:
    """Let tags mean the build that `target` means; returns that build's id.

    Raises:
        NotFoundException: there is no such template, or it has no such tag.
    """
    name = get(target).name
    build = find_build(target)
    assert build is not None
    store(name, build, check_tags(tags))
    return build.build_id


def remove_tags(name_or_id: str, tags: list[str]) -> None:
    """
    Raises:
        NotFoundException: there is no such template, or it lacks one of the tags.
    """

    def change(template: Template | None) -> tuple[Template, None]:
        if template is None:
            raise NotFoundException(f"template {name_or_id!r} is not found")
        for tag in tags:
            if template.tags.pop(tag, None) is None:
                known = ", ".join(sorted(template.tags)) or "none"
                raise NotFoundException(
                    f"template {template.name!r} has no tag {tag!r}; its tags are {known}"
                )
        return template, None

    _change(get(name_or_id).name, change)


def remove(name_or_id: str) -> Template:
    """Delete a template with its builds; their layers go with what is left of the cache.

    Raises:
        NotFoundException: there is no such template.
    """
    template = get(name_or_id)
    with _locked():
        _file(template.name).unlink(missing_ok=True)
    for build_id in template.builds:
        log_path(build_id).unlink(missing_ok=True)
    return template


def log_path(build_id: str) -> Path:
    return subdirectory("templates/builds") / f"{build_id}.log"


def is_running(build_id: str) -> bool:
    """Whether a program is at work on a build: it has the log locked."""
    try:
        fd = os.open(log_path(build_id), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _directory() -> Path:
    return subdirectory("templates")


def _file(name: str) -> Path:
    # A name may have one slash, and no file name may.
    return _directory() / f"{name.replace('/', '%2F')}.json"


def _read(path: Path) -> Template | None:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    try:
        if content.pop("format") != _FORMAT:
            raise ValueError("another format")
        content["tags"] = {tag: (build, at) for tag, (build, at) in content["tags"].items()}
        content["builds"] = {
            build_id: Build(**{**build, "places": tuple(build["places"])})
            for build_id, build in content["builds"].items()
        }
        return Template(**content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise TemplateException(
            f"{path} was written by another version of localbox, or is damaged ({error}); delete "
            "it, or use that version"
        ) from error


def _change(name: str, change: Callable[[Template | None], tuple[Template, T]]) -> T:
    """Read, change and write one template while nobody else does."""
    with _locked():
        template, result = change(_read(_file(name)))
        content: dict[str, Any] = {"format": _FORMAT, **dataclasses.asdict(template)}
        write_atomically(_file(name), json.dumps(content, indent=1).encode())
    return result


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    fd = os.open(_directory() / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
