"""The TLS shell, where what is asked is not what a good client would ask."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived

from tests.unit.origin.feed import BASE
from tests.unit.origin.serving import Served, served, until, wire

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


class Http2:
    """One HTTP/2 connection, without a client's good manners."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.h2 = H2Connection()
        self.h2.initiate_connection()
        self.flush()

    @classmethod
    async def open(cls, port: int, folder: Path) -> Http2:
        tls = trusting(folder)
        tls.set_alpn_protocols(["h2"])
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    def flush(self) -> None:
        self.writer.write(self.h2.data_to_send())

    def ask(self, target: str) -> int:
        stream: int = self.h2.get_next_available_stream_id()
        head = [(":method", "GET"), (":scheme", "https"), (":authority", "test"), (":path", target)]
        self.h2.send_headers(stream, head, end_stream=True)
        return stream

    async def statuses(self, count: int) -> list[str]:
        """Of the next answers; bodies are read over."""
        got: list[str] = []
        while len(got) < count:
            for event in self.h2.receive_data(await asyncio.wait_for(self.reader.read(65_536), 10)):
                if isinstance(event, ResponseReceived):
                    got.append(dict(event.headers)[b":status"].decode())
                elif isinstance(event, DataReceived):
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            self.flush()
        return got


def following(server: Served) -> tuple[str, str]:
    """The next playlist and the next part."""
    part = server.feed.parts
    return f"{BASE}/v0/live.m3u8?_HLS_msn=102&_HLS_part={part}", f"{BASE}/v0/p{8 + part}.m4s"


@pytest.mark.parametrize("end", ["streams are reset", "connections are dropped", "connections are closed"])
async def test_who_goes_while_it_waits_leaves_nothing_behind(tmp_path: Path, end: str) -> None:
    """500 waits over four connections: their room is given back, for others who come then."""
    async with served(tmp_path, tls=True, max_waiting=500) as server:
        room, rendition = server.feed.program.room, server.feed.program.renditions[1]
        before = len(asyncio.all_tasks())
        for round_number in range(3):
            connections = [await Http2.open(server.tls_port, tmp_path) for _ in range(4)]
            streams = [(c, c.ask(target)) for target in following(server) for c in connections for _ in range(62)]
            for connection in connections:
                connection.flush()
            await until(lambda: room.taken == 4 * 62 * 2)
            if end == "streams are reset":
                for connection, stream in streams:
                    connection.h2.reset_stream(stream, ErrorCodes.CANCEL)
                for connection in connections:
                    connection.flush()
                await until(lambda: room.taken == 0)
                connections[0].ask(following(server)[0])
                connections[0].flush()
                await until(lambda: room.taken == 1)
                server.feed.part()
                assert await connections[0].statuses(1) == ["200"], round_number
            for connection in connections:
                connection.writer.transport.abort() if end == "connections are dropped" else connection.writer.close()
            await until(lambda: room.taken == 0 and not rendition.waiting and not rendition.hinted)
            await until(lambda: len(asyncio.all_tasks()) <= before)
        async with httpx.AsyncClient(http2=True, verify=False) as client:
            answer = await client.get(f"https://127.0.0.1:{server.tls_port}{BASE}/v0/live.m3u8")
            assert answer.status_code == 200
