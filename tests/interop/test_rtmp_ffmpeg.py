"""ffmpeg publishes over RTMP and RTMPS; its log shows why it is refused."""

from __future__ import annotations

import asyncio
import time
from fractions import Fraction
from pathlib import Path

import pytest

from headwater.errors import PublishRefused, UnsupportedCodec
from headwater.media.track import AudioConfig, Codec, VideoConfig
from tests.interop.rtmp_publishers import AAC, H264, PICTURE, SECONDS, SOUND, ffmpeg, ingest, self_signed, steady
from tests.unit.ingest.gates import GOOD_KEY

FRAMES = 30 * SECONDS


async def test_h264_with_b_frames_and_aac() -> None:
    async with ingest() as server:
        code, log = await ffmpeg(server.url, *PICTURE, *SOUND, *H264, *AAC)
        assert code == 0, log
        out = await server.ended()
        video, audio = (track.config for track in out.tracks)
        assert isinstance(video, VideoConfig)
        assert (video.codec, video.width, video.height, video.frame_rate) == (Codec.H264, 320, 240, Fraction(30))
        assert isinstance(audio, AudioConfig)
        assert (audio.codec, audio.sample_rate) == (Codec.AAC, 48_000)
        pictures = out.of(1)
        assert len(pictures) == FRAMES
        assert steady(pictures, 1000 / 30)
        assert [unit.sync for unit in pictures].count(True) == SECONDS
        assert any(unit.composition_offset > 34 for unit in pictures), "B-frames are shown later than decoded"
        presented = sorted(unit.dts + unit.composition_offset for unit in pictures)
        assert len(set(presented)) == FRAMES
        assert steady(out.of(2), 1024 / 48)
        assert out.values["width"] == 320.0
        assert out.ends == [("the publisher ended it", True)]


async def test_video_only() -> None:
    async with ingest() as server:
        code, log = await ffmpeg(server.url, *PICTURE, *H264)
        assert code == 0, log
        out = await server.ended()
        assert [track.id for track in out.tracks] == [1]
        assert len(out.of(1)) == FRAMES


async def test_audio_only() -> None:
    async with ingest() as server:
        code, log = await ffmpeg(server.url, *SOUND, *AAC)
        assert code == 0, log
        out = await server.ended()
        assert [track.id for track in out.tracks] == [2]
        assert len(out.of(2)) >= SECONDS * 48_000 // 1024


async def test_mp3() -> None:
    async with ingest() as server:
        sound = ("-f", "lavfi", "-i", "sine=sample_rate=44100")
        code, log = await ffmpeg(server.url, *sound, "-c:a", "libmp3lame", "-ac", "2")
        assert code == 0, log
        (track,) = (await server.ended()).tracks
        assert isinstance(track.config, AudioConfig)
        assert (track.config.codec, track.config.sample_rate) == (Codec.MP3, 44_100)


async def test_rtmps(tmp_path: Path) -> None:
    async with ingest(self_signed(tmp_path)) as server:
        code, log = await ffmpeg(server.url, *PICTURE, *SOUND, *H264, *AAC)
        assert code == 0, log
        out = await server.ended()
        assert len(out.of(1)) == FRAMES
        assert server.gate.requests[0].protocol == "rtmps"


async def test_a_key_frame_larger_than_the_socket_buffers() -> None:
    """Lossless noise: messages of a megabyte and more, through many reads."""
    noise = ("-f", "lavfi", "-i", "nullsrc=size=1280x720:rate=5,geq=random(1)*255:128:128")
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "1", "-pix_fmt", "yuv420p")
    async with ingest() as server:
        code, log = await ffmpeg(server.url, *noise, *x264)
        assert code == 0, log
        units = (await server.ended()).of(1)
        assert len(units) == 5 * SECONDS
        assert max(len(unit.payload) for unit in units) > 500_000
        for unit in units:  # length-prefixed NAL units, to the last byte
            at = 0
            while at < len(unit.payload):
                at += 4 + int.from_bytes(unit.payload[at : at + 4], "big")
            assert at == len(unit.payload)


@pytest.mark.parametrize(
    ("refusal", "key"),
    [
        (None, "wrong"),
        (PublishRefused("ERR_LIVESTREAM_DISABLED", "this livestream is disabled"), GOOD_KEY),
    ],
)
async def test_a_refusal_is_in_ffmpegs_log_and_it_does_not_hang(refusal: PublishRefused | None, key: str) -> None:
    async with ingest() as server:
        server.gate.failure = refusal
        began = time.monotonic()
        code, log = await ffmpeg(server.url, *PICTURE, *H264, key=key)
        assert time.monotonic() - began < 10  # a hang is 30 s or more; ffmpeg needs a second to start
        assert code != 0
        assert (refusal.description if refusal else "no livestream has this stream key") in log


async def test_a_refusal_over_rtmps(tmp_path: Path) -> None:
    """TLS has no half-close that encoders understand: the reason still arrives before the end."""
    async with ingest(self_signed(tmp_path)) as server:
        began = time.monotonic()
        code, log = await ffmpeg(server.url, *PICTURE, *H264, key="wrong")
        assert time.monotonic() - began < 10
        assert code != 0
        assert "no livestream has this stream key" in log


async def test_an_unsupported_codec_is_in_ffmpegs_log() -> None:
    async with ingest() as server:
        code, log = await ffmpeg(server.url, "-re", *PICTURE, "-c:v", "flv1")
        assert code != 0
        assert "video in Sorenson H.263 cannot be taken" in log
        out = await server.ended()
        assert out.ends[0][0].startswith("ERR_UNSUPPORTED_VIDEO_CODEC")


async def test_a_configuration_that_the_pipeline_refuses_is_in_ffmpegs_log() -> None:
    async with ingest() as server:
        publishing = asyncio.create_task(ffmpeg(server.url, "-re", *PICTURE, *H264))
        await server.gate.admitted.wait()
        server.publication.refusal = UnsupportedCodec("ERR_UNSUPPORTED_VIDEO_CODEC", "H.264 in that profile")
        code, log = await publishing
        assert code != 0
        assert "H.264 in that profile" in log


@pytest.mark.parametrize("where", ["key in the query", "key in the path"])
async def test_the_key_in_other_places(where: str) -> None:
    async with ingest() as server:
        if where == "key in the query":
            code, log = await ffmpeg(server.url, *SOUND, *AAC, key=f"name?key={GOOD_KEY}")
        else:
            code, log = await ffmpeg(f"{server.url}/{GOOD_KEY}", *SOUND, *AAC, "-rtmp_playpath", "", key="")
        assert code == 0, log
        assert (await server.ended()).units
