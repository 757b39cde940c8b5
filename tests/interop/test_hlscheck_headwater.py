"""Our own server, published to by ffmpeg, judged by the check: no finding at all, MUST or SHOULD."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from headwater.client import Headwater
from headwater.hlscheck import Report, check
from tests.support import Server, require, running_server


@contextmanager
def publishing(url: str, *, fps: str = "30", seconds: int = 60) -> Iterator[subprocess.Popen[bytes]]:
    """ffmpeg as a publisher: 640x360 with B-frames and GOPs of 2 s, AAC at 48 kHz."""
    command = [
        *(require("ffmpeg"), "-nostdin", "-v", "error", "-re", "-f", "lavfi", "-i", f"testsrc2=s=640x360:r={fps}"),
        *("-f", "lavfi", "-i", "sine=r=48000", "-t", str(seconds), "-c:v", "libx264", "-preset", "veryfast"),
        *("-bf", "2", "-force_key_frames", "expr:gte(t,n_forced*2)", "-b:v", "800k", "-maxrate", "800k"),
        *("-bufsize", "400k", "-pix_fmt", "yuv420p", "-c:a", "aac", "-b:a", "96k", "-f", "flv", url),
    ]
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def playing(url: str, *, within_s: float = 20) -> None:
    """Wait until the multivariant playlist is there."""
    deadline = time.monotonic() + within_s
    with httpx.Client(verify=False) as client:
        while client.get(url).status_code != 200:
            assert time.monotonic() < deadline, "no playlist came"
            time.sleep(0.2)


def checked(server: Server, *, seconds: float, settle_s: float = 4, **publish: str) -> Report:
    with Headwater(credentials=server.data / "credentials.json") as client:
        livestream = client.create_independent_livestream(name="checked")
    with publishing(server.rtmp + livestream.stream_key, **publish):
        url = livestream.playback_url
        playing(url)
        time.sleep(settle_s)  # so that the window begins to slide within the check
        return asyncio.run(check(url, seconds=seconds, verify=False))


def named(report: Report) -> list[tuple[str, int, tuple[str, ...]]]:
    return [(f.rule, f.count, tuple(e.text for e in f.evidence)) for f in report.findings]


def test_a_live_stream_is_clean(server: Server) -> None:
    report = checked(server, seconds=9, fps="30000/1001")
    assert report.error is None and report.kind == "low-latency live"
    assert named(report) == []
    passed = {r.rule for r in report.rules if r.status == "passed"}
    wanted = {"segment-is-parts", "blocking-holds", "hint-becomes-part", "report-true", "delta-merges"}
    assert wanted <= passed


def test_a_stream_that_ended_is_clean(server: Server) -> None:
    """ENDLIST after an explicit stop: directives ignored, no hint, no blocking."""
    with Headwater(credentials=server.data / "credentials.json") as client:
        livestream = client.create_independent_livestream(name="ended")
        with publishing(server.rtmp + livestream.stream_key):
            playing(livestream.playback_url)
            time.sleep(4)
        client.stop_livestream(livestream.id)
    report = asyncio.run(check(livestream.playback_url, seconds=5))
    assert report.error is None and report.kind == "ended"
    assert named(report) == []


def test_over_https_with_http_2(tmp_path: Path) -> None:
    from tests.interop.test_hlscheck_http import certificate

    cert, key = certificate(tmp_path)
    arguments = ("--https", "127.0.0.1:0", "--tls-cert", str(cert), "--tls-key", str(key))
    with running_server(tmp_path / "data", *arguments) as server:
        with Headwater(credentials=server.data / "credentials.json") as client:
            livestream = client.create_independent_livestream(name="tls")
        path = httpx.URL(livestream.playback_url).path
        with publishing(server.rtmp + livestream.stream_key):
            url = f"https://{server.ready['https']}{path}"
            playing(url)
            time.sleep(2)
            report = asyncio.run(check(url, seconds=5, verify=False))
    assert report.error is None
    assert named(report) == []
    assert {r.status for r in report.rules if r.rule == "http2"} == {"passed"}
