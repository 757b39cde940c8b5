"""Reconnects, encoders that start anew, clocks that wrap: the session goes on, audio and video stay together."""

from __future__ import annotations

from itertools import pairwise

import pytest

from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import InitSegment, Part, Playable, SegmentClosed, SegmentOpened
from headwater.pipeline.packager import Packager, PackagerSettings
from headwater.protocols.isobmff.reader import read_fragment
from tests.unit.packager.support import (
    ASC_44100,
    AVCC_SMALL,
    NOW,
    Session,
    audio_track,
    audio_units,
    check_rules,
    interleaved,
    steady,
    video_track,
    video_units,
)


def both(duration_ms: int, start_ms: int = 0, *, audio_ms: int = 0, gop: int = 30, tag: str = "") -> list[AccessUnit]:
    """Video and audio that belong together; audio starts `audio_ms` later."""
    video = video_units(steady(duration_ms * 30 // 1000, 30, start_ms), gop=gop, tag=f"{tag}v")
    audio = audio_units(duration_ms - audio_ms, start_ms=start_ms + audio_ms, tag=f"{tag}a")
    return interleaved(video, audio)


def offset_ms(session: Session, unit_video: bytes, unit_audio: bytes) -> float:
    """By how much an audio unit is shown after a picture."""
    video = next(sample for sample, payload in session.samples(1) if payload == unit_video)
    audio = next(sample for sample, payload in session.samples(2) if payload == unit_audio)
    return audio.pts / 48 - video.pts / 90


def test_hundred_reconnects_keep_audio_and_video_together() -> None:
    """Each publisher starts anywhere and ends anywhere; the offset it has is the offset that viewers get."""
    session = Session()
    for number in range(100):
        start = number * 7_654_321 % 4_000_000_000
        session.configure(video_track(), audio_track())
        session.push(both(1300 + number * 37 % 900, start, audio_ms=number % 20, tag=f"{number}-"))
        session.discontinuity(away_ms=1234)
    session.finish()
    check_rules(session)
    video = {payload: sample.pts / 90 for sample, payload in session.samples(1)}
    audio = {payload: sample.pts / 48 for sample, payload in session.samples(2)}
    for number in range(100):
        wanted = number % 20 + 20 * 1024 / 48 - 15 * 1000 / 30
        assert abs(audio[b"%d-a20" % number] - video[b"%d-v15" % number] - wanted) <= 2
    for track_id in (1, 2):
        parts = session.of(Part, track_id)
        assert all(later.tfdt >= earlier.tfdt + earlier.duration for earlier, later in pairwise(parts))
    assert len(session.of(InitSegment)) == 2, "the same configuration makes no new init segment"


def test_after_a_reconnect_all_tracks_begin_at_the_latest_end() -> None:
    """A recording has no hole; both segments stand on a discontinuity with the same MSN."""
    session = Session().configure(video_track(), audio_track())
    session.push(both(3000)).discontinuity(away_ms=5000)
    ends = {track: (lambda part: part.tfdt + part.duration)(session.of(Part, track)[-1]) for track in (1, 2)}
    before = len(session.outputs)
    session.configure(video_track(), audio_track()).push(both(3000, 50_000, tag="x")).finish()
    check_rules(session)
    opened = [output for output in session.outputs[before:] if isinstance(output, SegmentOpened)][:2]
    assert {output.track_id for output in opened} == {1, 2}
    assert all(output.discontinuity for output in opened)
    assert len({output.msn for output in opened}) == 1
    base_ms = max(ends[1] / 90, ends[2] / 48)
    for output in opened:
        assert 0 <= output.tfdt / (90 if output.track_id == 1 else 48) - base_ms < 22
        assert output.program_date_time_ms >= NOW + 3000 + 5000 - 60


def test_discontinuity_within_the_probe() -> None:
    """A publisher that leaves after ten frames has still been seen."""
    session = Session().configure(video_track(), audio_track())
    session.push(both(300)).discontinuity()
    session.configure(video_track(), audio_track()).push(both(3000)).finish()
    check_rules(session)
    assert len(session.samples(1)) == 9 + 90


@pytest.mark.parametrize("wrap_bits", [24, 32])
def test_wrap_of_the_source_clock(wrap_bits: int) -> None:
    """Ingest unwraps; where it could not, the hole is closed and nothing is cut."""
    units = both(8000, (1 << wrap_bits) - 3000)
    for unit in units:
        unit.dts &= (1 << wrap_bits) - 1
    session = Session().configure(video_track(), audio_track())
    for number, unit in enumerate(units):
        session.now_ms = NOW + number * 13
        session.add(session.packager.push(unit, session.now_ms))
    session.finish()
    check_rules(session)
    assert len(session.samples(1)) == 240
    assert len(session.samples(2)) >= len(audio_units(8000)) - 2
    assert not any(opened.discontinuity for opened in session.of(SegmentOpened))
    assert abs(offset_ms(session, b"v210", b"a300") - (300 * 1024 / 48 - 7000)) <= 3


@pytest.mark.parametrize("jump_ms", [-3_600_000, -5000, 10_000, 3_600_000 * 30])
@pytest.mark.parametrize("audio_first", [False, True])
def test_encoder_starts_anew_without_reconnecting(jump_ms: int, audio_first: bool) -> None:
    """Both clocks jump, one after the other: the hole is closed, the offset stays."""
    before, after = both(4000, 90_000_000), both(4000, 90_004_000 + jump_ms, tag="x")
    after.sort(key=lambda unit: (unit.dts, (unit.track_id == 1) == audio_first))
    session = Session().configure(video_track(), audio_track())
    for number, unit in enumerate(before + after):
        session.now_ms = NOW + number * 13
        session.add(session.packager.push(unit, session.now_ms))
    session.finish()
    check_rules(session, holes=True)
    assert len(session.samples(1)) == 240
    assert abs(offset_ms(session, b"xv90", b"xa140") - (140 * 1024 / 48 - 3000)) <= 25
    assert session.warnings() & {"TIMESTAMP_JUMP", "TIMESTAMP_GAP"}


def test_one_wild_time_stamp() -> None:
    """A single frame ten hours ahead changes nothing for those behind it."""
    units = both(6000)
    wild = next(unit for unit in units if unit.payload == b"v77")
    wild.dts += 36_000_000
    session = Session().configure(video_track(), audio_track())
    for number, unit in enumerate(units):
        session.now_ms = NOW + number * 13
        session.add(session.packager.push(unit, session.now_ms))
    session.finish()
    check_rules(session)
    assert abs(offset_ms(session, b"v150", b"a234") - (234 * 1024 / 48 - 5000)) <= 3


def test_video_pauses_while_audio_goes_on() -> None:
    """Dropped pictures are a true gap, however long: audio stays where it belongs."""
    units = [unit for unit in both(16_000) if unit.track_id == 2 or not 5000 <= unit.dts < 9500]
    session = Session().configure(video_track(), audio_track()).push(units).finish()
    check_rules(session)
    assert abs(offset_ms(session, b"v400", b"a625") - (625 * 1024 / 48 - 400 * 1000 / 30)) <= 3


def test_audio_pauses_while_video_goes_on() -> None:
    """Segments without audio are gaps; what comes later is where it belongs."""
    units = [unit for unit in both(20_000) if unit.track_id == 1 or not 5000 <= unit.dts < 12_000]
    session = Session().configure(video_track(), audio_track()).push(units).finish()
    check_rules(session, holes=True)
    assert abs(offset_ms(session, b"v400", b"a625") - (625 * 1024 / 48 - 400 * 1000 / 30)) <= 3
    with_parts = {part.msn for part in session.of(Part, 2)}
    assert {opened.msn for opened in session.of(SegmentOpened, 2)} - with_parts


def test_video_ends_and_audio_goes_on() -> None:
    """Gaps of video are made as time goes by, so that both playlists go on."""
    units = [unit for unit in both(20_000) if unit.track_id == 2 or unit.dts < 6000]
    session = Session().configure(video_track(), audio_track()).push(units).finish()
    check_rules(session)
    closed = {track: len(session.of(SegmentClosed, track)) for track in (1, 2)}
    assert closed[2] >= 7
    assert closed[1] >= closed[2] - 2


def test_small_audio_gap_is_kept_within_40_ms() -> None:
    """Three frames lost: what follows is where its time stamps say."""
    units = [unit for unit in both(8000) if unit.payload not in (b"a100", b"a101", b"a102")]
    session = Session().configure(video_track(), audio_track()).push(units).finish()
    check_rules(session, holes=True)
    assert abs(offset_ms(session, b"v150", b"a234") - (234 * 1024 / 48 - 5000)) <= 3
    assert "AUDIO_GAP" in session.warnings()


def test_audio_that_runs_slow_is_kept_within_40_ms() -> None:
    """A sound card at 47,976 Hz instead of 48,000 drifts 500 ppm: the time line follows."""
    audio = [AccessUnit(2, round(i * 1024 * 1000 / 47_976), 0, True, b"a%d" % i) for i in range(5600)]
    units = interleaved(video_units(steady(3600, 30), gop=60), audio)
    session = Session().configure(video_track(), audio_track()).push(units).finish()
    check_rules(session)
    for sample, payload in session.samples(2)[::50]:
        assert abs(sample.pts / 48 - int(payload[1:]) * 1024 * 1000 / 47_976) < 15


def test_new_parameters_make_a_new_init_segment() -> None:
    """At the next sync sample, in all tracks behind a discontinuity; the same bytes again change nothing."""
    session = Session().configure(video_track(), audio_track()).push(both(3000))
    session.configure(video_track(), audio_track())
    session.push(both(3000, 3000, tag="x")).configure(video_track(record=AVCC_SMALL))
    session.push(both(4000, 6000, tag="y")).finish()
    check_rules(session)
    versions = [init.version for init in session.of(InitSegment, 1)]
    assert versions == [0, 1]
    for track_id in (1, 2):
        assert sum(opened.discontinuity for opened in session.of(SegmentOpened, track_id)) == 1
    changed = next(opened for opened in session.of(SegmentOpened, 1) if opened.discontinuity)
    assert changed.init_version == 1
    fragment = read_fragment(next(part.data for part in session.of(Part, 1) if part.msn == changed.msn))
    assert fragment.description_index == 2


def test_new_audio_parameters_wait_for_the_picture() -> None:
    session = Session().configure(video_track(), audio_track()).push(both(3000))
    session.configure(audio_track(record=ASC_44100))
    video = video_units(steady(120, 30, 3000), gop=30, tag="xv")
    session.push(interleaved(video, audio_units(4000, start_ms=3000, rate=44_100, tag="xa"))).finish()
    check_rules(session, holes=True)
    inits = session.of(InitSegment, 2)
    assert [init.version for init in inits] == [0, 1]
    assert {init.timescale for init in inits} == {48_000}
    changed = next(opened for opened in session.of(SegmentOpened, 2) if opened.discontinuity)
    assert changed.init_version == 1
    assert abs(offset_ms(session, b"xv90", b"xa129") - (129 * 1024 / 44.1 - 3000)) <= 3


def test_late_audio_joins() -> None:
    """A track that is announced after the first playlist becomes a further rendition, with the MSN of the others."""
    session = Session().configure(video_track())
    units = both(12_000)
    session.push([unit for unit in units if unit.track_id == 1 and unit.dts < 6000])
    session.configure(audio_track())
    session.push([unit for unit in units if unit.dts >= 6000]).finish()
    check_rules(session)
    assert session.playable.track_ids == (1,)
    first = session.of(SegmentOpened, 2)[0]
    assert first.msn in {opened.msn for opened in session.of(SegmentOpened, 1)}
    assert abs(offset_ms(session, b"v300", b"a480") - (480 * 1024 / 48 - 10_000)) <= 3


def test_late_video_takes_the_lead() -> None:
    session = Session().configure(audio_track())
    units = both(12_000)
    session.push([unit for unit in units if unit.track_id == 2 and unit.dts < 5000])
    session.configure(video_track())
    session.push([unit for unit in units if unit.dts >= 5000]).finish()
    check_rules(session, holes=True)
    first = session.of(SegmentOpened, 1)[0]
    assert first.msn > session.of(SegmentOpened, 2)[0].msn
    assert next(part for part in session.of(Part, 1)).independent
    assert abs(offset_ms(session, b"v300", b"a480") - (480 * 1024 / 48 - 10_000)) <= 3


def test_announced_audio_that_never_comes_holds_the_playlist_for_a_second() -> None:
    session = Session(PackagerSettings()).configure(video_track(), audio_track())
    session.push(video_units(steady(300, 30), gop=30)).finish()
    check_rules(session)
    assert session.playable.track_ids == (1,)
    at = next(now for output, now in zip(session.outputs, session.times, strict=True) if isinstance(output, Playable))
    first = next(
        now for output, now in zip(session.outputs, session.times, strict=True) if isinstance(output, SegmentClosed)
    )
    assert 900 <= at - first <= 1500


def test_nothing_came() -> None:
    packager = Packager(PackagerSettings(), first_msn=0, now_ms=NOW)
    packager.configure(video_track())
    assert not packager.tick(NOW)
    assert not packager.discontinuity(NOW)
    assert not packager.finish(NOW)
