"""The stream that the benchmarks replay: 720p30 H.264 + AAC of about 3 Mbit/s, made once by ffmpeg."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

CHUNK_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Message:
    """One FLV tag: type 8 (audio), 9 (video) or 18 (data), its time in ms, its body, and the body cut into chunks."""

    type: int
    time_ms: int
    body: bytes
    chunks: bytes


@dataclass(frozen=True, slots=True)
class Source:
    """Messages of one loop: `headers` (metadata and sequence headers) once, `media` again and again."""

    headers: list[Message]
    media: list[Message]
    duration_ms: int
    bytes_per_second: float


def _chunked(message_type: int, body: bytes) -> bytes:
    """A body with RTMP type-3 chunk headers at every CHUNK_SIZE bytes (the first header is written when sent)."""
    separator = bytes((0xC0 | chunk_stream(message_type),))
    return separator.join(body[at : at + CHUNK_SIZE] for at in range(0, len(body), CHUNK_SIZE))


def chunk_stream(message_type: int) -> int:
    return {8: 4, 9: 6}.get(message_type, 5)


def header(message: Message, time_ms: int, stream_id: int = 1) -> bytes:
    """The type-0 chunk header of a message (RTMP 1.0, 5.3.1.2.1), without extended timestamp: under 4.6 hours."""
    return struct.pack(
        ">BBHBHBI",
        chunk_stream(message.type),
        time_ms >> 16,
        time_ms & 0xFFFF,
        len(message.body) >> 16,
        len(message.body) & 0xFFFF,
        message.type,
        int.from_bytes(stream_id.to_bytes(4, "little"), "big"),
    )


def make_flv(path: Path, *, seconds: int = 10, fps: int = 30, gop: int = 60, bitrate_k: int = 3000) -> None:
    """Encode the source with ffmpeg: a moving picture with noise, so that the bit rate is really reached."""
    rate = f"{bitrate_k}k"
    command = ["ffmpeg", "-nostdin", "-loglevel", "error", "-y"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={fps},noise=alls=12:allf=t"]
    command += ["-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-t", str(seconds)]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-pix_fmt", "yuv420p"]
    command += ["-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", rate, "-x264-params", "nal-hrd=cbr"]
    command += ["-g", str(gop), "-keyint_min", str(gop), "-sc_threshold", "0"]
    command += ["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-f", "flv", str(path)]
    subprocess.run(command, check=True)


def read_flv(path: Path) -> list[Message]:
    """The tags of an FLV file (FLV 10.1, annex E.4)."""
    data, at, messages = path.read_bytes(), 13, []
    while at + 11 <= len(data):
        size = int.from_bytes(data[at + 1 : at + 4], "big")
        time_ms = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
        body = data[at + 11 : at + 11 + size]
        messages.append(Message(data[at], time_ms, body, _chunked(data[at], body)))
        at += 11 + size + 4
    return messages


def load(*, seconds: int = 10, gop: int = 60) -> Source:
    """Make the source and read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.flv"
        make_flv(path, seconds=seconds, gop=gop)
        messages = read_flv(path)
    headers = [m for m in messages if m.type == 18 or (m.type in (8, 9) and m.body[1] == 0)]
    media = [m for m in messages if m.type in (8, 9) and m.body[1] == 1]
    duration_ms = seconds * 1000
    media = [m for m in media if m.time_ms < duration_ms]
    return Source(headers, media, duration_ms, sum(len(m.body) for m in media) / seconds)
