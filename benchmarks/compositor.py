"""CPU of a composed meeting, per second at 720p30, beside the bound: x264 encoding the same pictures alone.

    python -m benchmarks.compositor

A real compositor's process, fed over its socket with the RTP of 1, 2, 4 and 9 participants (360p30 H.264 at 600 kbit/s
and Opus, every third one VP8), publishing to a real server. One participant at 720p is passed on, too.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import av

from benchmarks.servers import headwater
from headwater.meetings.broadcast import Broadcast
from headwater.meetings.compositor.canvas import Canvas, TileView
from headwater.meetings.compositor.coding import PictureEncoder
from headwater.meetings.compositor.scene import arrange
from headwater.meetings.compositor.settings import CompositorSettings, job
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceName, SourceView, TapListener
from headwater.protocols.rtp import h264, vp8
from headwater.protocols.rtp.packet import Packet, build

COUNTS = (1, 2, 4, 9)
WIDTH, HEIGHT, FPS = 1280, 720, 30
WARM_UP_S, MEASURED_S = 2.5, 6.0
LOOP_FRAMES = 120
BOUND_FRAMES = 90


@dataclass(frozen=True, slots=True)
class Codec:
    """A track's codec as a tap says it."""

    name: str
    clock_rate: int


@dataclass(frozen=True, slots=True)
class Clip:
    """Coded media in units of one frame, and the payloads of their packets."""

    codec: Codec
    coded: list[bytes]
    payloads: list[list[bytes]]
    record: bytes | None


@cache
def folder() -> str:
    return tempfile.mkdtemp(prefix="headwater-bench-")


@cache
def picture(codec: str, size: str, number: int) -> Clip:
    """Four seconds of a moving picture with some noise, made by ffmpeg."""
    path = f"{folder()}/{codec}-{size}-{number}.mkv"
    encoder = {
        "H264": ["libx264", "-preset", "veryfast", "-tune", "zerolatency", "-profile:v", "baseline"],
        "VP8": ["libvpx", "-deadline", "realtime", "-cpu-used", "10", "-auto-alt-ref", "0"],
    }[codec]
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i"]
    command += [f"testsrc2=s={size}:r={FPS},hue=h={40 * number},noise=alls=6:allf=t", "-pix_fmt", "yuv420p"]
    command += ["-frames:v", str(LOOP_FRAMES), "-c:v", *encoder, "-b:v", "600k", "-g", "60", path]
    subprocess.run(command, check=True)
    with av.open(path) as container:
        stream = container.streams.video[0]
        coded = [bytes(packet) for packet in container.demux(stream) if packet.size]
        record = bytes(stream.codec_context.extradata or b"") if codec == "H264" else None
    payloads = []
    for index, unit in enumerate(coded):
        if record is None:
            payloads.append(vp8.Packetizer().packetize(unit))
        else:
            packetizer = h264.Packetizer()
            packetizer.configure(record)
            payloads.append(packetizer.packetize(unit, key=index % 60 == 0))
    return Clip(Codec(codec, 90_000), coded, payloads, record)


@cache
def speech() -> Clip:
    """Noise as loud as a voice, in Opus frames of 20 ms."""
    path = f"{folder()}/sound.ogg"
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "anoisesrc=c=pink:a=0.2:r=48000"]
    subprocess.run([*command, "-t", "4", "-ac", "2", "-c:a", "libopus", "-b:a", "48k", path], check=True)
    with av.open(path) as container:
        coded = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    return Clip(Codec("opus", 48_000), coded, [[unit] for unit in coded], None)


class Crowd:
    """A tap of participants who send what was coded before."""

    def __init__(self, count: int, size: str) -> None:
        self.clips = [picture("VP8" if i % 3 == 2 else "H264", size, i % 3) for i in range(count)]
        people = tuple(ParticipantView(f"p{i}", f"Participant {i + 1}", SourceView(True, True)) for i in range(count))
        self.snapshot = RoomSnapshot("Benchmark", people, "p0")
        self._listener: TapListener | None = None
        self._sequences: dict[tuple[int, str], int] = {}

    def subscribe(self, listener: TapListener) -> Callable[[], None]:
        self._listener = listener
        listener.state(self.snapshot)
        return lambda: None

    def request_keyframe(self, participant_id: str, source: SourceName) -> None:
        return None  # one comes every two seconds

    async def talk(self, seconds: float) -> None:
        """Send in real time."""
        began, frame, sound = time.monotonic(), 0, 0
        while (now := time.monotonic() - began) < seconds:
            while frame / FPS <= now:
                for i, clip in enumerate(self.clips):
                    self._send(i, clip, frame, 90_000 // FPS)
                frame += 1
            while sound * 0.02 <= now:
                for i in range(len(self.clips)):
                    self._send(i, speech(), sound, 960)
                sound += 1
            await asyncio.sleep(0.005)

    def _send(self, number: int, clip: Clip, index: int, ticks: int) -> None:
        assert self._listener is not None
        kind, name = ("audio", "sound") if clip.codec.name == "opus" else ("video", "picture")
        payloads = clip.payloads[index % len(clip.payloads)]
        for position, payload in enumerate(payloads):
            sequence = self._sequences[number, name] = self._sequences.get((number, name), 0) + 1
            last = position == len(payloads) - 1
            packet = build(Packet(last, 96, sequence & 0xFFFF, index * ticks, 10 * number + len(name), payload))
            if kind == "audio":
                self._listener.rtp(f"p{number}", "camera", "audio", clip.codec, packet)
            else:
                self._listener.rtp(f"p{number}", "camera", "video", clip.codec, packet)


async def composed(count: int, url: str, size: str) -> tuple[float, float, bool]:
    """(CPU seconds per second, share of skipped pictures, passed on) of one broadcast."""
    crowd = Crowd(count, size)
    speech()
    broadcast = Broadcast(crowd, url, WIDTH, HEIGHT)
    broadcast.start()
    try:
        talking = asyncio.create_task(crowd.talk(WARM_UP_S + MEASURED_S + 2))
        await asyncio.sleep(WARM_UP_S + 1)
        before = broadcast.report
        await asyncio.sleep(MEASURED_S)
        after = broadcast.report
        passing = after.passing
        talking.cancel()
    finally:
        await broadcast.stop()
    frames, skipped = after.frames - before.frames, after.skipped - before.skipped
    if not frames:
        raise RuntimeError(f"nothing was composed: {after}")
    return (after.cpu_s - before.cpu_s) / (frames / FPS), skipped / (frames + skipped), passing


def bound(count: int, size: str) -> float:
    """CPU seconds per second of x264 alone, with the same settings, on the pictures that such a meeting makes."""
    crowd = Crowd(count, size)
    canvas = Canvas(WIDTH, HEIGHT)
    views = [(tile, TileView(canvas)) for tile in arrange(crowd.snapshot, WIDTH, HEIGHT).tiles]
    decoders = [_decoder(clip) for clip in crowd.clips]
    encoder = PictureEncoder(job(CompositorSettings(), "", WIDTH, HEIGHT))
    used = 0.0
    for index in range(BOUND_FRAMES):
        for (tile, view), clip, decoder in zip(views, crowd.clips, decoders, strict=True):
            for frame in decoder.decode(av.Packet(_unit(clip, index))):
                if index == 0:
                    view.show(tile, frame)
                else:
                    view.paint(frame)
        began = time.process_time()
        encoder.encode(canvas.frame, index, index * 1000 // FPS)
        used += time.process_time() - began
    return used / (BOUND_FRAMES / FPS)


def _decoder(clip: Clip) -> av.VideoCodecContext:
    decoder = av.CodecContext.create("h264" if clip.codec.name == "H264" else "vp8", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    return decoder


def _unit(clip: Clip, index: int) -> bytes:
    unit = clip.coded[index % len(clip.coded)]
    if clip.record is None:
        return unit
    return h264.annex_b(unit, clip.record if index % 60 == 0 else None)


def main() -> None:
    print(f"{'participants':22} {'core':>8} {'x264 alone':>12} {'ratio':>7} {'skipped':>8}")
    with tempfile.TemporaryDirectory() as data, headwater(Path(data), recording=False) as server:
        keys = iter(server.create_livestreams(len(COUNTS) + 1))
        url = f"rtmp://127.0.0.1:{server.rtmp_port}/live/"
        for count, size in (*((count, "640x360") for count in COUNTS), (1, f"{WIDTH}x{HEIGHT}")):
            core, skipped, passing = asyncio.run(composed(count, url + next(keys), size))
            name = f"{count} of {size}" + (", passed on" if passing else "")
            if passing:
                print(f"{name:22} {core:8.3f} {'-':>12} {'-':>7} {skipped:8.1%}", flush=True)
                continue
            alone = bound(count, size)
            print(f"{name:22} {core:8.3f} {alone:12.3f} {core / alone:7.2f} {skipped:8.1%}", flush=True)
    print("what is skipped tells how busy the machine is with something else: above a few per cent, run it again")
    for name in os.listdir(folder()):
        os.unlink(f"{folder()}/{name}")
    os.rmdir(folder())


if __name__ == "__main__":
    main()
