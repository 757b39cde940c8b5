"""The listeners: plain HTTP/1.1 of our own delivery protocol, TLS with HTTP/2 by granian, on one event loop."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP2Settings
from granian.server.embed import Server as GranianServer
from uvicorn.config import Config
from uvicorn.server import ServerState

from headwater.errors import OperatorError
from headwater.pipeline.origin.http1 import DeliveryProtocol
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.rsgi import RsgiApp

log = logging.getLogger("headwater.origin")

AsgiApp = Callable[..., Awaitable[None]]

BACKLOG = 4096
"""Connections that wait to be accepted: a stream that starts brings its viewers within a second."""

SWEEP_S = 1.0
TLS_START_S = 10.0


class HttpServer:
    """Serves the origin's resources itself and gives everything else to an ASGI application."""

    def __init__(self, origin: Origin, app: AsgiApp) -> None:
        self._origin = origin
        self._app = app
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._granian: list[tuple[GranianServer, asyncio.Task[None]]] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def start_http(self, host: str, port: int) -> tuple[str, int]:
        """Listen without TLS; returns the bound address."""
        config = Config(
            self._app,
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=int(self._origin.settings.keep_alive_s),
        )
        config.load()
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            return DeliveryProtocol(config, self._state, {}, self._origin, loop)

        server = await loop.create_server(connection, host, port, backlog=BACKLOG)
        self._servers.append(server)
        if self._sweeper is None:
            self._refresh_date()
            self._sweeper = loop.create_task(self._sweep_for_ever(), name="http-sweeper")
        bound = server.sockets[0].getsockname()
        return bound[0], bound[1]

    async def start_https(self, host: str, port: int, certificate: Path, key: Path) -> tuple[str, int]:
        """Listen with TLS 1.2 or newer, HTTP/1.1 and HTTP/2; returns the bound address."""
        port = port or _free_port(host)
        server = GranianServer(
            RsgiApp(self._origin, self._app),
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.auto,
            backlog=BACKLOG,
            # Waiting viewers are requests under way: granian must not push back before our own limit does.
            backpressure=self._origin.settings.max_waiting,
            http2_settings=HTTP2Settings(max_concurrent_streams=200),
            websockets=False,
            log_enabled=False,
            ssl_cert=certificate,
            ssl_key=key,
            ssl_protocol_min="tls1.2",  # type: ignore[arg-type]
        )
        task: asyncio.Task[None] = asyncio.create_task(server.serve(), name="https")
        self._granian.append((server, task))
        await self._until_bound(host, port, task)
        return host, port

    async def _until_bound(self, host: str, port: int, task: asyncio.Task[None]) -> None:
        """granian says neither that it listens nor why it does not: look."""
        deadline = time.monotonic() + TLS_START_S
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        while time.monotonic() < deadline:
            if task.done():
                reason = task.exception() if not task.cancelled() else None
                raise OperatorError(f"cannot serve HTTPS on {host}:{port}: {reason or 'granian stopped'}")
            try:
                _, writer = await asyncio.open_connection(reachable, port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
        raise OperatorError(f"cannot serve HTTPS on {host}:{port}: nothing listens after {TLS_START_S:.0f} s")

    async def stop(self, grace_s: float) -> None:
        """No new connections; what is under way is answered for at most `grace_s`."""
        for server in self._servers:
            server.close()
        self._origin.drain()
        for connection in list(self._state.connections):
            connection.shutdown()
        for granian, _ in self._granian:
            granian.stop()  # type: ignore[no-untyped-call]
        deadline = time.monotonic() + grace_s
        while self._state.connections and time.monotonic() < deadline:  # noqa: ASYNC110 - a set has no event
            await asyncio.sleep(0.02)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if self._granian:
            await asyncio.wait([task for _, task in self._granian], timeout=grace_s)
            for _, task in self._granian:
                task.cancel()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._refresh_date()
            self._sweep(time.monotonic())

    def _sweep(self, now: float) -> None:
        """Close connections that are idle, send half a request, or read nothing; and those over the limit."""
        settings = self._origin.settings
        connections: list[Any] = list(self._state.connections)
        excess = len(connections) - settings.max_connections
        for connection in connections:
            if not isinstance(connection, DeliveryProtocol) or connection.transport is None:
                continue
            quiet = now - connection.active_at
            if connection.stalled:
                if quiet > settings.stalled_s:
                    connection.transport.abort()
            elif connection.head_pending and quiet > settings.head_timeout_s:
                connection.transport.abort()
            elif connection.idle and (quiet > settings.keep_alive_s or excess > 0):
                excess -= 1
                connection.transport.close()

    def _refresh_date(self) -> None:
        self._state.default_headers = [
            (b"date", formatdate(usegmt=True).encode()),
            (b"server", b"headwater"),
        ]


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
