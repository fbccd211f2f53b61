"""The control plane: a sandbox paused, measured, and what is said of its network."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from localbox.models_control import SandboxMetrics
from localbox.server.auth import named_sandbox
from localbox.server.bodies import read_json
from localbox.server.errors import Refusal
from localbox.server.wire import in_snake_case, moment, read_number


async def pause(request: Request) -> Response:
    """POST /sandboxes/{id}/pause."""
    _state, served = await named_sandbox(request)
    body = await read_json(request)
    changed = await served.sandbox.pause(
        mode="filesystem" if body.get("memory") is False else "full",
        strict=bool(body.get("requireHealthyGuest")),
    )
    if not changed:
        raise Refusal(409, f"sandbox {served.sandbox_id} is paused already")
    return Response(status_code=204)


async def get_metrics(request: Request) -> Response:
    """GET /sandboxes/{id}/metrics."""
    _state, served = await named_sandbox(request)
    found = await served.sandbox.get_metrics(_time(request, "start"), _time(request, "end"))
    return JSONResponse([_metrics_body(sample) for sample in found])


async def update_network(request: Request) -> Response:
    """PUT /sandboxes/{id}/network."""
    _state, served = await named_sandbox(request)
    update = in_snake_case(await read_json(request))
    await served.sandbox.update_network(update)  # type: ignore[arg-type]
    return Response(status_code=204)


def _time(request: Request, name: str) -> datetime | None:
    seconds = read_number(request.query_params.get(name), name)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        raise Refusal(400, f"{name} is beyond all dates") from None


def _metrics_body(sample: SandboxMetrics) -> dict[str, object]:
    return {
        "timestamp": moment(sample.timestamp),
        "timestampUnix": int(sample.timestamp.timestamp()),
        "cpuCount": sample.cpu_count,
        "cpuUsedPct": sample.cpu_used_pct,
        "memUsed": sample.mem_used,
        "memTotal": sample.mem_total,
        "memCache": sample.mem_cache,
        "diskUsed": sample.disk_used,
        "diskTotal": sample.disk_total,
    }


routes: list[BaseRoute] = [
    Route("/sandboxes/{sandbox_id}/pause", pause, methods=["POST"]),
    Route("/sandboxes/{sandbox_id}/metrics", get_metrics, methods=["GET"]),
    Route("/sandboxes/{sandbox_id}/network", update_network, methods=["PUT"]),
]
