"""Parts of E2B's API that this server does not have yet: each says so, with status 501."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from localbox.server.auth import require_api_key
from localbox.server.errors import NotYet

_MISSING = {
    "/templates": "templates; in Python there is localbox.AsyncTemplate",
    "/v2/templates": "templates; in Python there is localbox.AsyncTemplate",
    "/v3/templates": "templates; in Python there is localbox.AsyncTemplate",
    "/teams": "teams",
    "/nodes": "nodes",
    "/access-tokens": "access tokens",
    "/api-keys": "API keys: it has one",
}
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def _missing(request: Request) -> Response:
    require_api_key(request)
    for start, what in _MISSING.items():
        if request.url.path.startswith(start):
            raise NotYet(what)
    raise AssertionError(f"no route leads here from {request.url.path}")


routes: list[BaseRoute] = [
    route
    for start in _MISSING
    for route in (
        Route(start, _missing, methods=_METHODS),
        Route(f"{start}/{{rest:path}}", _missing, methods=_METHODS),
    )
]
