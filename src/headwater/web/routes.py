"""The routes of the pages: `/`, `/dashboard`, `/meet/<meeting id>`, `/<playback id>`, `/assets/...`.

Pages are plain files with a name filled in; scripts are ES modules without a build. The player may be framed by any
site, nothing else may be framed.
"""

from __future__ import annotations

import html
import os
from functools import cache
from importlib.resources import files
from typing import Protocol

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import PathLike, StaticFiles
from starlette.types import Scope

from headwater.protocols.byte_range import read_range

PLAYBACK_ID_LENGTH = 32
HEX = frozenset("0123456789abcdef")

POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self'; img-src 'self' data:; "
    "media-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {ancestors}"
)

DASHBOARD_POLICY = (
    "default-src 'none'; script-src 'self'; worker-src 'self' blob:; style-src 'self'; img-src 'self'; "
    "media-src 'self' blob:; connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'"
)
"""Here acts who is signed in: it frames the player page, and no text ever becomes markup or script."""

MEETING_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: https:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
"""Participants' pictures come from wherever the application has them."""

MEETING_HEADERS = {
    "referrer-policy": "no-referrer",  # the address has the participant's token
    "permissions-policy": "camera=(self), microphone=(self), display-capture=(self)",
    "cache-control": "no-store",
}


class Named(Protocol):
    """A livestream as far as a page shows it."""

    @property
    def name(self) -> str: ...

    @property
    def disabled(self) -> bool: ...


class Directory(Protocol):
    """Which playback ids exist."""

    async def playback(self, playback_id: str) -> Named | None:
        """The livestream of a playback id, or None."""


class Assets(StaticFiles):
    """Static files that browsers ask about again, cheaply (ETag), so that an upgrade is seen at once.

    Ranges are read as those of media are (`protocols/byte_range.py`): Starlette's reading answers some with 400.

    Where tools/fetch_web.py left a `.gz` beside a file, who accepts it gets that: nothing is compressed per request.
    """

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        packed = f"{os.fspath(full_path)}.gz"
        has_packed = os.path.isfile(packed)
        gzip = has_packed and "gzip" in Headers(scope=scope).get("accept-encoding", "")
        if gzip:
            full_path, stat_result = packed, os.stat(packed)
        response = super().file_response(full_path, stat_result, scope, status_code)
        if response.status_code == 200 and not range_can_be_had(scope, stat_result.st_size):
            return Response(status_code=416, headers={"content-range": f"bytes */{stat_result.st_size}"})
        response.headers["cache-control"] = "no-cache"
        response.headers["x-content-type-options"] = "nosniff"
        if has_packed:
            response.headers["vary"] = "accept-encoding"
        if gzip:
            response.headers["content-encoding"] = "gzip"
        return response


def range_can_be_had(scope: Scope, size: int) -> bool:
    """Whether a request's Range, if it has one, lies within the file. Only such a one is left to Starlette.

    Range is defined for GET alone (RFC 9110, 14.2); with If-Range the whole file is always right.
    """
    headers = MutableHeaders(scope=scope)
    wanted = headers.get("range")
    if wanted is None:
        return True
    del headers["range"]
    found = read_range(wanted.encode("latin-1", "replace"), size) if scope["method"] == "GET" else None
    if found is not None and found.satisfiable:
        headers["range"] = f"bytes={found.first}-{found.last}"
    return found is None or found.satisfiable or "if-range" in headers


def routes(directory: Directory) -> list[BaseRoute]:
    """The pages, for the composition root to mount beside the API."""

    async def start(request: Request) -> Response:
        return page("start.html")

    async def dashboard(request: Request) -> Response:
        return page("dashboard.html", policy=DASHBOARD_POLICY)

    async def meeting(request: Request) -> Response:
        # The same for every meeting: whether it exists is told to who has a participant's token.
        response = page("meet.html", policy=MEETING_POLICY)
        response.headers.update(MEETING_HEADERS)
        return response

    async def player(request: Request) -> Response:
        playback_id = request.path_params["playback_id"]
        known = len(playback_id) == PLAYBACK_ID_LENGTH and HEX.issuperset(playback_id)
        livestream = await directory.playback(playback_id) if known else None
        if livestream is None or livestream.disabled:
            return page("missing.html", status=404)
        return page("player.html", ancestors="*", name=livestream.name or "Livestream")

    folder = files("headwater.web")
    return [
        Route("/", start),
        Route("/dashboard", dashboard),
        Route("/meet/{meeting_id}", meeting),
        Mount("/assets/vendor", Assets(directory=str(folder / "vendor"), check_dir=False)),
        Mount("/assets", Assets(directory=str(folder / "static"))),
        Route("/{playback_id}", player),
    ]


def page(file: str, *, status: int = 200, ancestors: str = "'none'", policy: str = POLICY, **values: str) -> Response:
    """A page with its `{{ name }}` placeholders filled in, escaped."""
    text = template(file)
    for key, value in values.items():
        text = text.replace("{{ " + key + " }}", html.escape(value))
    headers = {
        "content-security-policy": policy.format(ancestors=ancestors),
        "cache-control": "no-cache",
        "referrer-policy": "same-origin",
        "x-content-type-options": "nosniff",
    }
    if ancestors != "*":
        headers["x-frame-options"] = "DENY"
    return HTMLResponse(text, status, headers)


@cache
def template(file: str) -> str:
    return (files("headwater.web") / "static" / file).read_text(encoding="utf-8")
