"""The check over a real network stack: blocking reloads and hints on HTTP/1.1, and on HTTP/2 with TLS."""

from __future__ import annotations

import asyncio
import datetime
import gzip
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from granian.server.embed import Server

from headwater.hlscheck import Report, check
from headwater.hlscheck.fetch import Request
from tests.unit.hlscheck import origin as simulated

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Application:
    """The simulated origin as an ASGI application, in real time from its first request on."""

    def __init__(self, origin: simulated.Origin) -> None:
        self.origin = origin

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        query = scope["query_string"].decode()
        url = f"https://origin.test{scope['path']}" + (f"?{query}" if query else "")
        exchange = await self.origin(Request(url, scope["method"], timeout_s=60))
        body = exchange.body
        if exchange.headers.pop("content-encoding", None) and body:
            body = gzip.compress(body)
            exchange.headers["content-encoding"] = "gzip"
        exchange.headers.pop("date", None)
        headers = [(name.encode(), value.encode()) for name, value in exchange.headers.items()]
        await send({"type": "http.response.start", "status": exchange.status or 500, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate of localhost and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    signed = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).sign(key, hashes.SHA256())
    (folder / "cert.pem").write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return folder / "cert.pem", folder / "key.pem"


async def listening(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    raise AssertionError("the server does not listen")


@pytest.fixture
def real_time(monkeypatch: pytest.MonkeyPatch) -> simulated.Origin:
    """The origin with its stream's beginning moved to now: it counts from loop time 0."""
    loop_now, wall = asyncio.new_event_loop().time(), datetime.datetime.now(datetime.UTC).timestamp()
    monkeypatch.setattr(simulated, "LEAD", 40.0 - loop_now)
    monkeypatch.setattr(simulated, "EPOCH", wall - 40.0)
    return simulated.Origin()


def named(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    return [(f.rule, tuple(e.text for e in f.evidence)) for f in report.findings]


async def test_http_1(real_time: simulated.Origin) -> None:
    port = free_port()
    server = uvicorn.Server(
        uvicorn.Config(Application(real_time), port=port, log_level="error", lifespan="off", timeout_keep_alive=30)
    )
    task = asyncio.create_task(server.serve())
    try:
        await listening(port)
        report = await check(f"http://127.0.0.1:{port}/live/main.m3u8", seconds=5)
    finally:
        server.should_exit = True
        await task
    assert report.error is None
    assert named(report) == []
    assert report.kind == "low-latency live"


async def test_http_2(real_time: simulated.Origin, tmp_path: Path) -> None:
    port = free_port()
    cert, key = certificate(tmp_path)
    server = Server(Application(real_time), port=port, interface="asginl", ssl_cert=cert, ssl_key=key)
    task = asyncio.create_task(server.serve())
    try:
        await listening(port)
        report = await check(f"https://127.0.0.1:{port}/live/main.m3u8", seconds=5, verify=False)
    finally:
        server.stop()
        await task
    assert report.error is None
    assert named(report) == []
    assert {r.status for r in report.rules if r.rule == "http2"} == {"passed"}


async def test_a_certificate_is_verified(real_time: simulated.Origin, tmp_path: Path) -> None:
    port = free_port()
    cert, key = certificate(tmp_path)
    server = Server(Application(real_time), port=port, interface="asginl", ssl_cert=cert, ssl_key=key)
    task = asyncio.create_task(server.serve())
    try:
        await listening(port)
        report = await check(f"https://127.0.0.1:{port}/live/main.m3u8", seconds=1)
    finally:
        server.stop()
        await task
    assert report.exit_code == 1 and "certificate" in (report.error or "").lower()
