"""The RTMP and RTMPS listeners: who may connect, and the one clock of all connections."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter

from headwater.pipeline.ingest.connection import RtmpConnection
from headwater.pipeline.ingest.gate import Gate
from headwater.pipeline.ingest.settings import IngestSettings

TICK_S = 0.5
"""How often waits are looked at. One timer for all connections, so that a message costs none."""

STOP_S = 2.0
"""How long publishers may take to read that the server stops, before they are cut."""

BACKLOG = 512
"""Connections that the kernel holds while the loop is busy; encoders of many livestreams return at once after a
restart."""

_log = logging.getLogger("headwater.ingest")


class RtmpIngest:
    """Takes publishers; asks `gate` about each.

    Attributes:
        gate: Decides on publishes.
        settings: Limits and waits.
        turned_away: Connections that a limit forbade, by the limit's name.
    """

    def __init__(self, gate: Gate, settings: IngestSettings | None = None) -> None:
        self.gate = gate
        self.settings = settings or IngestSettings()
        self.session_limits = self.settings.session_limits()
        self.turned_away: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []
        self._connections: set[RtmpConnection] = set()
        self._strangers: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._bytes_gone = 0  # of connections that have ended

    async def start(self, host: str, port: int, ssl_context: ssl.SSLContext | None = None) -> tuple[str, int]:
        """Listen for RTMP, or for RTMPS where a context is given; may be called once for each.

        Args:
            port: 0 picks a free one.

        Returns:
            Host and port that are listened on.
        """
        loop = asyncio.get_running_loop()
        scheme = "rtmps" if ssl_context is not None else "rtmp"
        server = await loop.create_server(
            lambda: RtmpConnection(self, scheme, loop),
            host,
            port,
            ssl=ssl_context,
            ssl_handshake_timeout=self.settings.handshake_timeout_s if ssl_context is not None else None,
            backlog=BACKLOG,
        )
        self._servers.append(server)
        if self._timer is None:
            self._timer = loop.call_later(TICK_S, self._tick, loop)
        address = server.sockets[0].getsockname()
        return address[0], address[1]

    async def stop(self) -> None:
        """Close the listeners, tell every publisher, end every publication; returns when nothing is left running."""
        for server in self._servers:
            server.close()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tasks = [task for connection in list(self._connections) if (task := connection.stop()) is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._drain()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def _drain(self) -> None:
        """Wait for the connections to close; cut those whose peer does not read."""
        if not self._connections:
            return
        self._empty.clear()
        try:
            async with asyncio.timeout(STOP_S):
                await self._empty.wait()
        except TimeoutError:
            for connection in list(self._connections):
                connection.abort()

    @property
    def connections(self) -> int:
        """Open connections, publishing or not."""
        return len(self._connections)

    @property
    def serving(self) -> bool:
        """Every listener that was started takes connections."""
        return bool(self._servers) and all(server.is_serving() for server in self._servers)

    @property
    def bytes_received(self) -> int:
        """Bytes of all connections so far, open and gone."""
        return self._bytes_gone + sum(connection.bytes_received for connection in self._connections)

    def register(self, connection: RtmpConnection) -> str | None:
        """Take a connection; else the name of the limit that forbids it."""
        limit = self._forbidding(connection)
        if limit is not None:
            self.turned_away[limit] += 1
            return limit
        self._connections.add(connection)
        self._strangers[connection.address] += 1
        return None

    def _forbidding(self, connection: RtmpConnection) -> str | None:
        settings = self.settings
        if len(self._connections) >= settings.connections:
            return "connections"
        if self._strangers.total() >= settings.unauthenticated_connections:
            return "unauthenticated_connections"
        if self._strangers[connection.address] >= settings.unauthenticated_per_address:
            return "unauthenticated_per_address"
        return None

    def admit(self, connection: RtmpConnection) -> None:
        """A connection's publish was admitted: it is no stranger any more."""
        if not connection.admitted:
            connection.admitted = True
            self._forget_stranger(connection.address)

    def unregister(self, connection: RtmpConnection) -> None:
        """A connection is gone; one that `register` refused is not known here."""
        if connection in self._connections:
            self._connections.discard(connection)
            self._bytes_gone += connection.bytes_received
            if not connection.admitted:
                self._forget_stranger(connection.address)
            if not self._connections:
                self._empty.set()

    def _forget_stranger(self, address: str) -> None:
        self._strangers[address] -= 1
        if self._strangers[address] <= 0:
            del self._strangers[address]

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(TICK_S, self._tick, loop)
        now = loop.time()
        for connection in list(self._connections):
            connection.tick(now)
