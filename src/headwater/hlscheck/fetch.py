"""HTTP for the probe: one request in, one `Exchange` out, never an exception for what a server does.

Limits: size and time by request, http and https only also after redirects, a bounded number of redirects. Foreign
exceptions are turned into `Exchange.error` here and nowhere else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urljoin, urlsplit

import httpx

from headwater.hlscheck.observation import Exchange

MAX_REDIRECTS = 5  # a CDN needs one or two
MAX_CONNECTIONS = 200  # blocking requests hold one each over HTTP/1.1
CONNECT_TIMEOUT_S = 10.0
ORIGIN = "https://player.example"  # so that a server shows its CORS answer
HEADERS = {"User-Agent": "headwater-hls-check", "Accept-Encoding": "gzip", "Origin": ORIGIN}


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask. `timeout_s` bounds the whole exchange, `max_bytes` the decoded body."""

    url: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    timeout_s: float = 30.0
    max_bytes: int = 64 * 1024 * 1024


class Fetch(Protocol):
    """How the probe speaks HTTP; tests put a simulated server in its place."""

    async def __call__(self, request: Request) -> Exchange: ...


class HttpFetch:
    """Fetch over httpx, HTTP/2 where the server offers it over TLS. Use as an async context manager.

    Args:
        verify: False accepts any certificate (self-signed servers under test).
    """

    def __init__(self, *, verify: bool = True) -> None:
        self._tls = httpx.create_ssl_context(verify=verify)
        self._idle: list[httpx.AsyncClient] = []
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(http2=True, verify=self._tls, follow_redirects=False, headers=HEADERS)

    @asynccontextmanager
    async def _borrowed(self) -> AsyncIterator[httpx.AsyncClient]:
        """A client that nobody else uses: one request at a time on a connection.

        httpx hands an HTTP/2 connection's incoming data from waiter to waiter in turn, so that an answer lies unread
        until the streams before it have had data of their own: half a second among a few blocking reloads. What is
        measured here must not depend on that.
        """
        async with self._free:
            client = self._idle.pop() if self._idle else self._client()
            try:
                yield client
            finally:
                self._idle.append(client)

    async def __aenter__(self) -> HttpFetch:
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._idle:
            await client.aclose()

    async def __call__(self, request: Request) -> Exchange:
        exchange = Exchange(request.url, request.method)
        exchange.sent_at = asyncio.get_running_loop().time()
        try:
            async with self._borrowed() as client:
                exchange.sent_at = asyncio.get_running_loop().time()
                async with asyncio.timeout(request.timeout_s):
                    await self._follow(client, request, exchange)
        except TimeoutError:
            exchange.error = f"no complete answer within {request.timeout_s:.0f} s"
        # httpx raises InvalidURL and, from its URL and header code, ValueError for what a playlist may contain.
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            exchange.error = f"{type(error).__name__}: {error}"[:300]
        if not exchange.last_byte_at:
            exchange.last_byte_at = asyncio.get_running_loop().time()
        return exchange

    async def _follow(self, client: httpx.AsyncClient, request: Request, exchange: Exchange) -> None:
        url = request.url
        for _ in range(MAX_REDIRECTS + 1):
            if urlsplit(url).scheme not in ("http", "https"):
                exchange.error = f"{url[:80]} is neither http nor https"
                return
            target = await self._once(client, request, url, exchange)
            if target is None:
                return
            url = urljoin(url, target)
        exchange.error = f"more than {MAX_REDIRECTS} redirects"

    async def _once(self, client: httpx.AsyncClient, request: Request, url: str, exchange: Exchange) -> str | None:
        """One request; returns where a redirect points to."""
        timeout = httpx.Timeout(request.timeout_s, connect=CONNECT_TIMEOUT_S)
        clock = asyncio.get_running_loop().time
        async with client.stream(request.method, url, headers=request.headers, timeout=timeout) as response:
            if response.is_redirect and "location" in response.headers:
                return str(response.headers["location"])
            exchange.url = url
            exchange.head_at, exchange.wall_at = clock(), time.time()
            exchange.status, exchange.http_version = response.status_code, response.http_version
            exchange.headers = {k.lower(): v for k, v in response.headers.items()}
            chunks: list[bytes] = []
            async for chunk in response.aiter_bytes():
                exchange.first_byte_at = exchange.first_byte_at or clock()
                exchange.size += len(chunk)
                if exchange.size > request.max_bytes:
                    exchange.truncated = True
                    break
                chunks.append(chunk)
            exchange.last_byte_at = clock()
            exchange.first_byte_at = exchange.first_byte_at or exchange.last_byte_at
            exchange.body = b"".join(chunks)
        return None
