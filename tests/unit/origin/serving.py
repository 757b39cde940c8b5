"""A real HttpServer on a loopback port, with a fed session behind it, and raw sockets to talk to it."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from headwater.pipeline.origin import HttpServer, Origin
from tests.unit.origin.feed import Feed, make_origin


async def page(request: Request) -> PlainTextResponse:
    body = await request.body()
    return PlainTextResponse(f"page {request.method} {len(body)}")


async def method(scope: Scope, receive: Receive, send: Send) -> None:
    """405, and what was asked: its method and the size of its body."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['method']} {len(body)}", 405)(scope, receive, send)


async def limited(request: Request) -> PlainTextResponse:
    """Refuses without a look at the body, as the API does where a body is too large."""
    return PlainTextResponse("too large", 413, {"Connection": "close"})


PAGES = Starlette(
    routes=[
        Route("/page", page, methods=["GET", "POST"]),
        Route("/limited", limited, methods=["POST"]),
        Mount("/method", method),
    ]
)


@dataclass
class Served:
    """A server, its origin and its feed.

    Attributes:
        feed: Two whole segments of 60 KB parts, and an open one.
    """

    server: HttpServer
    origin: Origin
    feed: Feed
    port: int
    tls_port: int = 0

    @property
    def connections(self) -> int:
        return len(self.server._state.connections)


@asynccontextmanager
async def served(folder: Path, *, tls: bool = False, **settings: float) -> AsyncIterator[Served]:
    origin = make_origin(folder, **settings)
    server = HttpServer(origin, PAGES)
    try:
        feed = Feed(origin, part_bytes=60_000).live(2)
        result = Served(server, origin, feed, (await server.start_http("127.0.0.1", 0))[1])
        if tls:
            result.tls_port = (await server.start_https("127.0.0.1", 0, *certificate(folder)))[1]
        yield result
    finally:
        await server.stop(1.0)


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    cert_path, key_path = folder / "cert.pem", folder / "key.pem"
    cert_path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    key_path.write_bytes(key.private_bytes(pem, form, serialization.NoEncryption()))
    return cert_path, key_path


class Wire:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def open(cls, port: int, tls: ssl.SSLContext | None = None) -> Wire:
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 20, ssl=tls))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self, *, bodiless: bool = False) -> tuple[int, dict[str, str], bytes]:
        """The next response: status, headers, body."""
        head = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)).decode("latin-1")
        first, *rest = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
        status = int(first.split()[1])
        size = 0 if bodiless or status in (204, 304) else int(headers["content-length"])
        return status, headers, await asyncio.wait_for(self.reader.readexactly(size), 10)

    async def closed(self) -> bool:
        """The server closes the connection, with nothing more to say."""
        try:
            return await asyncio.wait_for(self.reader.read(), 10) == b""
        except ConnectionError:
            return True

    async def close(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass


@asynccontextmanager
async def wire(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Wire]:
    connection = await Wire.open(port, tls)
    try:
        yield connection
    finally:
        await connection.close()


async def until(condition: object, within_s: float = 5.0) -> None:
    for _ in range(int(within_s / 0.01)):
        if condition():  # type: ignore[operator]
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to it")
