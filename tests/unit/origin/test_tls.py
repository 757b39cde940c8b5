"""The TLS shell, where what is asked is not what a good client would ask."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

from tests.unit.origin.feed import BASE
from tests.unit.origin.serving import served, wire

PART = f"{BASE}/v0/p3.m4s"


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=folder / "cert.pem")


async def test_a_request_names_one_host(tmp_path: Path) -> None:
    """RFC 9112, 3.2, as without TLS."""
    async with served(tmp_path, tls=True) as server:
        for lines, expected in (
            ("Host: a\r\n", 200),
            ("", 400),
            ("Host: a\r\nHost: a\r\n", 400),
            ("Host: a/b\r\n", 400),
            ("Host: a\r\nX: a\0b\r\n", 400),
        ):
            async with wire(server.tls_port, trusting(tmp_path)) as connection:
                connection.send(f"GET {PART} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
                status, _, _ = await connection.answer()
                assert status == expected, lines
                if status == 400:
                    assert await connection.closed()


async def test_a_refusal_arrives_though_the_body_is_still_being_sent(tmp_path: Path) -> None:
    """The client sends all of it before it listens, over HTTP/1.1."""
    async with served(tmp_path, tls=True) as server:
        for headers, body in ((f"Content-Length: {8 << 20}", bytes(8 << 20)), ("Content-Length: 3", b"abc")):
            sent = f"POST /limited HTTP/1.1\r\nHost: test\r\n{headers}\r\n\r\n".encode() + body
            answer = await asyncio.to_thread(sent_and_read, server.tls_port, sent, trusting(tmp_path))
            assert answer.startswith(b"HTTP/1.1 413")


def sent_and_read(port: int, data: bytes, tls: ssl.SSLContext) -> bytes:
    plain = socket.create_connection(("127.0.0.1", port), timeout=10)
    with tls.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65_536), b""))
