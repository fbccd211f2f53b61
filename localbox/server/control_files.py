"""The control plane: what becomes of a sandbox's files beyond it, in snapshots and forks."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from localbox import AsyncSandbox, AsyncSnapshotPaginator
from localbox.models_control import SnapshotInfo
from localbox.server.auth import named_sandbox, require_api_key
from localbox.server.bodies import read_json
from localbox.server.errors import Refusal, fault_of
from localbox.server.state import Served, State
from localbox.server.wire import read_number, sandbox_body


async def fork(request: Request) -> Response:
    """POST /sandboxes/{id}/fork."""
    state, served = await named_sandbox(request)
    body = await read_json(request)
    count = body.get("count")
    # What is no number is refused by `fork`.
    with state.reserve(count if isinstance(count, int) and count > 0 else 1):
        made = await served.sandbox.fork(body.get("timeout"), count)
        template = (await served.sandbox.get_info()).template_id
        return JSONResponse([_forked(state, served, template, one) for one in made], 201)


async def create_snapshot(request: Request) -> Response:
    """POST /sandboxes/{id}/snapshots."""
    _state, served = await named_sandbox(request)
    body = await read_json(request)
    memory = body.get("memory")
    mode: Any = None if memory is None else "full" if memory else "filesystem"
    info = await served.sandbox.create_snapshot(body.get("name"), mode=mode)
    return JSONResponse(_snapshot_body(info), 201)


async def list_snapshots(request: Request) -> Response:
    """GET /snapshots."""
    require_api_key(request)
    given = request.query_params
    pages = AsyncSnapshotPaginator(
        given.get("sandboxID") or None,
        read_number(given.get("limit"), "limit"),
        given.get("nextToken") or None,
        given.get("name") or None,
    )
    found = await pages.next_items()
    headers = {"x-next-token": pages.next_token} if pages.next_token else None
    return JSONResponse([_snapshot_body(info) for info in found], headers=headers)


async def delete_snapshot(request: Request) -> Response:
    """DELETE /templates/{id}: E2B keeps snapshots among its templates."""
    require_api_key(request)
    snapshot_id = request.path_params["snapshot_id"]
    if not await AsyncSandbox.delete_snapshot(snapshot_id):
        raise Refusal(404, f"there is no snapshot {snapshot_id!r}")
    return Response(status_code=204)


def _forked(
    state: State, source: Served, template: str, made: AsyncSandbox | Exception
) -> dict[str, Any]:
    if isinstance(made, Exception):
        fault = fault_of(made)
        return {"error": {"code": fault.status, "message": fault.message}}
    return {"sandbox": sandbox_body(state, state.add(made, source.envs), template)}


def _snapshot_body(info: SnapshotInfo) -> dict[str, Any]:
    return {"snapshotID": info.snapshot_id, "names": info.names}


routes: list[BaseRoute] = [
    Route("/sandboxes/{sandbox_id}/fork", fork, methods=["POST"]),
    Route("/sandboxes/{sandbox_id}/snapshots", create_snapshot, methods=["POST"]),
    Route("/snapshots", list_snapshots, methods=["GET"]),
    # A snapshot may be named "name:tag", and be sent with its colon quoted.
    Route("/templates/{snapshot_id:path}", delete_snapshot, methods=["DELETE"]),
]
