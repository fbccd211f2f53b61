"""The code interpreter's routes, which E2B has at port 49999: cells, contexts, health.

The cells themselves are `AsyncSandbox.run_code`'s; there is no timeout on this side: the SDK leaves
when its own has expired, and a client that leaves interrupts its cell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from localbox.errors import InvalidArgumentException, NotFoundException, SandboxException
from localbox.execution import Context, Execution
from localbox.server.auth import served_of
from localbox.server.bodies import read_json
from localbox.server.cell_stream import CellLines, CellResponse
from localbox.server.errors import answer_to
from localbox.server.state import Served

PORT = 49999

Handler = Callable[[Request, Served], Awaitable[Response]]


async def execute(request: Request) -> Response:
    """`POST /execute`: run a cell."""
    served = await served_of(request)
    body = await read_json(request)
    code, context_id, language = body.get("code"), body.get("context_id"), body.get("language")
    if not isinstance(code, str):
        return _said(400, "code must be a string")
    if context_id and language:
        return _said(400, "Only one of context_id or language can be provided")
    if not all(value is None or isinstance(value, str) for value in (context_id, language)):
        return _said(400, "context_id and language must be strings")
    # run_code looks at the id only.
    context = Context(context_id, "", "") if context_id else None

    async def run(lines: CellLines) -> Execution:
        return await served.sandbox.run_code(
            code,
            language,
            context,
            on_stdout=lines.on_output,
            on_stderr=lines.on_output,
            on_result=lines.on_result,
            on_error=lines.on_error,
            envs=body.get("env_vars"),
            timeout=0,
        )

    return CellResponse(run, lambda error: _refuse(request, error))


async def create_context(request: Request, served: Served) -> Response:
    body = await read_json(request)
    cwd, language = body.get("cwd"), body.get("language")
    if not all(value is None or isinstance(value, str) for value in (cwd, language)):
        return _said(400, "cwd and language must be strings")
    return JSONResponse(_described(await served.sandbox.create_code_context(cwd, language)))


async def list_contexts(_request: Request, served: Served) -> Response:
    # At E2B a sandbox begins with one for Python and one for JavaScript. Here they are made when
    # they are first used; being listed counts, as whoever sees one may name it in a cell.
    served.sandbox._interpreter.contexts.default("javascript")
    contexts = await served.sandbox.list_code_contexts()
    return JSONResponse([_described(context) for context in contexts])


async def remove_context(request: Request, served: Served) -> Response:
    await served.sandbox.remove_code_context(request.path_params["context_id"])
    return Response()


async def restart_context(request: Request, served: Served) -> Response:
    await served.sandbox.restart_code_context(request.path_params["context_id"])
    return Response()


async def health(_request: Request, _served: Served) -> Response:
    return PlainTextResponse("OK")


class _InterpreterRoute(Route):
    """A route of a path that envd has as well: for requests to the interpreter's port only."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] == "http" and _port_of(Request(scope)) != str(PORT):
            return Match.NONE, {}
        return super().matches(scope)


def _port_of(request: Request) -> str:
    named = request.headers.get("e2b-sandbox-port")
    if named is not None:
        return named
    return request.headers.get("host", "").partition("-")[0]


def _for_context(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
    """The SDKs send no token with these: the sandbox's id has to do."""

    async def handle(request: Request) -> Response:
        served = await served_of(request, with_token=False)
        try:
            return await handler(request, served)
        except SandboxException as error:
            return _refuse(request, error)

    return handle


def _refuse(request: Request, error: Exception) -> Response:
    """What goes wrong is told in plain text here: the SDK shows it as it is."""
    if isinstance(error, NotFoundException):
        return _said(404, str(error))
    if isinstance(error, InvalidArgumentException):
        return _said(400, str(error))
    return answer_to(request, error)


def _said(status: int, text: str) -> Response:
    return PlainTextResponse(text, status)


def _described(context: Context) -> dict[str, Any]:
    return {"id": context.id, "language": context.language, "cwd": context.cwd}


# Before envd's, whose /health answers to every port.
routes = [
    Route("/execute", execute, methods=["POST"]),
    Route("/contexts", _for_context(create_context), methods=["POST"]),
    Route("/contexts", _for_context(list_contexts), methods=["GET"]),
    Route("/contexts/{context_id}", _for_context(remove_context), methods=["DELETE"]),
    Route("/contexts/{context_id}/restart", _for_context(restart_context), methods=["POST"]),
    _InterpreterRoute("/health", _for_context(health), methods=["GET"]),
]
