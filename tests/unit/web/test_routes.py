"""The pages over HTTP: who gets which, with which headers, and nothing of a stranger's text unescaped."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount

from headwater.web.routes import Assets, routes

KNOWN = "0123456789abcdef" * 2
DISABLED = "f" * 32


@dataclass
class Livestream:
    name: str
    disabled: bool


class Livestreams:
    """Two livestreams: one with a name that is an attack, one that is disabled."""

    async def playback(self, playback_id: str) -> Livestream | None:
        known = {KNOWN: Livestream('<script>alert("x")</script>', False), DISABLED: Livestream("off", True)}
        return known.get(playback_id)


class Client:
    """Requests to the pages, in process."""

    def __init__(self, served: list[BaseRoute] | None = None) -> None:
        self.served = served if served is not None else routes(Livestreams())

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(Starlette(routes=self.served))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                return await client.request(method, path, **options)

        return asyncio.run(send())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.request("GET", path, **options)


@pytest.fixture
def client() -> Client:
    return Client()


def test_the_player_escapes_the_name_and_may_be_embedded(client: Client) -> None:
    response = client.get(f"/{KNOWN}")
    assert response.status_code == 200
    assert "<script>alert" not in response.text and "&lt;script&gt;alert" in response.text
    policy = response.headers["content-security-policy"]
    assert "frame-ancestors *" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert "x-frame-options" not in response.headers


@pytest.mark.parametrize("path", [f"/{DISABLED}", f"/{'0' * 32}", "/nonsense", f"/{KNOWN.upper()}", f"/{KNOWN}0"])
def test_what_is_unknown_or_disabled_is_a_friendly_404(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 404 and "No such livestream" in response.text
    assert response.headers["x-frame-options"] == "DENY"


def test_the_start_page_lists_no_livestream(client: Client) -> None:
    response = client.get("/")
    assert response.status_code == 200 and KNOWN not in response.text
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_the_dashboard_is_framed_by_nobody_and_runs_nothing_but_its_own_files(client: Client) -> None:
    response = client.get("/dashboard")
    policy = response.headers["content-security-policy"]
    assert response.status_code == 200 and response.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy and "<script>" not in response.text


def test_a_meetings_address_goes_nowhere_and_nothing_but_its_own_files_runs(client: Client) -> None:
    response = client.get("/meet/5c2a3e14-0000-4000-8000-000000000001?token=secret")
    policy = response.headers["content-security-policy"]
    assert response.status_code == 200 and "secret" not in response.text
    assert response.headers["referrer-policy"] == "no-referrer" and response.headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in policy and "script-src 'self';" in policy and "unsafe" not in policy
    assert "camera=(self)" in response.headers["permissions-policy"]


def test_pages_and_assets_answer_head_like_get(client: Client) -> None:
    for path in ("/", "/dashboard", f"/{KNOWN}", "/assets/player.js"):
        head, get = client.request("HEAD", path), client.get(path)
        assert head.status_code == get.status_code == 200 and head.content == b""
        assert head.headers["content-length"] == get.headers["content-length"]


def test_assets_are_asked_about_again_cheaply(client: Client) -> None:
    first = client.get("/assets/stream.js")
    assert first.headers["content-type"].startswith("text/javascript")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/assets/stream.js", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and again.content == b""


@pytest.mark.parametrize(
    ("wanted", "status", "content"),
    [
        ("bytes=2-3", 206, b"23"),
        ("bytes=7-99999999999999999999999999", 206, b"789"),
        ("bytes=-99999999999999999999999999", 206, b"0123456789"),
        ("bytes=10-", 416, b""),
        ("bytes=99999999999999999999999999-", 416, b""),
        ("bytes=-0", 416, b""),
        *((odd, 200, b"0123456789") for odd in ("bytes=", "bytes=-", "bytes=5-2", "items=0-1", "bytes=0-1,5-6", "x")),
    ],
)
def test_ranges_of_assets_are_those_of_media(tmp_path: Path, wanted: str, status: int, content: bytes) -> None:
    (tmp_path / "a.js").write_bytes(b"0123456789")
    client = Client([Mount("/", Assets(directory=str(tmp_path)))])
    response = client.get("/a.js", headers={"range": wanted, "accept-encoding": "identity"})
    assert response.status_code == status and response.content == content
    if status == 416:
        assert response.headers["content-range"] == "bytes */10"
    assert client.request("HEAD", "/a.js", headers={"range": wanted}).status_code == 200
    known = client.get("/a.js", headers={"range": wanted, "if-none-match": client.get("/a.js").headers["etag"]})
    assert known.status_code == 304


def test_what_is_packed_is_sent_packed_to_who_accepts_it(tmp_path: Path) -> None:
    (tmp_path / "library.mjs").write_bytes(b"plain")
    (tmp_path / "library.mjs.gz").write_bytes(gzip.compress(b"plain"))
    client = Client([Mount("/", Assets(directory=str(tmp_path)))])
    packed = client.get("/library.mjs", headers={"accept-encoding": "br, gzip"})
    plain = client.get("/library.mjs", headers={"accept-encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip" and "content-encoding" not in plain.headers
    assert packed.content == plain.content == b"plain" and packed.headers["etag"] != plain.headers["etag"]
    for response in (packed, plain):
        assert response.headers["vary"] == "accept-encoding"
        assert "javascript" in response.headers["content-type"]


@pytest.mark.parametrize("path", ["/assets/../routes.py", "/assets/%2e%2e/routes.py", "/assets/..%2froutes.py"])
def test_assets_do_not_lead_out_of_their_folder(client: Client, path: str) -> None:
    assert client.get(path).status_code == 404


def test_nobody_posts_to_a_page(client: Client) -> None:
    assert client.request("POST", f"/{KNOWN}").status_code == 405
