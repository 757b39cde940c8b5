"""The composition root's own words: what a recovered recording tells the control plane."""

from __future__ import annotations

from pathlib import Path

from headwater.app import summary
from headwater.media.cmaf import InitSegment
from headwater.pipeline.recorder.recording import RecordedSegment, RecordedTrack, Recording
from tests.unit.recorder.synthetic import AUDIO, VIDEO, init

WALL_MS = 1_800_000_000_000


def segment(init_version: int, msn: int, at_ms: int, ticks: int, *, gap: bool = False) -> RecordedSegment:
    extents = () if gap else ((4096, 100),)
    return RecordedSegment(msn, 0, ticks, init_version, False, WALL_MS + at_ms, extents)


def recorded(track_id: int, *segments: RecordedSegment) -> RecordedTrack:
    inits: dict[int, InitSegment] = {version: init(track_id, version) for version in (0, 1)}
    return RecordedTrack(track_id, inits, list(segments))


def test_a_recovered_recording_ends_where_its_longest_track_ends() -> None:
    """A pause between publishers is part of its time, and not of its seconds."""
    timescale = init(VIDEO).timescale, init(AUDIO).timescale
    video = [segment(0, 0, 0, 2 * timescale[0]), segment(1, 1, 7000, timescale[0])]
    audio = [segment(0, 0, 0, 2 * timescale[1]), segment(0, 1, 7000, 3 * timescale[1] // 2)]
    recording = Recording(
        Path("/data/recordings/s.mp4"), "s", 2, [recorded(VIDEO, *video), recorded(AUDIO, *audio)], True
    )
    found = summary(recording, Path("/data"))
    assert (found.path, found.end_ms - WALL_MS, found.seconds) == ("recordings/s.mp4", 8500, 3.5)


def test_gaps_are_no_media() -> None:
    timescale = init(VIDEO).timescale
    track = recorded(VIDEO, segment(0, 0, 0, timescale), segment(0, 1, 1000, 5 * timescale, gap=True))
    assert track.span() == (WALL_MS + 1000, 1.0)
    assert recorded(VIDEO).span() == (0, 0.0)
