"""Connections of which only so much is read: what a receiver sends is a stranger's.

An HTTP client reads a head until it is over, and skips any number of interim answers (1xx) before it. Where they come
without end, it would do nothing else, and nothing else would be done in the event loop. So little is read at once, and
not much in all.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from typing import Any, Final

import httpcore

READ_LIMIT: Final = 64 * 1024
"""Bytes of one answer with all that stands before it; of what follows its head, only the beginning is looked at."""

READ_AT_ONCE: Final = 4096
"""Some 200 interim answers, 10 ms of CPU."""


class BoundedBackend(httpcore.AsyncNetworkBackend):
    """TCP, and TLS over it."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Bounded(await self._inner.connect_tcp(host, port, timeout, local_address, socket_options))

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


class _Bounded(httpcore.AsyncNetworkStream):
    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self._left = READ_LIMIT

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise httpcore.ReadError(f"more than {READ_LIMIT} bytes came before the answer was there")
        data = await self._inner.read(min(max_bytes, READ_AT_ONCE), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Bounded(await self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
