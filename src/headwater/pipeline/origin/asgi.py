"""The origin as the first of two ASGI applications: what is not its own goes to the second.

Requests for media that do not take the short way in `http1.py` come here through uvicorn: HTTP/1.0, bodies, upgrades,
percent-encoded or absolute targets, and what was pipelined behind a request of the API. The answers are the same.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.request import is_host
from headwater.pipeline.origin.response import BAD_HOST, Answer, Response
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
        answer: Answer | None = None
        if scope["type"] == "http":
            answer = self._origin.respond(AsgiRequest(scope)) if names_one_host(scope) else BAD_HOST
        if answer is None:
            await self._app(scope, receive, send)
            return
        response = await waited(answer, partial(_disconnect, receive))
        if response is not None:
            tally = self._origin.tally
            tally.classes[response.status // 100] += 1
            if scope["method"] != "HEAD":
                tally.body_bytes += response.size
            await _send(response, send, bodiless=scope["method"] == "HEAD")


def names_one_host(scope: MutableMapping[str, Any]) -> bool:
    """Whether a request of HTTP/1.1 has one valid Host (RFC 9112, 3.2); older ones need none, but not two either."""
    hosts = [value.strip() for name, value in scope["headers"] if name == b"host"]
    least = 1 if scope["http_version"] == "1.1" else 0
    return least <= len(hosts) <= 1 and all(map(is_host, hosts))


async def _disconnect(receive: Receive) -> None:
    """Whatever body comes is not looked at."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(response: Response, send: Send, *, bodiless: bool) -> None:
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if bodiless else response.body})
