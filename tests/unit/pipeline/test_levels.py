"""Loudness once a second: who is asked, what is decoded of it, and what becomes of sound that kills the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from headwater.errors import LimitReached
from headwater.media.cmaf import Part
from headwater.media.track import AudioConfig, Codec
from headwater.pipeline.levels import BATCH, DEATHS, MOST_BYTES, MOST_FRAMES, Levels, window_of
from headwater.pipeline.origin import Origin, OriginSettings
from headwater.pipeline.origin.thumbnail import DecoderDied
from headwater.pipeline.sound import Level, Window
from headwater.protocols.isobmff.fragment import AUDIO_ROW, build_fragment
from tests.unit.origin.feed import AUDIO, Feed, Listing

AAC = AudioConfig(Codec.AAC, b"asc", 48000, 2, 1024, "mp4a.40.2")
LEVEL = Level(-10.0, -20.0)


def part(*frames: bytes) -> Part:
    table = [number for frame in frames for number in (1024, len(frame))]
    data = build_fragment(1, 2, 1, 0, AUDIO_ROW, table, frames)
    return Part(2, 1, 0, 0, 1024 * len(frames), True, len(data), data)


class Session:
    def __init__(self, name: str, frame: bytes = b"fine") -> None:
        self.id = name
        self.about = {"session_id": name}
        self.frame = frame
        self.levels: list[Level] = []

    def window(self) -> Window | None:
        return Window("aac", b"", [self.frame]) if self.frame else None

    def heard(self, level: Level) -> None:
        self.levels.append(level)


class Decoder:
    """One that dies of `deadly` sound and does not understand `noise`."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def __call__(self, windows: Sequence[Window]) -> list[Level | None]:
        self.asked.append(len(windows))
        if any(window.frames == [b"deadly"] for window in windows):
            raise DecoderDied("it died")
        return [None if window.frames == [b"noise"] else LEVEL for window in windows]


async def test_all_together_and_each_its_own() -> None:
    sessions = [Session(str(number)) for number in range(BATCH + 5)]
    sessions[1].frame, sessions[2].frame = b"", b"noise"
    decoder = Decoder()
    await Levels(decoder, lambda: sessions).measure()
    assert decoder.asked == [BATCH, 4]
    assert [bool(session.levels) for session in sessions[:4]] == [True, False, False, True]
    assert sessions[-1].levels == [LEVEL]


async def test_what_kills_the_decoder_is_found_out_and_left_alone() -> None:
    sessions = [Session("a"), Session("b", b"deadly"), Session("c")]
    decoder = Decoder()
    levels = Levels(decoder, lambda: sessions)
    for _ in range(DEATHS + 2):
        await levels.measure()
    assert [len(session.levels) for session in sessions] == [DEATHS + 2, 0, DEATHS + 2]
    assert decoder.asked == [3, 1, 1, 1] * DEATHS + [2, 2]
    sessions[1] = Session("d", b"fine")
    await levels.measure()
    assert sessions[1].levels and not levels._deaths


async def test_no_room_is_said_to_who_asks() -> None:
    async def full(windows: Sequence[Window]) -> list[Level | None]:
        raise LimitReached("waiting_limit", "too many")

    with pytest.raises(LimitReached):
        await Levels(full, lambda: [Session("a")]).measure()


class TestWindow:
    def test_it_is_where_most_bytes_are(self) -> None:
        quiet = [b"%02d" % number for number in range(10)]
        loud = [b"loud %d" % number for number in range(3)]
        second = part(*quiet[:5], *loud, *quiet[5:])
        window = window_of(AAC, [part(*quiet), second, part(*quiet)], whole=False)
        assert window == Window("aac", b"asc", [b"04", *loud])

    def test_what_is_short_is_taken_as_it_is(self) -> None:
        for count in (1, 2, 4):
            window = window_of(AAC, [part(*[b"x"] * count)], whole=False)
            assert window is not None and len(window.frames) == count

    def test_everything_has_bounds(self) -> None:
        window = window_of(AAC, [part(*[b"x"] * 100), part(*[b"y"] * 100)], whole=True)
        assert window is not None and window.frames == [b"x"] * (MOST_FRAMES - 100) + [b"y"] * 100
        assert window_of(AAC, [part(bytes(MOST_BYTES), b"x")], whole=True) is None
        assert window_of(AAC, [part(b"x", bytes(MOST_BYTES), b"x")], whole=False) is None


async def test_sound_since_the_last_time(tmp_path: Path) -> None:
    """Each part once, across segments, the newest where there are too many; nothing where it has left memory."""
    feed = Feed(Origin(Listing(), OriginSettings(), data_dir=tmp_path))
    sound = feed.program.sound_since
    assert sound(None, 8) == (AUDIO, [])
    feed.segments(1)
    track, parts = sound(None, 8) or (None, [])
    assert track is AUDIO and len(parts) == 4
    feed.segments(1)
    _, newer = sound(parts[-1], 8) or (None, [])
    assert len(newer) == 4 and not set(map(id, newer)) & set(map(id, parts))
    _, newest = sound(None, 3) or (None, [])
    assert newest == newer[-3:]
    newer[-2].data = None
    assert sound(None, 8) == (AUDIO, newer[-1:])
    assert sound(newer[-1], 8) == (AUDIO, [])
    silent = Feed(Origin(Listing(), OriginSettings(), data_dir=tmp_path), audio=False)
    assert silent.program.sound_since(None, 8) is None
