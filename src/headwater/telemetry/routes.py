"""`/healthz`, `/readyz` and `/metrics`.

On the public port strangers ask too: they learn which check fails, and nothing else. What is wrong with it, in words,
and the metrics are on the operator's own listener.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from headwater.telemetry.metrics import render
from headwater.telemetry.readiness import Readiness

if TYPE_CHECKING:
    from headwater.telemetry.telemetry import Telemetry

_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def probes(readiness: Readiness, *, detailed: bool) -> list[Route]:
    """The two that supervisors ask."""

    async def healthz(_request: Request) -> Response:
        """That this is answered is the news: the event loop turns."""
        return JSONResponse({"status": "ok"}, headers=_HEADERS)

    async def readyz(_request: Request) -> Response:
        report = await readiness.report()
        content: dict[str, object] = {"ready": report.ready, "failing": report.failing}
        if detailed:
            content["checks"] = {name: wrong or "ok" for name, wrong in report.checks.items()}
        return JSONResponse(content, 200 if report.ready else 503, headers=_HEADERS)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def operator_app(telemetry: Telemetry) -> Starlette:
    """Everything for the operator."""

    async def metrics(request: Request) -> Response:
        found = await telemetry.collect()
        if found is None:
            return JSONResponse({"status": "starting"}, 503, headers=_HEADERS)
        # Rendering and the process's own metrics (files of /proc) need not hold up the event loop.
        body, content_type = await asyncio.to_thread(render, found, request.headers.get("accept", ""))
        return Response(body, headers={**_HEADERS, "content-type": content_type})

    return Starlette(routes=[*probes(telemetry.readiness, detailed=True), Route("/metrics", metrics)])
