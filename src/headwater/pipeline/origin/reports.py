"""`POST /<playback id>/cmcd`: where players report what happens (CTA-5004-B, 2.3: event mode).

An ASGI route behind the origin, for it has a body. From any page (CORS), without a credential: what is said there is
counted, never shown. Answers: 204 taken (or nothing is live), 400 no such report, 404 no such livestream, 413 too
large, 429 too many.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from headwater.errors import ProtocolError
from headwater.pipeline.origin.directory import Directory, watchable
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.paths import HEX, PLAYBACK_ID_LENGTH
from headwater.protocols import cmcd

HEADERS = {
    "access-control-allow-origin": "*",
    "access-control-expose-headers": "Retry-After",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}
PREFLIGHT = {
    **HEADERS,
    "access-control-allow-methods": "POST, OPTIONS",
    "access-control-allow-headers": "Content-Type",
    "access-control-max-age": "86400",
    "cache-control": "public, max-age=86400",
}
RETRY_AFTER_S = 10


def report_routes(
    origin: Origin, directory: Directory, *, clock: Callable[[], float] = time.monotonic
) -> list[BaseRoute]:
    """The route, for the composition root to mount before the pages."""

    async def take(request: Request) -> Response:
        if request.method == "OPTIONS":
            return Response(status_code=204, headers=PREFLIGHT)
        playback_id = request.path_params["playback_id"]
        known = len(playback_id) == PLAYBACK_ID_LENGTH and HEX.issuperset(playback_id.encode())
        if not known or await watchable(directory, playback_id) is None:
            return _words(404, "There is no such livestream.")
        try:
            body = await _body(request)
            if len(body) > cmcd.BODY_LIMIT:
                return _words(413, f"A report has at most {cmcd.BODY_LIMIT} bytes.", {"connection": "close"})
            reports = cmcd.of_body(body, request.headers.get("content-type", "").encode())
        except ProtocolError as error:
            return _words(400, f"This is no CMCD report: {error}.")
        except ClientDisconnect:
            return Response(status_code=204)
        program = origin.programs.get(playback_id)
        if program is not None and not program.experience.told(reports, clock()):
            return _words(429, "Too many reports.", {"retry-after": str(RETRY_AFTER_S)})
        return Response(status_code=204, headers=HEADERS)

    return [Route("/{playback_id}/cmcd", take, methods=["POST", "OPTIONS"])]


async def _body(request: Request) -> bytes:
    """The body, or a little more than the most that is read of it."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > cmcd.BODY_LIMIT:
            break
    return body


def _words(status: int, text: str, more: dict[str, str] | None = None) -> Response:
    return PlainTextResponse(text + "\n", status, headers={**HEADERS, **(more or {})})
