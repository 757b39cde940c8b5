"""HTTP of the probe against a transport of our own: redirects, limits, errors."""

from __future__ import annotations

import asyncio
import gzip

import httpx
import pytest

from headwater.hlscheck.fetch import HEADERS, HttpFetch, Request
from headwater.hlscheck.observation import Exchange


async def fetched(handler: httpx.MockTransport, url: str, **limits: float) -> Exchange:
    async with HttpFetch() as fetch:
        fetch._idle.append(httpx.AsyncClient(transport=handler, headers=HEADERS))
        request = Request(url, max_bytes=int(limits.get("max_bytes", 1000)), timeout_s=limits.get("timeout_s", 5.0))
        return await fetch(request)


async def test_a_compressed_body_is_decoded_and_its_encoding_kept() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        assert request.headers["accept-encoding"] == "gzip" and "origin" in request.headers
        return httpx.Response(200, content=gzip.compress(b"#EXTM3U"), headers={"Content-Encoding": "gzip"})

    exchange = await fetched(httpx.MockTransport(handler), "http://a/")
    assert exchange.ok and exchange.body == b"#EXTM3U" and exchange.size == 7
    assert exchange.headers["content-encoding"] == "gzip"
    assert exchange.sent_at <= exchange.head_at <= exchange.first_byte_at <= exchange.last_byte_at


async def test_a_body_over_the_limit_is_cut() -> None:
    exchange = await fetched(httpx.MockTransport(lambda r: httpx.Response(200, content=b"x" * 5000)), "http://a/")
    assert exchange.truncated and not exchange.ok and exchange.body == b""


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/b", "gopher://a/"])
async def test_a_redirect_to_another_scheme_is_not_followed(target: str) -> None:
    transport = httpx.MockTransport(lambda r: httpx.Response(302, headers={"Location": target}))
    exchange = await fetched(transport, "http://a/")
    assert exchange.error is not None and "neither http nor https" in exchange.error


async def test_redirects_are_followed_and_bounded() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        number = int(request.url.path[1:] or 0)
        if number < 3 or request.url.host == "loop":
            return httpx.Response(302, headers={"Location": f"/{number + 1}"})
        return httpx.Response(200, content=b"ok")

    exchange = await fetched(httpx.MockTransport(handler), "http://a/0")
    assert exchange.ok and exchange.url == "http://a/3"
    looped = await fetched(httpx.MockTransport(handler), "http://loop/0")
    assert looped.error is not None and "redirects" in looped.error


async def test_what_a_network_does_is_an_error_not_an_exception() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    exchange = await fetched(httpx.MockTransport(refuse), "http://a/")
    assert not exchange.ok and exchange.error is not None and "refused" in exchange.error


async def test_an_answer_that_never_comes_is_given_up() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    exchange = await fetched(httpx.MockTransport(hang), "http://a/", timeout_s=0.01)
    assert exchange.error is not None and "no complete answer" in exchange.error


@pytest.mark.parametrize("url", ["http://", "http://[", "http://\x00/", "//a"])
async def test_a_url_that_is_none(url: str) -> None:
    exchange = await fetched(httpx.MockTransport(lambda r: httpx.Response(200)), url)
    assert exchange.error is not None
