"""The control plane: sandboxes made, found, listed, given time, ended."""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from localbox import AsyncSandbox
from localbox._async.sandbox_paginator import AsyncSandboxPaginator
from localbox.models import SandboxInfo, SandboxState
from localbox.models_control import SandboxOnResume, SandboxQuery
from localbox.server import (
    control_files,
    control_life,
    control_missing,
    control_secrets,
    control_volumes,
)
from localbox.server.auth import named_sandbox, require_api_key
from localbox.server.bodies import read_json
from localbox.server.errors import Refusal, SandboxGone
from localbox.server.state import Served, State
from localbox.server.wire import (
    detailed_body,
    in_snake_case,
    listed_body,
    read_moment,
    read_number,
    sandbox_body,
)


async def create(request: Request) -> Response:
    """POST /v2/sandboxes."""
    state = require_api_key(request)
    return await _make(request, state, await read_json(request))


async def create_v1(request: Request) -> Response:
    """POST /sandboxes, where older SDKs say True for all who did not say that they want none."""
    state = require_api_key(request)
    body = await read_json(request)
    if body.get("allow_internet_access") is True:
        del body["allow_internet_access"]
    return await _make(request, state, body)


async def _make(request: Request, state: State, body: dict[str, Any]) -> Response:
    envs = _mapping(body, "envVars") or {}
    network = _mapping(body, "network")
    with state.reserve():
        sandbox = await AsyncSandbox.create(
            body.get("templateID"),
            body.get("timeout"),
            _mapping(body, "metadata"),
            envs,
            allow_internet_access=body.get("allow_internet_access"),
            mcp=body.get("mcp"),
            network=None if network is None else in_snake_case(network),  # type: ignore[arg-type]
            iam=_mapping(body, "iam"),  # type: ignore[arg-type]
            lifecycle=_lifecycle(body),  # type: ignore[arg-type]
            volume_mounts=_volume_mounts(body),
            idempotency_key=request.headers.get("idempotency-key"),
            profile=state.profile,
        )
        served = state.add(sandbox, envs)
    if await request.is_disconnected():
        # Nobody will ever learn its id.
        await _end(state, served)
    return JSONResponse(sandbox_body(state, served, body.get("templateID") or "base"), 201)


async def connect(request: Request) -> Response:
    """POST /v2/sandboxes/{id}/connect, which resumes it too."""
    state, served = await named_sandbox(request)
    body = await read_json(request)
    info = await served.sandbox.get_info()
    on_resume: SandboxOnResume = "reboot" if body.get("memory") is False else "restore"
    await served.sandbox.connect(body.get("timeout"), on_resume=on_resume)
    status = 201 if info.state is SandboxState.PAUSED else 200
    return JSONResponse(sandbox_body(state, served, info.template_id), status)


async def get_info(request: Request) -> Response:
    """GET /sandboxes/{id}."""
    state, served = await named_sandbox(request)
    info = await served.sandbox.get_info()
    return JSONResponse(detailed_body(state, served, info))


async def list_sandboxes(request: Request) -> Response:
    """GET /v2/sandboxes."""
    state = require_api_key(request)
    state.forget_ended()
    given = request.query_params
    query = SandboxQuery(
        metadata=_metadata(given.get("metadata")),
        state=_states(given.getlist("state")),
        started_after=read_moment(given.get("startedAfter"), "startedAfter"),
        template=given.get("template") or None,
    )
    limit = read_number(given.get("limit"), "limit")
    order: Any = given.get("order") or None
    pages = _ServedPages(query, limit, given.get("nextToken") or None, order)
    pages.served = state.sandboxes
    found = await pages.next_items()
    headers = {"x-next-token": pages.next_token} if pages.next_token else None
    return JSONResponse([listed_body(info) for info in found], headers=headers)


async def kill(request: Request) -> Response:
    """DELETE /sandboxes/{id}."""
    state, served = await named_sandbox(request)
    if not await _end(state, served):
        raise SandboxGone(served.sandbox_id)
    return Response(status_code=204)


async def set_timeout(request: Request) -> Response:
    """POST /sandboxes/{id}/timeout."""
    _state, served = await named_sandbox(request)
    body = await read_json(request)
    if "timeout" not in body:
        raise Refusal(400, "timeout is missing")
    await served.sandbox.set_timeout(body["timeout"])
    return Response(status_code=204)


class _ServedPages(AsyncSandboxPaginator):
    """Those of the server, not of the program it runs in."""

    served: Mapping[str, Served]

    async def _matching(self, opts: dict[str, Any]) -> list[SandboxInfo]:
        return [info for info in await super()._matching(opts) if info.sandbox_id in self.served]


async def _end(state: State, served: Served) -> bool:
    killed = await served.sandbox.kill()
    state.sandboxes.pop(served.sandbox_id, None)
    return killed


def _lifecycle(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the SDK has taken apart, together again."""
    if not body.get("autoPause"):
        return None
    on_timeout: dict[str, Any] = {"action": "pause"}
    if body.get("autoPauseMemory") is not None:
        on_timeout["mode"] = "full" if body["autoPauseMemory"] else "filesystem"
    resume = _mapping(body, "autoResume") or {}
    return {"on_timeout": on_timeout, "auto_resume": bool(resume.get("enabled"))}


def _volume_mounts(body: Mapping[str, Any]) -> dict[str, Any] | None:
    mounts = body.get("volumeMounts") or []
    try:
        return {mount["path"]: mount["name"] for mount in mounts} or None
    except (TypeError, KeyError):
        raise Refusal(400, "volumeMounts must be a list of objects with name and path") from None


def _mapping(body: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    found = body.get(name)
    if found is not None and not isinstance(found, dict):
        raise Refusal(400, f"{name} must be an object")
    return found


def _metadata(text: str | None) -> dict[str, str] | None:
    """A query string within the query string, whose names and values are quoted once more."""
    if not text:
        return None
    return {
        urllib.parse.unquote(name): urllib.parse.unquote(value)
        for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True)
    }


def _states(given: list[str]) -> list[SandboxState] | None:
    names = [name for text in given for name in text.split(",") if name]
    try:
        return [SandboxState(name) for name in names] or None
    except ValueError:
        raise Refusal(400, f"state is running or paused, not {', '.join(names)}") from None


routes: list[BaseRoute] = [
    Route("/v2/sandboxes", create, methods=["POST"]),
    Route("/v2/sandboxes", list_sandboxes, methods=["GET"]),
    Route("/v2/sandboxes/{sandbox_id}/connect", connect, methods=["POST"]),
    # As e2b 2.31 calls them.
    Route("/sandboxes", create_v1, methods=["POST"]),
    Route("/sandboxes", list_sandboxes, methods=["GET"]),
    Route("/sandboxes/{sandbox_id}/connect", connect, methods=["POST"]),
    Route("/sandboxes/{sandbox_id}/resume", connect, methods=["POST"]),
    Route("/sandboxes/{sandbox_id}", get_info, methods=["GET"]),
    Route("/sandboxes/{sandbox_id}", kill, methods=["DELETE"]),
    Route("/sandboxes/{sandbox_id}/timeout", set_timeout, methods=["POST"]),
    *control_life.routes,
    *control_files.routes,
    *control_secrets.routes,
    *control_volumes.routes,
    *control_missing.routes,
]
