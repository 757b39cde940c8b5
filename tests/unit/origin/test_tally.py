"""Every answer is counted once, whichever way it takes: the short one, the parser, granian's HTTP/1.1 and HTTP/2."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.unit.origin.feed import BASE
from tests.unit.origin.serving import served, wire
from tests.unit.origin.test_tls import trusting

PART = f"{BASE}/v0/p3.m4s"
SIZE = 60_000


def classes(counted: Sequence[int]) -> dict[int, int]:
    return {digit: count for digit, count in enumerate(counted) if count}


async def test_plain_http(tmp_path: Path) -> None:
    async with served(tmp_path) as server, wire(server.port) as connection:
        for request, ours in (
            (f"GET {PART} HTTP/1.1\r\nHost: a\r\n\r\n", True),  # the short way
            (f"GET {PART} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", True),  # by the parser
            (f"HEAD {PART} HTTP/1.1\r\nHost: a\r\n\r\n", True),  # no body
            (f"GET {BASE}/v0/no.m4s HTTP/1.1\r\nHost: a\r\n\r\n", True),
            ("GET /page HTTP/1.1\r\nHost: a\r\n\r\n", False),  # the application's
            ("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", False),
        ):
            before = sum(server.origin.tally.classes), sum(server.server.tally.classes)
            connection.send(request.encode())
            await connection.answer(bodiless=request.startswith("HEAD"))
            after = sum(server.origin.tally.classes), sum(server.server.tally.classes)
            assert (after[0] - before[0], after[1] - before[1]) == ((1, 0) if ours else (0, 1)), request
        assert classes(server.origin.tally.classes) == {2: 3, 4: 1}
        assert classes(server.server.tally.classes) == {2: 1, 4: 1}
        assert 2 * SIZE < server.origin.tally.body_bytes < 2 * SIZE + 1000
        assert server.server.tally.body_bytes == len("page GET 0") + len("Not Found")


async def test_a_head_that_is_refused(tmp_path: Path) -> None:
    async with served(tmp_path) as server, wire(server.port) as connection:
        connection.send(b"GET /page HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000 + b"\r\n\r\n")
        status, _, _ = await connection.answer()
        assert status == 431
        assert classes(server.origin.tally.classes) == {4: 1}


async def test_tls(tmp_path: Path) -> None:
    async with served(tmp_path, tls=True) as server:
        base = f"https://127.0.0.1:{server.tls_port}"
        for http2 in (False, True):
            async with httpx.AsyncClient(verify=trusting(tmp_path), http2=http2, http1=not http2) as client:
                assert (await client.get(base + PART)).status_code == 200
                assert (await client.head(base + PART)).status_code == 200
                assert (await client.get(base + "/page")).status_code == 200
                assert (await client.get(f"{base}{BASE}/v0/no.m4s")).status_code == 404
        assert classes(server.origin.tally.classes) == {2: 4, 4: 2}
        assert classes(server.server.tally.classes) == {2: 2}
        assert 2 * SIZE < server.origin.tally.body_bytes < 2 * SIZE + 1000
        assert server.server.serving and server.server.connections == 0
        await server.server.stop(1.0)
        assert not server.server.serving
