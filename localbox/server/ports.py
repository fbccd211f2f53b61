"""`get_host(port)` of E2B's SDKs: "{port}-{id}.localhost:{this port}" leads to the server inside.

By a redirect to the address that `AsyncSandbox.get_host` gives. What follows it, browsers above
all, speaks to the sandbox directly from then on, with WebSockets and all.
"""

from __future__ import annotations

from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localbox.errors import SandboxException
from localbox.server.errors import SandboxGone, answer_to, gone_response
from localbox.server.state import State

# Those of envd and of the code interpreter, whose routes are this server's own.
_OWN_PORTS = {"49983", "49999"}


class PortsByHost:
    """Takes the requests whose host name names another port of a sandbox."""

    def __init__(self, app: ASGIApp, state: State) -> None:
        self._app = app
        self._state = state

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            request = Request(scope)
            label = request.headers.get("host", "").partition(".")[0]
            port, _, sandbox_id = label.partition("-")
            if sandbox_id and port.isdecimal() and port not in _OWN_PORTS:
                # None has more digits, and int() takes no more than 4300.
                answer = await self._answer(request, int(port[:6]), sandbox_id)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, request: Request, port: int, sandbox_id: str) -> Response:
        try:
            served = await self._state.find(sandbox_id)
            # 307: the method and the body stay what they are.
            where = f"http://{served.sandbox.get_host(port)}{request.url.path}"
        except SandboxGone:
            return gone_response(sandbox_id)
        except SandboxException as error:
            return answer_to(request, error)
        return RedirectResponse(URL(where).replace(query=request.url.query), 307)
