"""Secrets: E2B's routes over `AsyncSecret`. A value goes in and does not come out."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from localbox import AsyncSecret
from localbox.models_control import SecretInfo
from localbox.server.auth import require_api_key
from localbox.server.bodies import read_json, string_in
from localbox.server.errors import Refusal
from localbox.server.wire import moment, read_number


async def create(request: Request) -> Response:
    """POST /secrets."""
    require_api_key(request)
    body = await read_json(request)
    info = await AsyncSecret.create(
        string_in(body, "name"), string_in(body, "value"), _metadata(body)
    )
    return JSONResponse(_body(info), 201)


async def list_secrets(request: Request) -> Response:
    """GET /secrets."""
    require_api_key(request)
    given = request.query_params
    pages = AsyncSecret.list(read_number(given.get("limit"), "limit"), given.get("nextToken"))
    found = await pages.next_items()
    headers = {"x-next-token": pages.next_token} if pages.next_token else None
    return JSONResponse([_body(info) for info in found], headers=headers)


async def get_info(request: Request) -> Response:
    """GET /secrets/{id or name}."""
    require_api_key(request)
    return JSONResponse(_body(await AsyncSecret.get_info(request.path_params["secret"])))


async def update(request: Request) -> Response:
    """POST /secrets/{id or name}."""
    require_api_key(request)
    body = await read_json(request)
    secret = request.path_params["secret"]
    info = await AsyncSecret.update(secret, string_in(body, "value"), _metadata(body))
    return JSONResponse(_body(info))


async def destroy(request: Request) -> Response:
    """DELETE /secrets/{id or name}."""
    require_api_key(request)
    secret = request.path_params["secret"]
    if not await AsyncSecret.destroy(secret):
        raise Refusal(404, f"there is no secret {secret!r}")
    return Response(status_code=204)


def _metadata(body: dict[str, Any]) -> dict[str, str] | None:
    found = body.get("metadata")
    if found is not None and not isinstance(found, dict):
        raise Refusal(400, "metadata must be an object")
    return found


def _body(info: SecretInfo) -> dict[str, Any]:
    return {
        "secretID": info.secret_id,
        "name": info.name,
        "currentVersion": info.version,
        "metadata": info.metadata,
        "createdAt": moment(info.created_at),
        "updatedAt": moment(info.updated_at),
    }


routes: list[BaseRoute] = [
    Route("/secrets", create, methods=["POST"]),
    Route("/secrets", list_secrets, methods=["GET"]),
    # A name may have any character in it, quoted on its way here.
    Route("/secrets/{secret:path}", get_info, methods=["GET"]),
    Route("/secrets/{secret:path}", update, methods=["POST"]),
    Route("/secrets/{secret:path}", destroy, methods=["DELETE"]),
]
