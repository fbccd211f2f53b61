"""Values as E2B's control plane writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from localbox.models import SandboxInfo
from localbox.server.errors import Refusal
from localbox.server.state import ENVD_VERSION, Served, State

_CLIENT_ID = "localbox"


def sandbox_body(state: State, served: Served, template: str) -> dict[str, Any]:
    """A sandbox, for whoever made it or connects to it: with the token that opens it."""
    return {
        "templateID": template,
        "sandboxID": served.sandbox_id,
        "clientID": _CLIENT_ID,
        "envdVersion": ENVD_VERSION,
        "envdAccessToken": served.token,
        "domain": state.domain,
    }


def listed_body(info: SandboxInfo) -> dict[str, Any]:
    """A sandbox as a list has it."""
    return {
        "templateID": info.template_id,
        "alias": info.name,
        "sandboxID": info.sandbox_id,
        "clientID": _CLIENT_ID,
        "startedAt": moment(info.started_at),
        "endAt": moment(info.end_at),
        "envdVersion": ENVD_VERSION,
        "cpuCount": info.cpu_count,
        "memoryMB": info.memory_mb,
        # What it writes is in memory or in a directory of the host; it has no disk of a size.
        "diskSizeMB": 0,
        "state": str(info.state),
        "metadata": info.metadata,
        "volumeMounts": info.volume_mounts,
    }


def detailed_body(state: State, served: Served, info: SandboxInfo) -> dict[str, Any]:
    """All there is to know of a sandbox."""
    body = {**listed_body(info), "envdAccessToken": served.token, "domain": state.domain}
    optional = {
        "allowInternetAccess": info.allow_internet_access,
        "network": None if info.network is None else in_camel_case(info.network),
        "lifecycle": None if info.lifecycle is None else in_camel_case(info.lifecycle),
    }
    # The SDK tells a field that is missing from one that is null.
    return body | {name: value for name, value in optional.items() if value is not None}


def moment(time: datetime) -> str:
    """ISO 8601 in UTC, with the Z that E2B writes."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def read_moment(text: str | None, what: str) -> datetime | None:
    """
    Raises:
        Refusal: 400, it is no time.
    """
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refusal(400, f"{what} is no time in ISO 8601: {text!r}") from None


def read_number(text: str | None, what: str) -> int | None:
    """
    Raises:
        Refusal: 400, it is no whole number.
    """
    if not text:
        return None
    try:
        return int(text)
    except ValueError:
        raise Refusal(400, f"{what} is no whole number: {text!r}") from None


def in_camel_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Python's names made JSON's, of these fields alone: what is below are hosts and headers."""
    return {
        re.sub("_(.)", lambda found: found[1].upper(), name): value
        for name, value in fields.items()
    }


def in_snake_case(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's names made Python's, likewise."""
    return {
        re.sub("[A-Z]", lambda found: "_" + found[0].lower(), name): value
        for name, value in fields.items()
    }
