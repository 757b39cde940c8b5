"""How loud sound is that ffmpeg encoded, measured where the server does it: in the process that decodes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import av
import pytest

from headwater.health import Limits
from headwater.media.aac import parse_asc
from headwater.media.cmaf import Part
from headwater.media.mp3 import parse_mp3_header
from headwater.media.opus import parse_opus_head
from headwater.media.track import AudioConfig
from headwater.pipeline.levels import window_of
from headwater.pipeline.origin.thumbnail import DecoderDied, Thumbnailer, ThumbnailSettings
from headwater.pipeline.sound import Level, Window
from headwater.protocols.isobmff.fragment import AUDIO_ROW, build_fragment
from tests.support import require

ENCODERS = {"aac": "aac", "opus": "libopus", "mp3": "libmp3lame"}
SECONDS = 2

TONE = "0.1*sin(2000*PI*t)"
SECTIONS = {
    "tone": (TONE, TONE),
    "one side": (TONE, "0"),
    "silence": ("0", "0"),
    "clipped": ("clip(4*sin(2000*PI*t),-1,1)",) * 2,
    "beep": ("if(between(mod(t,2),1.0,1.1),0.1*sin(2000*PI*t),0)",) * 2,
}
"""What is heard in both channels, in ffmpeg's expressions, `SECONDS` each."""


def sounds(codec: str, folder: Path) -> tuple[AudioConfig, dict[str, list[bytes]]]:
    """The configuration, and the frames of each section without its first ones, which sound of the one before."""
    path = folder / "sound.mka"
    channels = ["0", "0"]
    for number, section in reversed(list(enumerate(SECTIONS.values()))):
        end = (number + 1) * SECONDS
        channels = [f"if(lt(t,{end}),{mine},{rest})" for mine, rest in zip(section, channels, strict=True)]
    both = "|".join(channels).replace(",", "\\,")
    source = ["-f", "lavfi", "-i", f"aevalsrc={both}:s=48000:d={SECONDS * len(SECTIONS)}"]
    encoder = ["-c:a", ENCODERS[codec], "-b:a", "160k"]
    subprocess.run([require("ffmpeg"), "-y", "-v", "error", *source, *encoder, str(path)], check=True)
    frames: dict[str, list[bytes]] = {name: [] for name in SECTIONS}
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            second = float(packet.pts * packet.time_base) if packet.size and packet.pts is not None else -1.0
            if 0 <= second < SECONDS * len(SECTIONS) and 0.2 < second % SECONDS < SECONDS - 0.1:
                frames[list(SECTIONS)[int(second // SECONDS)]].append(bytes(packet))
        extra = stream.codec_context.extradata or b""
    if codec == "aac":
        return parse_asc(extra), frames
    return (parse_opus_head(extra) if codec == "opus" else parse_mp3_header(frames["tone"][0])), frames


def parts(frames: list[bytes], size: int = 10) -> list[Part]:
    """Fragments as the packager writes them, `size` frames each."""
    made = []
    for first in range(0, len(frames), size):
        some = frames[first : first + size]
        table = [number for frame in some for number in (1024, len(frame))]
        data = build_fragment(1, 2, 1, 0, AUDIO_ROW, table, some)
        made.append(Part(2, 1, 0, 0, 1024 * len(some), True, len(data), data))
    return made


async def levels(*windows: Window | None) -> list[Level | None]:
    decoder = Thumbnailer(ThumbnailSettings(timeout_ms=15_000))
    assert all(windows)
    try:
        return await decoder.levels([window for window in windows if window is not None])
    finally:
        await decoder.stop()


@pytest.mark.parametrize("codec", ENCODERS)
async def test_tones(codec: str, tmp_path: Path) -> None:
    """A tone, the same on one side only, silence, a tone beyond full scale, and a tenth of a second in silence."""
    config, frames = sounds(codec, tmp_path)
    some = [window_of(config, parts(frames[name]), whole=False) for name in SECTIONS]
    whole = [window_of(config, parts(frames[name]), whole=True) for name in ("silence", "beep")]
    tone, one_side, silence, clipped, beeped, all_silence, all_beeped = await levels(*some, *whole)
    quieter = 0.45 if codec == "mp3" else 0  # LAME leaves itself some room
    assert tone is not None and one_side is not None and clipped is not None
    assert tone.peak_db == pytest.approx(-20 - quieter, abs=1.0) and tone.rms_db == pytest.approx(
        -23 - quieter, abs=1.0
    )
    assert one_side.peak_db == pytest.approx(-20 - quieter, abs=1.0) and one_side.rms_db == pytest.approx(
        -26 - quieter, abs=1.0
    )
    assert silence is not None and all_silence is not None
    assert silence.peak_db < -90 and all_silence.peak_db < -90
    assert clipped.peak_db >= Limits().full_scale_db and clipped.rms_db > -1.5
    assert beeped is not None and all_beeped is not None
    if codec == "aac":  # the others spend as many bits on silence here: that is why the quiet is decoded whole
        assert beeped.peak_db == pytest.approx(-20, abs=3), "the window is where the sound is"
    assert all_beeped.peak_db == pytest.approx(-20, abs=1)
    assert all_beeped.rms_db == pytest.approx(-36 - quieter, abs=1.5), "a twentieth of the time: 13 dB less"


async def test_noise_is_one_livestreams_trouble_alone(tmp_path: Path) -> None:
    """What cannot be decoded has no level; the others of the same request have theirs."""
    config, found_frames = sounds("aac", tmp_path)
    frames = found_frames["one side"]
    good = window_of(config, parts(frames), whole=False)
    bad = [
        Window("aac", config.record, [os.urandom(300) for _ in range(4)]),
        Window("aac", b"\xff\xff", frames[10:14]),
        Window("opus", b"", frames[10:14]),
        Window("flac", b"", frames[10:14]),
        Window("aac", config.record, []),
    ]
    found = await levels(good, *bad, good)
    assert found[0] is not None and found[-1] is not None
    assert abs(found[0].peak_db + 20) < 0.5 and abs(found[-1].peak_db + 20) < 0.5
    assert found[2:-1] == [None] * 4


async def test_a_decoder_that_dies_says_so() -> None:
    hasty = Thumbnailer(ThumbnailSettings(timeout_ms=1))
    with pytest.raises(DecoderDied):
        await hasty.levels([Window("aac", b"", [b"x"])])
    await hasty.stop()
