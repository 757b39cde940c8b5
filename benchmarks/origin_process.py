"""The real Origin and HttpServer in a process of their own, fed with synthetic parts: what the delivery benchmarks ask.

    python -m benchmarks.origin_process --part-bytes 60000 [--interval-ms 333] [--tls-cert F --tls-key F]

Prints one line of JSON: ports and paths. With an interval it goes on feeding, one video and one audio part at a time;
without one the stream stands still. It ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import uvloop
from starlette.applications import Starlette

from headwater.media.cmaf import InitSegment, Part, Playable, SegmentClosed, SegmentOpened
from headwater.media.track import AudioConfig, Codec, Track, VideoConfig
from headwater.pipeline.origin import HttpServer, Origin, OriginSettings
from headwater.pipeline.origin.directory import PlaybackInfo
from headwater.pipeline.origin.paths import session_name
from headwater.pipeline.origin.program import LiveProgram

PLAYBACK_ID, SESSION_ID = "0123456789abcdef" * 2, "0123456789abcdef"
BASE = f"/{PLAYBACK_ID}/{session_name(SESSION_ID)}"
TRACKS = (
    Track(1, VideoConfig(Codec.H264, b"", 1280, 720, "avc1.64001f", Fraction(30))),
    Track(2, AudioConfig(Codec.AAC, b"", 48000, 2, 1024, "mp4a.40.2")),
)
PARTS_A_SEGMENT = 6
AUDIO_SHARE = 24
"""An audio part of 128 kbit/s is a 24th of a video part of 3 Mbit/s."""


class Nobody:
    """A directory that knows the one livestream."""

    async def playback(self, playback_id: str) -> PlaybackInfo | None:
        return PlaybackInfo("livestream", PLAYBACK_ID, "bench", False, None)

    async def recording(self, playback_id: str, session: str) -> str | None:
        return None


class Feed:
    """What a packager would say of a 2 s GOP in parts of a third of a second; timescale 3000."""

    def __init__(self, program: LiveProgram, part_bytes: int) -> None:
        self._program = program
        self._sizes = {1: part_bytes, 2: max(100, part_bytes // AUDIO_SHARE)}
        self._msn, self._part = 1000, 0
        program.apply([InitSegment(track, 0, 3000, bytes(700)) for track in TRACKS])

    def part(self) -> None:
        """The next part of both tracks; opens and closes segments."""
        program, msn, part = self._program, self._msn, self._part
        outputs: list[Any] = []
        for track in TRACKS:
            if part == 0:
                outputs.append(SegmentOpened(track.id, msn, 0, False, time.time_ns() // 1_000_000, msn * 6000))
            data = bytes(self._sizes[track.id])
            independent = part == 0 or not track.is_video
            outputs.append(Part(track.id, msn, part, 0, 1000, independent, len(data), data))
            if part == PARTS_A_SEGMENT - 1:
                outputs.append(SegmentClosed(track.id, msn, 1000 * PARTS_A_SEGMENT))
        program.apply(outputs)
        self._part = (part + 1) % PARTS_A_SEGMENT
        self._msn += self._part == 0

    def playable(self) -> None:
        self._program.apply([Playable(2, {track.id: 1000 / 3 for track in TRACKS}, tuple(t.id for t in TRACKS))])


async def serve(options: argparse.Namespace) -> None:
    origin = Origin(Nobody(), OriginSettings(), data_dir=Path("/nonexistent"))
    server = HttpServer(origin, Starlette())
    info = await Nobody().playback(PLAYBACK_ID)
    assert info is not None
    feed = Feed(origin.open(info, SESSION_ID, recorder=None), options.part_bytes)
    for _ in range(PARTS_A_SEGMENT * 4):
        feed.part()
    feed.playable()
    ports: dict[str, Any] = {"http": (await server.start_http("127.0.0.1", 0))[1]}
    if options.tls_cert:
        ports["https"] = (await server.start_https("127.0.0.1", 0, options.tls_cert, options.tls_key))[1]
    print(
        json.dumps({**ports, "playlist": f"{BASE}/v0/live.m3u8", "part": f"{BASE}/v0/p20.m4s", "base": BASE}),
        flush=True,
    )
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)  # the end of standard input ends the process
    next_at = loop.time()
    while not stopped.is_set():
        if options.interval_ms:
            next_at += options.interval_ms / 1000
            await asyncio.sleep(next_at - loop.time())
            feed.part()
        else:
            await stopped.wait()
    await server.stop(0.2)


@dataclass(frozen=True, slots=True)
class OriginProcess:
    """A running origin: its process id, and what it said of itself."""

    pid: int
    told: dict[str, Any]


@contextmanager
def origin_process(*arguments: str) -> Iterator[OriginProcess]:
    command = [sys.executable, "-m", "benchmarks.origin_process", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError("the origin did not start")
        yield OriginProcess(process.pid, json.loads(line))
    finally:
        process.stdin.close()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@contextmanager
def certificate() -> Iterator[tuple[Path, Path]]:
    """A self-signed certificate (P-256) and its key."""
    with tempfile.TemporaryDirectory() as folder:
        cert, key = Path(folder) / "cert.pem", Path(folder) / "key.pem"
        subject = ["-subj", "/CN=127.0.0.1", "-days", "1", "-nodes"]
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *subject]
        subprocess.run([*make, "-keyout", str(key), "-out", str(cert)], check=True, stderr=subprocess.DEVNULL)
        yield cert, key


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part-bytes", type=int, default=60_000)
    parser.add_argument("--interval-ms", type=float, default=0)
    parser.add_argument("--tls-cert", type=Path)
    parser.add_argument("--tls-key", type=Path)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
