"""The values templates are described with and reported in: E2B's, field for field."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

from localbox.templates.logs import LogEntry

__all__ = [
    "AWSRegistry",
    "BuildInfo",
    "BuildStatusReason",
    "CopyItem",
    "GCPRegistry",
    "GenericDockerRegistry",
    "Instruction",
    "InstructionType",
    "RegistryConfig",
    "TemplateBuildStatus",
    "TemplateBuildStatusResponse",
    "TemplateTag",
    "TemplateTagInfo",
    "TemplateType",
]


class TemplateBuildStatus(str, Enum):  # noqa: UP042 (E2B's is not a StrEnum either)
    """How far a build is."""

    BUILDING = "building"
    WAITING = "waiting"
    READY = "ready"
    ERROR = "error"


@dataclass
class BuildStatusReason:
    """Why a build has failed.

    Args:
        message: what went wrong.
        step: the number of the step that failed, from 1; "base" or "finalize" around them.
        log_entries: what was logged about it.
    """

    message: str
    step: str | None = None
    log_entries: list[LogEntry] = field(default_factory=list)


@dataclass
class TemplateBuildStatusResponse:
    """A build as `get_build_status` reports it; `logs` is always empty, as E2B's is."""

    build_id: str
    template_id: str
    status: TemplateBuildStatus
    log_entries: list[LogEntry]
    logs: list[str]
    reason: BuildStatusReason | None = None


@dataclass
class TemplateTagInfo:
    """Tags that were given to a build."""

    build_id: str
    tags: list[str]


@dataclass
class TemplateTag:
    """One tag of a template, the build it stands for, and since when."""

    tag: str
    build_id: str
    created_at: datetime


@dataclass
class BuildInfo:
    """A build that was started; `alias` is the name again, as in E2B."""

    template_id: str
    build_id: str
    name: str
    alias: str
    tags: list[str] = field(default_factory=list)


class InstructionType(str, Enum):  # noqa: UP042 (E2B's is not a StrEnum either)
    """The kinds of steps."""

    COPY = "COPY"
    ENV = "ENV"
    RUN = "RUN"
    WORKDIR = "WORKDIR"
    USER = "USER"


class CopyItem(TypedDict):
    """One entry of `copy_items`; the keys are `copy`'s parameters in E2B's spelling."""

    src: str | Path | list[str | Path]
    dest: str | Path
    forceUpload: NotRequired[Literal[True] | None]
    user: NotRequired[str | None]
    mode: NotRequired[int | None]
    resolveSymlinks: NotRequired[bool | None]
    gzip: NotRequired[bool | None]


class Instruction(TypedDict):
    """One step of a template."""

    type: InstructionType
    args: list[str]
    force: bool
    forceUpload: NotRequired[Literal[True] | None]
    filesHash: NotRequired[str | None]
    resolveSymlinks: NotRequired[bool | None]
    gzip: NotRequired[bool | None]


class GenericDockerRegistry(TypedDict):
    """How to log in to a registry with a name and a password."""

    type: Literal["registry"]
    username: str
    password: str


class AWSRegistry(TypedDict):
    """How to log in to AWS's registry."""

    type: Literal["aws"]
    awsAccessKeyId: str
    awsSecretAccessKey: str
    awsRegion: str


class GCPRegistry(TypedDict):
    """How to log in to Google's registry."""

    type: Literal["gcp"]
    serviceAccountJson: str


RegistryConfig = GenericDockerRegistry | AWSRegistry | GCPRegistry


class TemplateType(TypedDict):
    """A whole template, as `to_json` writes it."""

    fromImage: NotRequired[str]
    fromTemplate: NotRequired[str]
    fromImageRegistry: NotRequired[RegistryConfig]
    startCmd: NotRequired[str]
    readyCmd: NotRequired[str]
    steps: list[Instruction]
    force: bool
