"""How a build is, as its files say: for the program that builds it, and for any other."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from localbox.errors import NotFoundException
from localbox.templates import registry
from localbox.templates.logs import LogEntry
from localbox.templates.model import (
    BuildInfo,
    BuildStatusReason,
    TemplateBuildStatus,
    TemplateBuildStatusResponse,
)


def status_of(info: BuildInfo, offset: int) -> TemplateBuildStatusResponse:
    """
    Raises:
        NotFoundException: there is no such build.
    """
    # First whether it runs: what it writes before its end must not be missed.
    is_running = registry.is_running(info.build_id)
    template = registry.find(info.template_id)
    build = template.builds.get(info.build_id) if template is not None else None
    if build is None:
        raise NotFoundException(f"build {info.build_id} of template {info.name!r} is not found")
    entries = _entries(info.build_id)
    status = TemplateBuildStatus(build.status)
    reason = None
    if status is TemplateBuildStatus.ERROR:
        last = [entry for entry in entries if entry.level == "error"]
        reason = BuildStatusReason(build.reason or "it failed", build.step, last)
    elif status is not TemplateBuildStatus.READY and not is_running:
        status = TemplateBuildStatus.ERROR
        reason = BuildStatusReason("the program that built it has ended before it was done")
    return TemplateBuildStatusResponse(
        build.build_id, build.template_id, status, entries[offset:], [], reason
    )


def _entries(build_id: str) -> list[LogEntry]:
    try:
        lines = registry.log_path(build_id).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    entries: list[LogEntry] = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            # The last one, if the program was killed while it wrote it.
            continue
        at = datetime.fromtimestamp(entry["at"], UTC)
        entries.append(LogEntry(at, entry["level"], entry["message"]))
    return entries
