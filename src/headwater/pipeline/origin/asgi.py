"""The origin as the first of two ASGI applications: what is not its own goes to the second.

Requests for media that do not take the short way in `http1.py` come here through uvicorn: HTTP/1.0, bodies, upgrades,
percent-encoded or absolute targets, and what was pipelined behind a request of the API. The answers are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.response import Response
from headwater.pipeline.origin.waiting import waited

AsgiApp = Callable[..., Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class AsgiRequest:
    """An ASGI scope as the origin reads it."""

    __slots__ = ("_headers", "method", "path", "query", "remote")

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self.method: bytes = scope["method"].encode()
        self.path: bytes = scope["path"].encode("utf-8", "replace")
        self.query: bytes = scope["query_string"]
        client = scope.get("client")
        self.remote: str = client[0] if client else ""
        self._headers: list[tuple[bytes, bytes]] = scope["headers"]

    def header(self, name: bytes) -> bytes | None:
        return next((value.strip() for known, value in self._headers if known == name), None)


class OriginFirst:
    """An ASGI application."""

    def __init__(self, origin: Origin, app: AsgiApp) -> None:
        self._origin = origin
        self._app = app

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        answer = self._origin.respond(AsgiRequest(scope)) if scope["type"] == "http" else None
        if answer is None:
            await self._app(scope, receive, send)
            return
        response = await waited(answer, partial(_disconnect, receive))
        if response is not None:
            await _send(response, send, bodiless=scope["method"] == "HEAD")


async def _disconnect(receive: Receive) -> None:
    """Whatever body comes is not looked at."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(response: Response, send: Send, *, bodiless: bool) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else response.body})
