"""Enhanced RTMP as FFmpeg 8 sends it (the one inside PyAV; Debian's is older): HEVC, AV1, VP9, Opus."""

from __future__ import annotations

import sys

import av
import pytest

from headwater.media.track import AudioConfig, Codec, VideoConfig
from tests.interop.rtmp_publishers import ingest, run
from tests.unit.ingest.gates import GOOD_KEY

FRAMES = 30

VIDEO = """
import sys, av
from fractions import Fraction
url, encoder, options = sys.argv[1], sys.argv[2], dict(pair.split("=") for pair in sys.argv[3:])
with av.open(url, "w", format="flv") as output:
    stream = output.add_stream(encoder, rate=30, options=options)
    stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, "yuv420p", 15
    for number in range(30):
        frame = av.VideoFrame(320, 240, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes((number * 8 % 256,)) * plane.buffer_size)
        frame.pts, frame.time_base = number, Fraction(1, 30)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
"""

OPUS = """
import sys, av
with av.open(sys.argv[1], "w", format="flv") as output:
    stream = output.add_stream("libopus", rate=48000)
    for number in range(50):
        frame = av.AudioFrame(format="s16", layout="stereo", samples=960)
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        frame.sample_rate, frame.pts = 48000, number * 960
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))
"""


def needs(encoder: str) -> None:
    if encoder not in av.codecs_available:
        pytest.skip(f"this PyAV has no {encoder}")


@pytest.mark.parametrize(
    ("encoder", "options", "codec", "codecs"),
    [
        ("libx265", ["preset=ultrafast"], Codec.HEVC, "hvc1."),
        ("libsvtav1", ["preset=12"], Codec.AV1, "av01."),
        ("libvpx-vp9", ["deadline=realtime", "cpu-used=8"], Codec.VP9, "vp09."),
    ],
)
async def test_video(encoder: str, options: list[str], codec: Codec, codecs: str) -> None:
    needs(encoder)
    async with ingest() as server:
        url = f"{server.url}/{GOOD_KEY}"
        code, log = await run(sys.executable, "-c", VIDEO, url, encoder, *options)
        assert code == 0, log
        out = await server.ended()
        (track,) = out.tracks
        assert isinstance(track.config, VideoConfig)
        assert (track.config.codec, track.config.width, track.config.height) == (codec, 320, 240)
        assert track.config.codecs.startswith(codecs)
        units = out.of(1)
        assert len(units) == FRAMES
        assert units[0].sync
        assert [unit.dts for unit in units] == sorted({unit.dts for unit in units})


async def test_opus() -> None:
    needs("libopus")
    async with ingest() as server:
        code, log = await run(sys.executable, "-c", OPUS, f"{server.url}/{GOOD_KEY}")
        assert code == 0, log
        out = await server.ended()
        (track,) = out.tracks
        assert isinstance(track.config, AudioConfig)
        assert (track.id, track.config.codec, track.config.channels) == (2, Codec.OPUS, 2)
        assert track.config.frame_samples == 960
        assert len(out.of(2)) >= 50
