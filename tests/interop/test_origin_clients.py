"""The origin over real sockets, asked by httpx: HTTP/1.1 in the clear, HTTP/1.1 over TLS, and HTTP/2 over TLS."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import m3u8
import pytest

from headwater.errors import OperatorError
from headwater.pipeline.origin import HttpServer
from tests.unit.origin.feed import BASE, MULTIVARIANT, PLAYBACK_ID, make_origin
from tests.unit.origin.serving import PAGES, Served, certificate, served

PART = f"{BASE}/v0/p3.m4s"
SEGMENT = f"{BASE}/v0/100.m4s"
PLAYLIST = f"{BASE}/v0/live.m3u8"
NEXT = f"{PLAYLIST}?_HLS_msn=102&_HLS_part=0"
HINTED = f"{BASE}/v0/p8.m4s"


@dataclass
class Side:
    """A server and a client of it."""

    server: Served
    client: httpx.AsyncClient
    version: str

    async def get(self, target: str, **headers: str) -> httpx.Response:
        return await self.ask("GET", target, **headers)

    async def ask(self, method: str, target: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        response = await self.client.request(method, target, headers=named)
        assert response.http_version == self.version
        return response


@pytest.fixture(params=["http/1.1", "https/1.1", "https/2"])
async def side(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Side]:
    scheme, _, version = request.param.partition("/")
    async with served(tmp_path, tls=scheme == "https") as server:
        port = server.tls_port or server.port
        context = ssl.create_default_context(cafile=tmp_path / "cert.pem") if server.tls_port else False
        async with httpx.AsyncClient(
            base_url=f"{scheme}://127.0.0.1:{port}",
            http2=version == "2",
            http1=version != "2",
            verify=context,
            timeout=8,
        ) as client:
            yield Side(server, client, f"HTTP/{version}")


async def test_blocking_reload_is_answered_with_the_part(side: Side) -> None:
    waiting = asyncio.create_task(side.get(NEXT))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    side.server.feed.part()
    response = await waiting
    assert response.status_code == 200 and "p8.m4s" in response.text
    assert response.headers["cache-control"] == "public, max-age=12"


async def test_a_hinted_part_comes_whole_at_once(side: Side) -> None:
    """No byte of a part is sent until all of it can be (RFC 8216bis, 6.2.6)."""
    waiting = asyncio.create_task(side.get(HINTED))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    side.server.feed.part()
    response = await waiting
    assert response.content == side.server.feed.bytes_of(1, 102, 0)
    assert (await side.get(HINTED)).content == response.content


async def test_two_hundred_wait_at_once(side: Side) -> None:
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=side.client.base_url, limits=limits, verify=False, http2=True) as client:
        waiting = [asyncio.create_task(client.get(NEXT, timeout=20)) for _ in range(90)]
        await asyncio.sleep(0.5)
        side.server.feed.part()
        responses = await asyncio.gather(*waiting)
    assert {(r.status_code, r.content) for r in responses} == {(200, responses[0].content)}


async def test_who_goes_is_forgotten(side: Side) -> None:
    rendition = side.server.feed.program.renditions[1]
    for target in (NEXT, HINTED):
        # httpx resets no HTTP/2 stream that it gives up: only the end of the connection tells.
        async with httpx.AsyncClient(verify=False, http2=side.version == "HTTP/2") as client:
            with pytest.raises(httpx.ReadTimeout):
                await client.get(side.client.base_url.join(target), timeout=0.2)
    for _ in range(300):
        if not [p for p in (*rendition.waiting, *rendition.hinted) if not p.gone]:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the origin still waits for viewers that are gone")


async def test_ranges(side: Side) -> None:
    whole = side.server.feed.bytes_of(1, 100, 3)
    for wanted, expected in (("bytes=0-99", whole[:100]), ("bytes=-5", whole[-5:]), ("bytes=59990-", whole[59990:])):
        response = await side.get(PART, Range=wanted)
        assert response.status_code == 206 and response.content == expected
    assert response.headers["content-range"] == "bytes 59990-59999/60000"
    response = await side.get(PART, Range="bytes=60000-")
    assert response.status_code == 416 and response.headers["content-range"] == "bytes */60000"
    across = await side.get(SEGMENT, Range="bytes=59999-60000")
    assert across.content == whole_segment(side)[59999:60001]
    etag = across.headers["etag"]
    assert (await side.get(SEGMENT, Range="bytes=0-1", If_Range=etag)).status_code == 206
    assert (await side.get(SEGMENT, Range="bytes=0-1", If_Range='"other"')).status_code == 200


async def test_many_ranges_are_no_work(side: Side) -> None:
    for wanted in ("bytes=0-1,5-6", "bytes=" + ",".join(["0-"] * 3000), "bytes=5-2", "lines=1-2", "bytes=--1"):
        since = time.process_time()
        response = await side.get(PART, Range=wanted)
        assert response.status_code == 200 and len(response.content) == 60_000
        assert time.process_time() - since < 1


def whole_segment(side: Side) -> bytes:
    return b"".join(side.server.feed.bytes_of(1, 100, part) for part in range(4))


async def test_a_segment_is_its_parts(side: Side) -> None:
    response = await side.get(SEGMENT)
    assert response.content == whole_segment(side)
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize("target", [PART, SEGMENT, PLAYLIST, MULTIVARIANT, f"{BASE}/v0/init0.mp4"])
async def test_head_says_what_get_does(side: Side, target: str) -> None:
    got, head = await side.get(target), await side.ask("HEAD", target)
    assert head.status_code == got.status_code == 200
    assert head.content == b"" and got.content
    names = {"date", "content-length"} if target == MULTIVARIANT else {"date"}  # the viewer's name differs, gzipped
    for name in got.headers.keys() - names:
        if name not in ("content-encoding",):
            assert head.headers[name] == got.headers[name], name
    assert "content-length" in head.headers


async def test_head_of_a_page_has_no_body(side: Side) -> None:
    """Applications leave that to the server, and HTTP/2 takes a body for a broken stream (RFC 9113, 8.1.1)."""
    got, head = await side.get("/method/"), await side.ask("HEAD", "/method/")
    assert head.status_code == got.status_code == 405
    assert head.content == b"" and head.headers["content-length"] == str(len(b"HEAD 0"))


async def test_a_refusal_reaches_who_sends_all_before_listening(side: Side) -> None:
    """Also where HTTP/2's window would let no more of the body through once the answer is there."""
    response = await side.client.post("/limited", content=bytes(3_000_000))
    assert (response.status_code, response.text) == (413, "too large")


async def test_tags(side: Side) -> None:
    for target in (PLAYLIST, PART, SEGMENT):
        etag = (await side.get(target)).headers["etag"]
        response = await side.get(target, If_None_Match=f'"x", W/{etag}')
        assert response.status_code == 304 and response.content == b"" and response.headers["etag"] == etag
        assert "content-length" not in response.headers
    side.server.feed.part()
    assert (await side.get(PLAYLIST, If_None_Match=etag)).status_code == 200


async def test_gzip_is_for_playlists(side: Side) -> None:
    for target in (PLAYLIST, MULTIVARIANT):
        packed = await side.get(target, Accept_Encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip" and packed.text.startswith("#EXTM3U")
        plain = await side.get(target, Accept_Encoding="gzip;q=0")
        assert "content-encoding" not in plain.headers
        assert "accept-encoding" in plain.headers["vary"]
    assert "content-encoding" not in (await side.get(PART, Accept_Encoding="gzip")).headers


async def test_any_page_may_play_it(side: Side) -> None:
    for target in (PLAYLIST, PART, MULTIVARIANT, f"{BASE}/v0/p99.m4s", f"/{PLAYBACK_ID}/views"):
        response = await side.get(target, Origin="https://player.example")
        assert response.headers["access-control-allow-origin"] == "*"
        assert "Date" in response.headers["access-control-expose-headers"] and "date" in response.headers
    preflight = await side.ask("OPTIONS", PLAYLIST, Access_Control_Request_Method="GET")
    assert preflight.status_code == 204 and "content-length" not in preflight.headers
    assert "CMCD-Session" in preflight.headers["access-control-allow-headers"]


async def test_other_methods_are_405(side: Side) -> None:
    for method in ("POST", "PUT", "DELETE"):
        response = await side.ask(method, PART)
        assert response.status_code == 405 and response.headers["allow"] == "GET, HEAD, OPTIONS"
    response = await side.client.post(PLAYLIST, content=b"x" * 1000)
    assert response.status_code == 405


async def test_pages_are_the_applications(side: Side) -> None:
    assert (await side.get("/page")).text == "page GET 0"
    assert (await side.client.post("/page", content=b"x" * 100_000)).text == "page POST 100000"
    assert (await side.get("/nothing")).status_code == 404


async def test_odd_paths(side: Side) -> None:
    assert (await side.get(PART.replace(".", "%2E"))).status_code == 200
    assert (await side.get(f"/{PLAYBACK_ID}/%C3%A4/%ff")).status_code == 404


async def test_delta_updates_rebuild_the_playlist(side: Side) -> None:
    feed = side.server.feed
    feed.program.recorder = Anywhere()  # so that the window is long
    feed.offset = 0
    feed.close()
    feed.segments(12)
    feed.open()
    before = (await side.get(PLAYLIST)).text
    feed.part()
    delta, now = (await side.get(PLAYLIST + "?_HLS_skip=YES")).text, (await side.get(PLAYLIST)).text
    assert delta.count("#EXT-X-SKIP:SKIPPED-SEGMENTS=") == 1
    skipped = int(delta.partition("SKIPPED-SEGMENTS=")[2].partition("\n")[0])
    assert skipped > 0 and len(delta) < len(now)
    known = m3u8.loads(before).segments[:skipped]
    rest = m3u8.loads(delta).segments
    assert [s.uri for s in (*known, *rest)] == [s.uri for s in m3u8.loads(now).segments]


class Anywhere:
    """A recorder that has everything."""

    written = 1 << 40


async def test_viewers_are_counted(side: Side) -> None:
    views = f"/{PLAYBACK_ID}/views"
    assert (await side.get(views)).json() == {"liveViewers": 0}
    for name in ("a", "b", "b"):
        await side.get(f"{PLAYLIST}?s={name}")
    await asyncio.sleep(0.3)
    assert (await side.get(views)).json() == {"liveViewers": 2}
    assert (await side.get(f"/{PLAYBACK_ID}/lifecycle")).json()["live"] is True


async def test_playlists_wait_for_a_livestream_that_begins(side: Side) -> None:
    side.server.feed.program.end(None)
    side.server.origin.sweep(side.server.feed.program.ended_at + 100)
    waiting = asyncio.create_task(side.get(MULTIVARIANT))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    type(side.server.feed)(side.server.origin, session_id="later", first_msn=500).live(1)
    assert "avc1" in (await waiting).text


async def test_https_stops_within_two_seconds(tmp_path: Path) -> None:
    async with served(tmp_path, tls=True) as server, httpx.AsyncClient(http2=True, verify=False) as client:
        base = f"https://127.0.0.1:{server.tls_port}"
        assert (await client.get(base + PLAYLIST)).status_code == 200
        waiting = asyncio.create_task(client.get(base + NEXT))
        await asyncio.sleep(0.2)
        since = time.monotonic()
        await server.server.stop(2.0)
        assert time.monotonic() - since < 3
        assert (await waiting).status_code == 503
        with pytest.raises(httpx.TransportError):
            await httpx.AsyncClient(verify=False).get(base + PLAYLIST)


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    async with served(tmp_path, tls=True) as server:
        for port in (server.port, server.tls_port):
            with pytest.raises(OSError):
                await server.server.start_https("127.0.0.1", port, tmp_path / "cert.pem", tmp_path / "key.pem")
        with pytest.raises(OSError):
            await server.server.start_http("127.0.0.1", server.port)


async def test_a_certificate_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    bad = tmp_path / "bad.pem"
    bad.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    server = HttpServer(make_origin(tmp_path), PAGES)
    for pair in ((bad, key), (cert, bad), (tmp_path / "missing", key)):
        with pytest.raises(OperatorError, match="certificate"):
            await server.start_https("127.0.0.1", 0, *pair)
    await server.stop(0.1)


async def test_ipv6(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    server = HttpServer(make_origin(tmp_path), PAGES)
    try:
        host, port = await server.start_http("::1", 0)
        _, tls_port = await server.start_https("::1", 0, cert, key)
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with httpx.AsyncClient(verify=False) as client:
        assert host == "::1"
        assert (await client.get(f"http://[::1]:{port}/page")).text == "page GET 0"
        assert (await client.get(f"https://[::1]:{tls_port}/page")).text == "page GET 0"
    await server.stop(1.0)
