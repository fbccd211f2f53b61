"""Volumes, and what is in them: E2B's routes over `AsyncVolume`.

Paths in a volume are `AsyncVolume`'s to resolve, beneath the volume; none is looked at here.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from localbox import AsyncVolume, VolumeEntryStat
from localbox.server.auth import bearer_of, require_api_key, same, state_of
from localbox.server.bodies import read_json, string_in
from localbox.server.errors import Refusal
from localbox.server.state import State
from localbox.server.wire import moment, read_number


async def create(request: Request) -> Response:
    """POST /volumes."""
    state = require_api_key(request)
    volume = await AsyncVolume.create(string_in(await read_json(request), "name"))
    return JSONResponse(_volume_body(state, volume.volume_id, volume.name), 201)


async def list_volumes(request: Request) -> Response:
    """GET /volumes."""
    require_api_key(request)
    found = await AsyncVolume.list()
    return JSONResponse([{"volumeID": one.volume_id, "name": one.name} for one in found])


async def get_volume(request: Request) -> Response:
    """GET /volumes/{id}."""
    state = require_api_key(request)
    volume = await AsyncVolume.connect(request.path_params["volume_id"])
    return JSONResponse(_volume_body(state, volume.volume_id, volume.name))


async def destroy(request: Request) -> Response:
    """DELETE /volumes/{id}."""
    require_api_key(request)
    volume_id = request.path_params["volume_id"]
    if not await AsyncVolume.destroy(volume_id):
        raise Refusal(404, f"there is no volume {volume_id!r}")
    return Response(status_code=204)


async def get_info(request: Request) -> Response:
    """GET /volumecontent/{id}/path."""
    volume, path = await _opened(request)
    return JSONResponse(_entry_body(await volume.get_info(path)))


async def update_metadata(request: Request) -> Response:
    """PATCH /volumecontent/{id}/path."""
    volume, path = await _opened(request)
    body = await read_json(request)
    entry = await volume.update_metadata(path, body.get("uid"), body.get("gid"), body.get("mode"))
    return JSONResponse(_entry_body(entry))


async def remove(request: Request) -> Response:
    """DELETE /volumecontent/{id}/path."""
    volume, path = await _opened(request)
    await volume.remove(path)
    return Response(status_code=204)


async def list_entries(request: Request) -> Response:
    """GET /volumecontent/{id}/dir."""
    volume, path = await _opened(request)
    depth = read_number(request.query_params.get("depth"), "depth")
    return JSONResponse([_entry_body(entry) for entry in await volume.list(path, depth)])


async def make_dir(request: Request) -> Response:
    """POST /volumecontent/{id}/dir."""
    volume, path = await _opened(request)
    return JSONResponse(_entry_body(await volume.make_dir(path, **_ownership(request))), 201)


async def read_file(request: Request) -> Response:
    """GET /volumecontent/{id}/file."""
    volume, path = await _opened(request)
    stream = await volume.read_file(path, format="stream")
    return StreamingResponse(_closing(stream), media_type="application/octet-stream")


async def write_file(request: Request) -> Response:
    """PUT /volumecontent/{id}/file."""
    volume, path = await _opened(request)
    source: Any = request.stream()
    return JSONResponse(
        _entry_body(await volume.write_file(path, source, **_ownership(request))), 201
    )


async def _opened(request: Request) -> tuple[AsyncVolume, str]:
    """The volume that the path names, opened by its token, and the path within.

    Raises:
        Refusal: 401, it is another's token.
        VolumeNotFoundException: there is none.
    """
    volume_id = request.path_params["volume_id"]
    if not same(bearer_of(request), _token(state_of(request), volume_id)):
        raise Refusal(401, "the token is not this volume's")
    path = request.query_params.get("path")
    if path is None:
        raise Refusal(400, "path is missing")
    return await AsyncVolume.connect(volume_id), path


def _token(state: State, volume_id: str) -> str:
    """Kept nowhere: volumes outlive the server, their tokens do not."""
    return hmac.new(state.volume_key, volume_id.encode(), hashlib.sha256).hexdigest()


def _ownership(request: Request) -> dict[str, Any]:
    given = request.query_params
    return {
        **{name: read_number(given.get(name), name) for name in ("uid", "gid", "mode")},
        "force": given.get("force", "").lower() in {"true", "1"},
    }


async def _closing(stream: Any) -> AsyncIterator[bytes]:
    """Its descriptor does not wait for the garbage collector if the client hangs up."""
    async with stream:
        async for piece in stream:
            yield bytes(piece)


def _volume_body(state: State, volume_id: str, name: str) -> dict[str, Any]:
    return {"volumeID": volume_id, "name": name, "token": _token(state, volume_id)}


def _entry_body(entry: VolumeEntryStat) -> dict[str, Any]:
    body = {
        "name": entry.name,
        "type": str(entry.type),
        "path": entry.path,
        "size": entry.size,
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "atime": moment(entry.atime),
        "mtime": moment(entry.mtime),
        "ctime": moment(entry.ctime),
    }
    return body if entry.target is None else {**body, "target": entry.target}


routes: list[BaseRoute] = [
    Route("/volumes", create, methods=["POST"]),
    Route("/volumes", list_volumes, methods=["GET"]),
    Route("/volumes/{volume_id}", get_volume, methods=["GET"]),
    Route("/volumes/{volume_id}", destroy, methods=["DELETE"]),
    Route("/volumecontent/{volume_id}/path", get_info, methods=["GET"]),
    Route("/volumecontent/{volume_id}/path", update_metadata, methods=["PATCH"]),
    Route("/volumecontent/{volume_id}/path", remove, methods=["DELETE"]),
    Route("/volumecontent/{volume_id}/dir", list_entries, methods=["GET"]),
    Route("/volumecontent/{volume_id}/dir", make_dir, methods=["POST"]),
    Route("/volumecontent/{volume_id}/file", read_file, methods=["GET"]),
    Route("/volumecontent/{volume_id}/file", write_file, methods=["PUT"]),
]
