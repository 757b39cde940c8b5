"""ffmpeg's HLS muxer, checked: nothing that it writes may be called a breach where it is none."""

from __future__ import annotations

import asyncio
import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from headwater.hlscheck import Report, check
from tests.support import require

TYPES = {".m3u8": "application/vnd.apple.mpegurl", ".m4s": "video/mp4", ".mp4": "video/mp4", ".ts": "video/mp2t"}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Files with the media types of HLS, and CORS."""

    extensions_map = TYPES

    def do_GET(self) -> None:
        """One byte range, or the whole file."""
        wanted = self.headers.get("Range", "")
        path = Path(self.translate_path(self.path))
        if not wanted.startswith("bytes=") or not path.is_file():
            super().do_GET()
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        body = path.read_bytes()[int(first) : int(last) + 1]
        self.send_response(206)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        self.send_header("Access-Control-Allow-Origin", "*")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def command(folder: Path, *hls: str, seconds: int, live: bool = False) -> list[str]:
    pace = ["-re"] if live else []
    return [
        *(require("ffmpeg"), "-nostdin", "-v", "error", "-y"),
        *(*pace, "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine=r=48000"),
        *("-t", str(seconds), "-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-g", "25"),
        *("-b:v", "600k", "-maxrate", "600k", "-bufsize", "300k", "-c:a", "aac", "-b:a", "64k"),
        *("-f", "hls", "-hls_time", "1", "-master_pl_name", "main.m3u8", *hls, str(folder / "list.m3u8")),
    ]


def musts(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    return [(f.rule, tuple(e.text for e in f.evidence)) for f in report.musts]


@pytest.mark.parametrize(
    "hls",
    [
        ("-hls_segment_type", "fmp4", "-hls_playlist_type", "vod"),
        ("-hls_segment_type", "mpegts", "-hls_playlist_type", "vod"),
        ("-hls_segment_type", "fmp4", "-hls_playlist_type", "event", "-hls_flags", "independent_segments"),
        ("-hls_segment_type", "fmp4", "-hls_flags", "single_file+program_date_time", "-hls_playlist_type", "vod"),
    ],
    ids=["fmp4", "mpegts", "event", "byte-ranges"],
)
def test_a_finished_stream_breaks_no_must(tmp_path: Path, hls: tuple[str, ...]) -> None:
    subprocess.run(command(tmp_path, *hls, seconds=6), check=True, timeout=60)
    with serving(tmp_path) as base:
        report = asyncio.run(check(f"{base}/main.m3u8", seconds=5))
    assert report.error is None and report.kind == "ended"
    assert musts(report) == []


def test_a_live_stream_breaks_no_must(tmp_path: Path) -> None:
    """A sliding window while ffmpeg writes it, with dates."""
    hls = ("-hls_segment_type", "fmp4", "-hls_list_size", "6", "-hls_flags", "delete_segments+program_date_time")
    keep = ("-hls_delete_threshold", "4")
    encoder = subprocess.Popen(command(tmp_path, *hls, *keep, seconds=30, live=True))
    try:
        for _ in range(200):
            listed = (tmp_path / "list.m3u8").read_text() if (tmp_path / "main.m3u8").exists() else ""
            if listed.count("#EXTINF") >= 4:
                break
            threading.Event().wait(0.05)
        with serving(tmp_path) as base:
            report = asyncio.run(check(f"{base}/main.m3u8", seconds=5))
    finally:
        encoder.kill()
        encoder.wait(10)
    assert report.error is None and report.kind == "live"
    assert musts(report) == []
    assert {r.status for r in report.rules if r.rule == "segment-changed"} == {"passed"}
