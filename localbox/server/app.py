"""The application: all routes, and what is asked of a request before it reaches one."""

from __future__ import annotations

import importlib
import ipaddress
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from localbox.server.errors import HANDLED, Refusal, answer_to
from localbox.server.ports import PortsByHost
from localbox.server.state import State

# Each has `routes`. The interpreter before envd, whose /health would answer for its port too;
# control last: its routes that answer 501 take whatever is left.
_PARTS = ("interpreter", "process", "filesystem", "files", "control")


def make_app(state: State) -> Starlette:
    """The server's side of E2B's protocol, for `state`'s sandboxes."""
    routes: list[BaseRoute] = []
    for part in _PARTS:
        routes += importlib.import_module(f"localbox.server.{part}").routes
    app = Starlette(
        routes=routes,
        middleware=[Middleware(_LocalOnly, host=state.host), Middleware(PortsByHost, state=state)],
        exception_handlers={
            **dict.fromkeys(HANDLED, _answer_to),
            404: _no_such_route,
            405: _no_such_route,
            # Answered, and raised again for uvicorn to log.
            Exception: _answer_to,
        },
    )
    app.state.localbox = state
    return app


class _LocalOnly:
    """Refuses what a web page can make a browser send here.

    A page's own name can be made to lead to this machine (DNS rebinding), so a request has to name
    this machine; and a page that asks openly says in Origin where it is from.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self._app = app
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            origin = request.headers.get("origin")
            refused = None
            if not self._is_here(request.headers.get("host", "")):
                refused = "the Host header names another machine than this server's"
            elif origin is not None and not self._is_here(urlsplit(origin).netloc):
                refused = "requests of web pages are not answered here"
            if refused is not None:
                await answer_to(request, Refusal(403, refused))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_here(self, authority: str) -> bool:
        try:
            name = urlsplit(f"//{authority}").hostname
        except ValueError:
            return False
        if name is None:
            return False
        if name in {"localhost", self._host.lower()} or name.endswith(".localhost"):
            return True
        try:
            # Nobody can make an address lead elsewhere than it does.
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


async def _answer_to(request: Request, error: Exception) -> Response:
    return answer_to(request, error)


async def _no_such_route(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    return answer_to(request, Refusal(status, f"no route {request.method} {request.url.path}"))
