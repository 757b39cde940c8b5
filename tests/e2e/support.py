"""What the end-to-end tests share: publishers, the API, and a reader of what viewers get."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from headwater.client import Headwater
from headwater.client.models import CreatedLivestream
from tests.support import Server, require

GOP = ["-g", "30", "-keyint_min", "30", "-sc_threshold", "0", "-pix_fmt", "yuv420p", "-b:v", "700k"]
ENCODE = ["-c:v", "libx264", "-preset", "ultrafast", *GOP]
B_FRAMES = ["-c:v", "libx264", "-preset", "veryfast", "-bf", "2", *GOP]


def api(server: Server) -> Headwater:
    return Headwater(credentials=server.data / "credentials.json")


def create(server: Server, name: str = "test") -> CreatedLivestream:
    with api(server) as client:
        return client.create_independent_livestream(name=name)


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A program, killed at the end of the block; its standard error is kept for `communicate`."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ffmpeg_command(
    url: str, *, seconds: float = 60, encode: list[str] | None = None, size: str = "640x360"
) -> list[str]:
    """ffmpeg as a publisher in real time: a moving picture of 30 frames a second and a tone."""
    return [
        *(require("ffmpeg"), "-nostdin", "-v", "warning", "-re", "-f", "lavfi", "-i", f"testsrc2=s={size}:r=30"),
        *("-f", "lavfi", "-i", "sine=r=48000", "-t", str(seconds), *(encode or ENCODE)),
        *("-c:a", "aac", "-b:a", "96k", "-f", "flv", url),
    ]


def card_command(url: str, *options: str) -> list[str]:
    """Our own test card as a publisher."""
    return [sys.executable, "-m", "headwater", "publish", url, "--size", "640x360", *options]


def until(condition: Callable[[], Any], what: str, *, within_s: float = 20) -> Any:
    """Wait for something to be true; returns it."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {within_s} s"
        time.sleep(0.1)


def live(playback_url: str) -> bool:
    """Whether the livestream can be watched now."""
    response = httpx.get(playback_url.replace("/manifest/video.m3u8", "/lifecycle"), timeout=10)
    return response.status_code == 200 and bool(response.json()["live"])


def played(playback_url: str, *, within_s: float = 20) -> None:
    until(lambda: live(playback_url), "the livestream is live", within_s=within_s)


@dataclass
class Segment:
    """A listed segment; its parts where they are listed."""

    msn: int
    duration: float
    url: str
    init_url: str
    discontinuity: bool
    parts: list[str] = field(default_factory=list)


@dataclass
class MediaPlaylist:
    url: str
    text: str
    segments: list[Segment]

    @property
    def ended(self) -> bool:
        return "#EXT-X-ENDLIST" in self.text

    @property
    def discontinuity_sequence(self) -> int:
        """Of the first segment; 0 where it is not said (RFC 8216bis, 4.4.3.3)."""
        found = re.search(r"^#EXT-X-DISCONTINUITY-SEQUENCE:(\d+)$", self.text, re.MULTILINE)
        return int(found[1]) if found else 0

    def discontinuities(self) -> dict[int, int]:
        """The discontinuity sequence number of each listed segment, by MSN."""
        found, number = {}, self.discontinuity_sequence
        for segment in self.segments:
            number += segment.discontinuity
            found[segment.msn] = number
        return found


def renditions(client: httpx.Client, playback_url: str) -> dict[str, str]:
    """URLs of the media playlists by kind: `video`, `audio`."""
    text = client.get(playback_url).raise_for_status().text
    found = {}
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA") and (uri := re.search(r'URI="([^"]+)"', line)):
            found["audio"] = urljoin(playback_url, uri[1])
        elif line and not line.startswith("#"):
            url = urljoin(playback_url, line)
            found.setdefault("audio" if url == found.get("audio") else "video", url)
    return found


def media_playlist(client: httpx.Client, url: str) -> MediaPlaylist:
    """Load and read a media playlist; no delta updates."""
    text = client.get(url).raise_for_status().text
    msn, init, discontinuity, duration, parts, segments = 0, "", False, 0.0, list[str](), list[Segment]()
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            msn = int(line.partition(":")[2])
        elif line.startswith("#EXT-X-MAP:"):
            init = urljoin(url, line.split('"')[1])
        elif line == "#EXT-X-DISCONTINUITY":
            discontinuity = True
        elif line.startswith("#EXT-X-PART:") and (uri := re.search(r'URI="([^"]+)"', line)):
            parts.append(urljoin(url, uri[1]))
        elif line.startswith("#EXTINF:"):
            duration = float(line[8:].rstrip(","))
        elif line and not line.startswith("#"):
            segments.append(Segment(msn + len(segments), duration, urljoin(url, line), init, discontinuity, parts))
            discontinuity, parts = False, []
    return MediaPlaylist(url, text, segments)


def decode_complaints(path: Path) -> str:
    """What ffmpeg has to say while it decodes everything of a file: nothing, if all is well."""
    command = [require("ffmpeg"), "-nostdin", "-v", "warning", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60).stderr.strip()


def packet_times(path: Path, kind: str) -> list[tuple[float, float]]:
    """(dts, duration) of a stream's packets, seconds, as ffprobe reads them."""
    command = [
        require("ffprobe"),
        "-v",
        "error",
        "-select_streams",
        kind,
        "-show_entries",
        "packet=dts_time,duration_time",
    ]
    out = subprocess.run([*command, "-of", "json", str(path)], capture_output=True, text=True, timeout=60).stdout
    return [(float(p["dts_time"]), float(p.get("duration_time", 0))) for p in json.loads(out)["packets"]]


def decoded_duration_s(path: Path) -> float:
    """Seconds that the one stream of a file is shown or heard, by the frames that a decoder gives out, the last of them
    as long as the mean one; the decoder has nothing to say about it."""
    command = [require("ffprobe"), "-v", "warning", "-of", "csv=p=0", "-show_entries"]
    out = subprocess.run(
        [*command, "frame=best_effort_timestamp_time", str(path)], capture_output=True, text=True, timeout=60
    )
    assert (out.returncode, out.stderr) == (0, "")
    times = [float(line.split(",")[0]) for line in out.stdout.split()]
    return (max(times) - min(times)) * len(times) / (len(times) - 1)


def duration_s(source: str) -> float:
    """Seconds of a file or URL, by ffprobe."""
    command = [require("ffprobe"), "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", source]
    return float(subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip().split("\n")[0])
