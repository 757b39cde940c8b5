"""HTTP/1.1 and HTTP/2 with TLS, carried by granian: RSGI requests to the origin, everything else to the ASGI app."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, MutableMapping
from typing import Any

from granian._granian import RSGIProtocolClosed as ProtocolClosed

from headwater.pipeline.origin.asgi import AsgiApp
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.request import LINGER_BYTES, LINGER_S, is_host
from headwater.pipeline.origin.response import BAD_HOST, FAILED, Response
from headwater.pipeline.origin.waiting import waited

log = logging.getLogger("headwater.origin")


class RsgiRequest:
    """An RSGI scope as the origin reads it."""

    __slots__ = ("_headers", "_scope", "method", "path", "query")

    def __init__(self, scope: Any) -> None:
        self.method = scope.method.encode()
        self.path = scope.path.encode("utf-8", "replace")
        self.query = scope.query_string.encode("utf-8", "replace")
        self._headers = scope.headers
        self._scope = scope

    @property
    def remote(self) -> str:
        host: str = self._scope.client.rpartition(":")[0]
        return host

    def header(self, name: bytes) -> bytes | None:
        value = self._headers.get(name.decode())
        return value.strip().encode("latin-1", "replace") if value is not None else None


class RsgiApp:
    """What granian calls for each request."""

    def __init__(self, origin: Origin, app: AsgiApp) -> None:
        self._origin = origin
        self._app = app

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        if scope.proto != "http":
            return
        try:
            request = RsgiRequest(scope)
            response = self._origin.respond(request) if names_one_host(scope) else BAD_HOST
            if not isinstance(response, Response):
                if response is None:
                    await call_asgi(self._app, scope, protocol)
                    return
                # granian does not cancel a handler whose client is gone.
                response = await waited(response, protocol.client_disconnect)
                if response is None:
                    return
            tally = self._origin.tally
            tally.classes[response.status // 100] += 1
            if request.method == b"HEAD" or not response.size:
                protocol.response_empty(response.status, response.headers)
            else:
                tally.body_bytes += response.size
                protocol.response_bytes(response.status, response.headers, response.body)
        except ProtocolClosed:
            pass  # the viewer is gone
        except Exception:
            log.exception("a request failed: %s", scope.path[:200])
            self._origin.tally.classes[5] += 1
            protocol.response_bytes(FAILED.status, FAILED.headers, FAILED.body)

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing: `app.py` starts and stops everything."""

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing either."""


def names_one_host(scope: Any) -> bool:
    """Whether a request of HTTP/1.1 has one valid Host (RFC 9112, 3.2); HTTP/2 has :authority, which granian reads."""
    if scope.http_version != "1.1":
        return True
    hosts = scope.headers.get_all("host")
    return len(hosts) == 1 and is_host(hosts[0].strip().encode("latin-1", "replace"))


async def call_asgi(app: AsgiApp, scope: Any, protocol: Any) -> None:
    """Run an ASGI 3 application for an RSGI request."""
    body: AsyncIterator[bytes] = aiter(protocol)
    finished = answered = False
    start: MutableMapping[str, Any] = {}
    stream: Any = None

    async def receive() -> dict[str, Any]:
        nonlocal finished
        if finished:
            await protocol.client_disconnect()
            return {"type": "http.disconnect"}
        try:
            return {"type": "http.request", "body": await anext(body), "more_body": True}
        except StopAsyncIteration:
            finished = True
            return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        nonlocal stream, answered
        if message["type"] == "http.response.start":
            start.update(message)
            return
        if stream is None and not finished and listens_late(scope):
            await drained(body)
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in start.get("headers", [])]
        content, more = message.get("body", b""), message.get("more_body", False)
        if scope.method == "HEAD":
            # Applications leave it to the server to keep the body back; HTTP/2 breaks off (RFC 9113, 8.1.1).
            if not answered:
                answered = True
                protocol.response_empty(start["status"], headers)
            return
        if stream is None and not more:
            if content:
                protocol.response_bytes(start["status"], headers, content)
            else:
                protocol.response_empty(start["status"], headers)
            return
        if stream is None:
            stream = protocol.response_stream(start["status"], headers)
        if content:
            await stream.send_bytes(content)

    await app(asgi_scope(scope), receive, send)


def listens_late(scope: Any) -> bool:
    """Whether a request's body may be on its way from a client that sends all of it before it reads an answer."""
    headers = scope.headers
    has_body = "content-length" in headers or "transfer-encoding" in headers
    return has_body and "expect" not in headers


async def drained(body: AsyncIterator[bytes]) -> None:
    """Read a body that nobody wants, within bounds: granian would end the connection, and with it goes the answer."""
    left = LINGER_BYTES
    try:
        async with asyncio.timeout(LINGER_S):
            while left >= 0:
                left -= len(await anext(body))
    except (StopAsyncIteration, TimeoutError):
        pass


def asgi_scope(scope: Any) -> dict[str, Any]:
    """An RSGI scope in ASGI's words."""
    host, _, port = scope.server.rpartition(":")
    client_host, _, client_port = scope.client.rpartition(":")
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in scope.headers.items()]
    if scope.authority and not any(name == b"host" for name, _ in headers):
        headers.append((b"host", scope.authority.encode("latin-1")))  # HTTP/2's :authority
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": scope.http_version,
        "method": scope.method,
        "scheme": scope.scheme,
        "path": scope.path,
        "raw_path": scope.path.encode("utf-8"),
        "query_string": scope.query_string.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "server": (host, int(port) if port.isdigit() else None),
        "client": (client_host, int(client_port) if client_port.isdigit() else 0),
        "state": {},
    }
