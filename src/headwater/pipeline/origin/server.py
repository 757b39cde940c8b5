"""The listeners: plain HTTP/1.1 of our own delivery protocol, TLS with HTTP/2 by granian, on one event loop."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import ssl
import time
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server as GranianServer
from uvicorn.config import Config
from uvicorn.server import ServerState

from headwater.errors import OperatorError
from headwater.pipeline.origin.asgi import AsgiApp, OriginFirst
from headwater.pipeline.origin.http1 import DeliveryProtocol
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.rsgi import RsgiApp
from headwater.pipeline.origin.tally import Tallied, Tally

log = logging.getLogger("headwater.origin")

BACKLOG = 4096
"""Connections that wait to be accepted: a stream that starts brings its viewers within a second."""

H1_BUFFER_BYTES = 65_536
"""What granian reads ahead of a connection: heads, and bodies in pieces of this size."""

H2_PING_MS, H2_PONG_S = 20_000, 10
"""An HTTP/2 connection without a word is asked whether its viewer is still there, and cut where no answer comes."""

OPEN_FILES = 65_536
"""More than `max_connections`, the recordings and the database need."""

SWEEP_S = 0.5
ANSWERS_LEAVE_S = 0.05
TLS_START_S = 10.0


class HttpServer:
    """Serves the origin's resources itself and gives everything else to an ASGI application.

    Attributes:
        tally: What the application has answered; the origin has a tally of its own.
    """

    def __init__(self, origin: Origin, app: AsgiApp) -> None:
        self._origin = origin
        self.tally = Tally()
        self._app = Tallied(app, self.tally)
        self._state = ServerState()
        self._servers: list[asyncio.Server] = []
        self._granian: list[tuple[GranianServer, asyncio.Task[None]]] = []
        self._sweeper: asyncio.Task[None] | None = None

    async def start_http(self, host: str, port: int) -> tuple[str, int]:
        """Listen without TLS; returns the bound address.

        Raises:
            OSError: it cannot be bound.
        """
        allow_connections()
        config = Config(
            OriginFirst(self._origin, self._app),
            lifespan="off",
            log_config=None,
            access_log=False,
            ws="none",
            proxy_headers=False,
            timeout_keep_alive=int(self._origin.settings.keep_alive_s),
        )
        config.load()
        # A line for each broken request would let strangers fill the disk; errors of the application stay.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
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
        """Listen with TLS 1.2 or newer, HTTP/1.1 and HTTP/2; returns the bound address.

        Raises:
            OSError: it cannot be bound.
            OperatorError: certificate and key cannot be used, or nothing listens after all.
        """
        allow_connections()
        await asyncio.to_thread(check_certificate, certificate, key)
        host, port = await resolve(host, port)
        settings = self._origin.settings
        server = GranianServer(
            RsgiApp(self._origin, self._app),
            address=host,
            port=port,
            interface=Interfaces.RSGI,
            http=HTTPModes.auto,
            backlog=BACKLOG,
            # Waiting viewers are requests under way: granian must not push back before our own limit does.
            backpressure=settings.max_waiting,
            http1_settings=HTTP1Settings(
                header_read_timeout=int(settings.head_timeout_s * 1000), max_buffer_size=H1_BUFFER_BYTES
            ),
            http2_settings=HTTP2Settings(
                max_headers_size=settings.max_head_bytes,
                max_concurrent_streams=200,
                keep_alive_interval=H2_PING_MS,
                keep_alive_timeout=H2_PONG_S,
            ),
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
        while time.monotonic() < deadline and not task.done():
            try:
                _, writer = await asyncio.open_connection(reachable, port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            if not task.done():
                return
        why = f"nothing listens after {TLS_START_S:.0f} s"
        if task.done():
            why = str((task.exception() if not task.cancelled() else None) or "it stopped")
        raise OperatorError(f"cannot serve HTTPS on {host}:{port}: {why}")

    @property
    def serving(self) -> bool:
        """Every listener that was started takes connections."""
        started = bool(self._servers or self._granian)
        return started and all(s.is_serving() for s in self._servers) and not any(t.done() for _, t in self._granian)

    @property
    def connections(self) -> int:
        """Open connections of plain HTTP; those of TLS are granian's."""
        return len(self._state.connections)

    async def stop(self, grace_s: float) -> None:
        """No new connections; what is under way is answered for at most `grace_s`."""
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        self._origin.drain()
        deadline = time.monotonic() + grace_s
        await self._stop_granian(deadline)
        while self._state.connections and time.monotonic() < deadline:  # noqa: ASYNC110 - a set has no event
            await asyncio.sleep(0.02)
        for connection in list(self._state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _stop_granian(self, deadline: float) -> None:
        """Give what was just answered a moment to leave: some clients hear nothing more behind a GOAWAY.

        A viewer that keeps its idle connection is not waited for beyond the deadline. Its task is left to the loop's
        end: granian's thread reports to it later, and complains where it was cancelled.
        """
        stopping, self._granian = self._granian, []
        if not stopping:
            return
        await asyncio.sleep(ANSWERS_LEAVE_S)
        for granian, _ in stopping:
            granian.stop()  # type: ignore[no-untyped-call]
        done, _ = await asyncio.wait([task for _, task in stopping], timeout=max(0.1, deadline - time.monotonic()))
        for task in done:
            if not task.cancelled() and task.exception() is not None:
                log.error("the HTTPS server failed", exc_info=task.exception())

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_S)
            self._refresh_date()
            self._sweep(time.monotonic())

    def _sweep(self, now: float) -> None:
        """Close connections that are idle, send a request too slowly, or read nothing.

        Nine tenths of the connections are for those who ask for something: beyond it the idle ones go.
        """
        settings = self._origin.settings
        connections: list[Any] = list(self._state.connections)
        excess = len(connections) - settings.max_connections * 9 // 10
        for connection in connections:
            if not isinstance(connection, DeliveryProtocol) or connection.transport is None:
                continue
            if connection.overdue(now):
                connection.transport.abort()
            elif connection.idle and (excess > 0 or now - connection.active_at > settings.keep_alive_s):
                excess -= 1
                connection.transport.close()

    def _refresh_date(self) -> None:
        self._state.default_headers = [(b"date", self._origin.refresh_date()), (b"server", b"headwater")]


def allow_connections() -> None:
    """As many open files as the system allows this process: the usual soft limit is 1024, and each viewer is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard or hard == resource.RLIM_INFINITY:
        wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
        if wanted > soft >= 0:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def check_certificate(certificate: Path, key: Path) -> None:
    """granian would end the thread that serves, without a word.

    Raises:
        OperatorError: they cannot be read, or do not belong together.
    """
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(f"the TLS certificate {certificate} with key {key} cannot be used: {error}") from error


async def resolve(host: str, port: int) -> tuple[str, int]:
    """The numeric address that a host names, and a port that is free there.

    granian wants numbers, and shares a port with whoever allows it: two servers would each get half of the viewers.

    Raises:
        OSError: there is no such host, or the port is taken.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, _, _, _, address = found[0]
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen(1)
        return str(address[0]), int(probe.getsockname()[1])
