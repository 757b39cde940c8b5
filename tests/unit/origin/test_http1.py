"""The plain HTTP/1.1 shell, by raw bytes over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import socket
from asyncio import selector_events
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.origin.feed import BASE, MULTIVARIANT, PLAYBACK_ID
from tests.unit.origin.serving import Served, Wire, served, until, wire

_WRITELINES = vars(selector_events._SelectorSocketTransport).get("writelines")  # type: ignore[attr-defined]
needs_pauses = pytest.mark.skipif(
    _WRITELINES is not None and "pause" not in inspect.getsource(_WRITELINES),
    reason="this Python's asyncio forgets to pause writing in writelines (the server runs on uvloop, which does not)",
)

PART = f"{BASE}/v0/p3.m4s"
PLAYLIST = f"{BASE}/v0/live.m3u8"
NEXT = f"{PLAYLIST}?_HLS_msn=102&_HLS_part=0"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as started:
        yield started


def request(target: str, method: str = "GET", *headers: str, version: str = "1.1", body: bytes = b"") -> bytes:
    lines = [f"{method} {target} HTTP/{version}", "Host: test", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body


MIXED = b"".join(
    [
        request(PART, "GET", "Range: bytes=0-99"),
        request("/page", "POST", "Content-Length: 5", body=b"hello"),
        request(PLAYLIST, "HEAD"),
        request("/page"),
        request(PLAYLIST, "GET", "If-None-Match: *"),
        request(PART, "POST", "Content-Length: 3", body=b"abc"),
        request(PLAYLIST, "OPTIONS"),
        request(f"http://test{PART}", "GET", "Range: bytes=5-6"),
    ]
)
EXPECTED = [206, 200, 200, 200, 304, 405, 204, 206]


async def answers(connection: Wire) -> list[tuple[int, bytes]]:
    got = []
    for index in range(len(EXPECTED)):
        status, _, body = await connection.answer(bodiless=index == 2)
        got.append((status, body))
    return got


async def test_any_two_pieces_give_the_same_answers(server: Served) -> None:
    """Pipelined requests of the origin's and the application's, cut at every position."""
    async with wire(server.port) as connection:
        connection.send(MIXED)
        whole = await answers(connection)
    assert [status for status, _ in whole] == EXPECTED
    assert whole[0][1] == server.feed.bytes_of(1, 100, 3)[:100]
    assert whole[1][1] == b"page POST 5" and whole[7][1] == server.feed.bytes_of(1, 100, 3)[5:7]

    async def cut(at: int) -> None:
        async with wire(server.port) as connection:
            connection.send(MIXED[:at])
            await asyncio.sleep(0)
            await asyncio.sleep(0.002)
            connection.send(MIXED[at:])
            assert await answers(connection) == whole, at

    positions = list(range(1, len(MIXED)))
    for start in range(0, len(positions), 50):
        await asyncio.gather(*map(cut, positions[start : start + 50]))


async def test_byte_by_byte(server: Served) -> None:
    async with wire(server.port) as connection:
        for byte in MIXED:
            connection.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert [status for status, _ in await answers(connection)] == EXPECTED


async def test_what_is_pipelined_behind_a_wait_is_answered_behind_it(server: Served) -> None:
    async with wire(server.port) as connection:
        connection.send(request(NEXT) + request("/page") + request(PART, "HEAD"))
        await asyncio.sleep(0.05)
        server.feed.part()
        status, _, body = await connection.answer()
        assert status == 200 and b"p8.m4s" in body
        assert (await connection.answer())[2] == b"page GET 0"
        assert (await connection.answer(bodiless=True))[1]["content-length"] == "60000"


async def test_the_connection_is_closed_when_asked(server: Served) -> None:
    for target in (PART, "/page"):
        for header in ("Connection: close", "connection: Keep-Alive, Close"):
            async with wire(server.port) as connection:
                connection.send(request(target, "GET", header))
                status, headers, _ = await connection.answer()
                assert status == 200 and headers["connection"] == "close"
                assert await connection.closed()


async def test_a_viewer_with_a_name_gets_a_whole_playlist(server: Served) -> None:
    """With its name in the reports: at once, after a wait, compressed or not, one behind the other."""
    async with wire(server.port) as connection:
        for number in range(3):
            name = f"{number:012x}"
            for headers in ((), ("Accept-Encoding: gzip",)):
                connection.send(request(f"{PLAYLIST}?s={name}", "GET", *headers))
                connection.send(request(f"{PLAYLIST}?s={name}", "HEAD", *headers))
                connection.send(
                    request(f"{PLAYLIST}?s={name}&_HLS_msn=102&_HLS_part={server.feed.parts}", "GET", *headers)
                )
                _, now_headers, now = await connection.answer()
                _, head, _ = await connection.answer(bodiless=True)
                assert head == now_headers
                await asyncio.sleep(0.02)
                server.feed.part()
                _, _, then = await connection.answer()
                for body in (now, then):
                    plain = gzip.decompress(body) if headers else body
                    assert f'URI="../a0/live.m3u8?s={name}"'.encode() in plain.splitlines()[-1]


async def test_a_word_like_close_does_not_close(server: Served) -> None:
    async with wire(server.port) as connection:
        for _ in range(2):
            connection.send(request(PART, "GET", "Connection: x-close-not, keep-alive", "X-Connection: close"))
            assert (await connection.answer())[0] == 200


async def test_http_1_0_is_answered_and_closed(server: Served) -> None:
    async with wire(server.port) as connection:
        connection.send(request(PART, version="1.0"))
        assert len((await connection.answer())[2]) == 60_000
        assert await connection.closed()


async def test_a_wait_on_the_slow_way_ends_too(server: Served) -> None:
    """HTTP/1.0 goes through the parser; the answer is the same."""
    async with wire(server.port) as connection:
        connection.send(request(NEXT, version="1.0"))
        await asyncio.sleep(0.05)
        server.feed.part()
        assert b"p8.m4s" in (await connection.answer())[2]


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"GET / HTTP/9.9\r\n\r\n",
        b"get\x00 / HTTP/1.1\r\n\r\n",
        request(PART, "GET", "Content-Length : 5", body=b"hello"),
        request(PART, "GET", "Content-Length: 5", "Content-Length: 6", body=b"hello!"),
        request(PART, "GET", "Transfer-Encoding: chunked", "Content-Length: 3", body=b"abc"),
        f"GET {PART} HTTP/1.1\r\nHost: test\nX: y\r\n\r\n".encode(),
    ],
)
async def test_what_is_no_request_is_refused_and_closed(server: Served, data: bytes) -> None:
    async with wire(server.port) as connection:
        connection.send(data)
        status, headers, _ = await connection.answer()
        assert status == 400 and headers["connection"] == "close"
        assert await connection.closed()


@pytest.mark.parametrize("target", [PART, PLAYLIST, MULTIVARIANT, f"http://test{PART}", "/page"])
@pytest.mark.parametrize(
    "lines",
    [
        pytest.param("", id="no Host"),
        pytest.param("Host: test\r\nhost: test\r\n", id="two Hosts"),
        pytest.param("Host: a b\r\n", id="a space in Host"),
        pytest.param("Host: a/b\r\n", id="a path in Host"),
        pytest.param("Host: test\r\nUser-Agent: a\0b\r\n", id="NUL"),
        pytest.param("Host: test\r\nUser-Agent: a\x01b\r\n", id="a control"),
        pytest.param("Host: test\r\nUser-Agent: a\x7fb\r\n", id="DEL"),
        pytest.param("Host: test\r\nUser-Agent: a\rb\r\n", id="a bare CR"),
    ],
)
async def test_heads_are_read_strictly(server: Served, target: str, lines: str) -> None:
    """RFC 9112, 3.2 and RFC 9110, 5.5: 400, and the connection ends."""
    async with wire(server.port) as connection:
        connection.send(f"GET {target} HTTP/1.1\r\n{lines}\r\n".encode("latin-1"))
        status, headers, _ = await connection.answer()
        assert status == 400 and headers["connection"] == "close"
        assert await connection.closed()


@pytest.mark.parametrize("host", ["", "test", "[::1]:8080", "test:80", " test ", "a_b.example"])
async def test_hosts_are_taken_as_they_may_be(server: Served, host: str) -> None:
    async with wire(server.port) as connection:
        for target in (PART, "/page"):
            connection.send(f"GET {target} HTTP/1.1\r\nHost:{host}\r\nX: \t\xe4\r\n\r\n".encode("latin-1"))
            assert (await connection.answer())[0] == 200


@pytest.mark.parametrize("method", ["FOO", "foo", "X-Y_Z!", "MKCOLX"])
async def test_a_method_that_nobody_knows_is_the_applications_to_refuse(server: Served, method: str) -> None:
    async with wire(server.port) as connection:
        for headers, body in (((), b""), (("Content-Length: 5",), b"hello")):
            connection.send(request("/method/", method, *headers, body=body))
            status, _, text = await connection.answer()
            assert status == 405 and text == f"{method} {len(body)}".encode()
            connection.send(request(PART, method, *headers, body=body))
            assert (await connection.answer())[0] == 405
        connection.send(request("/page", "POST", "Content-Length: 5", body=b"hello"))
        assert (await connection.answer())[2] == b"page POST 5"


@pytest.mark.parametrize("method", ["M" * 33, "A(B", "A\x01"])
async def test_what_is_no_method_is_refused(server: Served, method: str) -> None:
    async with wire(server.port) as connection:
        connection.send(request("/method/", method))
        assert (await connection.answer())[0] == 400 and await connection.closed()


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_heads_are_bounded_whole_or_in_pieces(server: Served, method: str) -> None:
    large = request("/page", method, *(f"X-{k}: {'x' * 1000}" for k in range(40)))
    for pieces in (1, 40):
        async with wire(server.port) as connection:
            size = len(large) // pieces + 1
            for start in range(0, len(large), size):
                connection.send(large[start : start + size])
                await asyncio.sleep(0)
            assert await refused(connection, 431)


async def test_a_refusal_arrives_though_the_body_is_still_being_sent(server: Served) -> None:
    """The client sends all of it before it listens; closed at once, the connection would be reset under the answer."""
    body = bytes(8 << 20)
    large = request("/page", "GET", f"X: {'x' * 20_000}", body=body)
    small = request("/limited", "POST", f"Content-Length: {len(body)}", body=body)
    broken = request("/page", "POST", "Transfer-Encoding: chunked", body=b"nonsense\r\n" + body)
    for sent, expected in ((small, b"413"), (large, b"431"), (broken, b"400")):
        answer = await asyncio.to_thread(sent_and_read, server.port, sent)
        assert answer.startswith(b"HTTP/1.1 " + expected) and b"connection: close" in answer.lower()
        await until(lambda: server.connections == 0)


def sent_and_read(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(data)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


async def test_who_goes_on_sending_after_a_refusal_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bytes, or beyond the time."""
    for name, value in (("LINGER_BYTES", 100_000), ("LINGER_S", 0.1)):
        with monkeypatch.context() as patched:
            patched.setattr(f"headwater.pipeline.origin.http1_parser.{name}", value)
            async with served(tmp_path) as server, wire(server.port) as connection:
                connection.send(request("/limited", "POST", "Content-Length: 999999999"))
                assert (await connection.answer())[0] == 413
                for _ in range(500):
                    if server.connections == 0:
                        break
                    connection.send(bytes(1000))
                    await asyncio.sleep(0.01)
                assert server.connections == 0, name


async def test_trailers_are_bounded(server: Served) -> None:
    async with wire(server.port) as connection:
        connection.send(request("/page", "POST", "Transfer-Encoding: chunked", body=b"0\r\n"))
        for k in range(60):
            connection.send(b"X-%d: %s\r\n" % (k, b"x" * 1000))
            await asyncio.sleep(0)
        assert await refused(connection, 400)


async def refused(connection: Wire, status: int) -> bool:
    """The answer, unless what was sent after it made the system drop it."""
    try:
        assert (await connection.answer())[0] == status
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    return await connection.closed()


@needs_pauses
async def test_a_viewer_that_does_not_read_is_not_answered_on_and_on(server: Served) -> None:
    async with wire(server.port) as connection:
        connection.writer.transport.pause_reading()
        connection.send(request(PART) * 4000)
        await asyncio.sleep(0.3)
        (held,) = server.server._state.connections
        assert held._stalled
        assert held.transport.get_write_buffer_size() < 400_000
        assert len(held._rest) < 600_000
        connection.writer.transport.resume_reading()
        for _ in range(200):
            assert len((await connection.answer())[2]) == 60_000


@needs_pauses
async def test_a_viewer_that_does_not_read_is_cut(tmp_path: Path) -> None:
    async with served(tmp_path, stalled_s=0.2) as server, wire(server.port) as connection:
        connection.writer.transport.pause_reading()
        connection.send(request(PART) * 400)
        await until(lambda: server.connections == 1)
        await until(lambda: server.connections == 0)


@needs_pauses
async def test_a_viewer_that_does_not_read_is_cut_though_it_goes_on_sending(tmp_path: Path) -> None:
    async with served(tmp_path, stalled_s=0.2) as server, wire(server.port) as connection:
        connection.writer.transport.pause_reading()
        asked = request(PART) * 120
        assert len(asked) < server.origin.settings.max_head_bytes, "else the server takes no more from the socket"
        connection.send(asked)
        await until(lambda: server.connections == 1)
        for _ in range(40):
            if server.connections == 0:
                break
            connection.send(b"G")
            await asyncio.sleep(0.05)
        assert server.connections == 0


async def test_a_connection_that_is_closed_and_whose_last_bytes_are_not_read_is_cut(tmp_path: Path) -> None:
    """Below the transport's mark nobody is told that they are not read: idle, it is closed, and then has to go."""
    async with served(tmp_path, stalled_s=0.2, keep_alive_s=0.5) as server, wire(server.port) as connection:
        connection.writer.transport.pause_reading()
        await until(lambda: server.connections == 1)
        (held,) = server.server._state.connections
        for _ in range(1000):
            connection.send(request(PART, "GET", "Range: bytes=0-29999"))
            await asyncio.sleep(0.002)
            if held.transport.get_write_buffer_size():
                break
        assert held.transport.get_write_buffer_size() and not held._stalled
        await until(lambda: server.connections == 0)


@pytest.mark.parametrize("beginning", [b"GET /page HTT", request("/page", "POST", "Content-Length: 9", body=b"h")])
async def test_requests_that_never_end_are_cut(tmp_path: Path, beginning: bytes) -> None:
    async with served(tmp_path, head_timeout_s=0.2, body_timeout_s=0.2) as server, wire(server.port) as connection:
        for byte in beginning:
            connection.send(bytes((byte,)))
        assert await connection.closed()


async def test_idle_connections_are_closed(tmp_path: Path) -> None:
    async with served(tmp_path, keep_alive_s=1) as server, wire(server.port) as connection:
        connection.send(request(PART))
        await connection.answer()
        assert await connection.closed()


async def test_connections_are_bounded(tmp_path: Path) -> None:
    async with served(tmp_path, max_connections=5) as server:
        wires = [await Wire.open(server.port) for _ in range(9)]
        await asyncio.sleep(0.1)
        assert server.connections <= 5
        for connection in wires:
            await connection.close()


async def test_viewers_that_go_while_they_wait_are_forgotten(server: Served) -> None:
    rendition = server.feed.program.renditions[1]
    for target in (NEXT, f"{BASE}/v0/p8.m4s"):
        async with wire(server.port) as connection:
            connection.send(request(target))
            await until(lambda: bool(rendition.waiting or rendition.hinted))
        await until(lambda: not rendition.waiting and not rendition.hinted)
    await until(lambda: server.connections == 0)


async def test_stopping_answers_who_waits(tmp_path: Path) -> None:
    async with served(tmp_path) as server, wire(server.port) as connection, wire(server.port) as idle:
        connection.send(request(NEXT))
        idle.send(request(PART))
        await idle.answer()
        await asyncio.sleep(0.05)
        await asyncio.wait_for(server.server.stop(2.0), 1.5)
        status, headers, _ = await connection.answer()
        assert status == 503 and headers["connection"] == "close"
        assert await connection.closed() and await idle.closed()


async def test_odd_paths_are_not_found(server: Served) -> None:
    names = ("%00", "../x", "\u00e4.m4s", "a/b/c/d", "manifest/x")
    for target in (*(f"/{PLAYBACK_ID}/{name}" for name in names), f"{PART}/", f"{BASE}/v0/p.m4s", f"{BASE}/v9/p3.m4s"):
        async with wire(server.port) as connection:
            connection.send(request(target))
            assert (await connection.answer())[0] == 404, target


@pytest.mark.parametrize(
    ("wanted", "status", "size"),
    [
        ("bytes=0-99999999999999999999999999", 206, 60_000),
        ("bytes=-99999999999999999999999999", 206, 60_000),
        ("bytes=99999999999999999999999999-", 416, None),
        ("bytes=5-2", 200, 60_000),
        ("bytes=0-1,5-6", 200, 60_000),
    ],
)
async def test_ranges_with_numbers_of_any_size(server: Served, wanted: str, status: int, size: int | None) -> None:
    async with wire(server.port) as connection:
        connection.send(request(PART, "GET", f"Range: {wanted}"))
        got, _, body = await connection.answer()
        assert got == status and (size is None or len(body) == size)


async def test_percent_encoding_is_understood(server: Served) -> None:
    async with wire(server.port) as connection:
        connection.send(request(PART.replace(".", "%2e").replace("0123", "%30123", 1)))
        assert len((await connection.answer())[2]) == 60_000
