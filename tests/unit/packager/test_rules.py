"""Whatever comes in, what goes out keeps the rules of RFC 8216bis and loses no sample."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.media.cmaf import Part, SegmentClosed, SegmentOpened
from headwater.pipeline.packager import PackagerSettings
from headwater.units import rescale
from tests.unit.packager.support import (
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

RATES = (
    Fraction(24000, 1001), Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50),
    Fraction(60000, 1001), Fraction(60), Fraction(12), Fraction(5), Fraction(2), Fraction(1),
)  # fmt: skip


def payloads(session: Session, track_id: int) -> list[bytes]:
    return [payload for _, payload in session.samples(track_id)]


def aligned(session: Session) -> None:
    """Segments of one MSN begin within one audio frame of each other."""
    starts: dict[int, list[Fraction]] = {}
    for opened in session.of(SegmentOpened):
        timescale = 90_000 if opened.track_id == 1 else 48_000
        starts.setdefault(opened.msn, []).append(Fraction(opened.tfdt, timescale))
    for msn, times in starts.items():
        assert max(times) - min(times) <= Fraction(1025, 48_000), msn


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.2f}")
@pytest.mark.parametrize("gop_ms", [250, 1000, 2000, 3300])
def test_constant_frame_rate(rate: Fraction, gop_ms: int) -> None:
    """Milliseconds in, exact frame durations out; parts are whole numbers of frames."""
    gop = max(1, round(gop_ms * rate / 1000))
    video = video_units(steady(int(12 * rate), rate), gop=gop)
    session = Session().configure(video_track(), audio_track())
    session.push(interleaved(video, audio_units(12_000))).finish()
    check_rules(session)
    aligned(session)
    assert payloads(session, 1) == [unit.payload for unit in video]
    assert payloads(session, 2) == [unit.payload for unit in audio_units(12_000)]
    nominal = 90_000 / rate
    late = [sample.duration for sample, _ in session.samples(1)][int(5 * rate) :]
    assert all(abs(duration - nominal) <= 1 for duration in late), (set(late), float(nominal))
    assert {sample.duration for sample, _ in session.samples(2)} == {1024}


@st.composite
def uneven_times(draw: st.DrawFn) -> list[int]:
    """Decode times with jitter, a pause or two, repeats and steps back."""
    count = draw(st.integers(20, 150))
    frame = draw(st.sampled_from([16, 20, 33, 40, 83, 200]))
    kinds = st.sampled_from(["regular"] * 12 + ["jitter", "pause", "repeat", "back", "drop"])
    now, times, pauses = draw(st.integers(0, 1 << 33)), [], 0
    for kind in draw(st.lists(kinds, min_size=count, max_size=count)):
        times.append(now)
        if kind == "regular":
            now += frame
        elif kind == "jitter":
            now += draw(st.integers(1, 2 * frame))
        elif kind == "pause":
            now += draw(st.integers(frame, 2000)) if pauses < 2 else frame
            pauses += 1
        elif kind == "back":
            now -= draw(st.integers(0, 400))
        elif kind == "drop":
            now += 2 * frame
    return times


@settings(max_examples=150, deadline=None)
@given(uneven_times(), st.integers(1, 90), st.sampled_from([200, 333, 500, 1000]))
def test_any_frame_times(times: list[int], gop: int, part_target_ms: int) -> None:
    """Contiguous decode times, part and segment rules, every sample once and in order."""
    video = video_units(times, gop=gop)
    session = Session(PackagerSettings(part_target_ms=part_target_ms)).configure(video_track())
    for unit in video:
        session.add(session.packager.push(unit, session.now_ms))
        session.now_ms += 30
        session.add(session.packager.tick(session.now_ms))
    session.finish()
    check_rules(session)
    assert payloads(session, 1) == [unit.payload for unit in video]


@settings(max_examples=60, deadline=None)
@given(
    rate=st.sampled_from(RATES[:9]),
    gop=st.integers(1, 120),
    lag_ms=st.integers(-400, 400),
    jitter=st.lists(st.integers(-8, 8), min_size=40, max_size=40),
    part_target_ms=st.sampled_from([200, 333, 1000]),
)
def test_any_interleaving(rate: Fraction, gop: int, lag_ms: int, jitter: list[int], part_target_ms: int) -> None:
    """Audio may arrive before or after the video it belongs to; segments stay aligned."""
    video = video_units(steady(int(7 * rate), rate, 1000), gop=gop)
    audio = audio_units(7000, start_ms=1000)
    arrival = [(unit.dts, unit) for unit in video]
    arrival += [(unit.dts + lag_ms + jitter[i % 40], unit) for i, unit in enumerate(audio)]
    session = Session(PackagerSettings(part_target_ms=part_target_ms)).configure(video_track(), audio_track())
    for at_ms, unit in sorted(arrival, key=lambda pair: pair[0]):
        session.now_ms = max(session.now_ms, NOW + at_ms - 1000)
        session.add(session.packager.push(unit, session.now_ms))
    session.finish()
    check_rules(session)
    assert payloads(session, 1) == [unit.payload for unit in video]
    audio_out = payloads(session, 2)
    assert audio_out == [unit.payload for unit in audio if unit.payload in set(audio_out)]
    assert audio_out[-1] == audio[-1].payload
    closed = {track: len(session.of(SegmentClosed, track)) for track in (1, 2)}
    assert abs(closed[1] - closed[2]) <= 1


@pytest.mark.parametrize("rate", RATES, ids=lambda rate: f"{float(rate):.2f}")
def test_stated_frame_rate_is_exact_at_once(rate: Fraction) -> None:
    """Where the bitstream tells the rate, no frame is longer than it says."""
    session = Session().configure(video_track(rate=rate))
    session.push(video_units(steady(int(6 * rate), rate), gop=int(max(1, rate)))).finish()
    check_rules(session)
    assert all(abs(sample.duration - 90_000 / rate) <= 1 for sample, _ in session.samples(1))


@pytest.mark.parametrize("gop_ms", [100, 250, 500, 1000, 2000, 4000, 10_000])
def test_gop_lengths(gop_ms: int) -> None:
    """The first playlist comes after one GOP, at least 0.5 s; segments are whole GOPs."""
    units = video_units(steady(30 * 22, 30), gop=gop_ms * 30 // 1000)
    session = Session().configure(video_track())
    session.push(units).finish()
    check_rules(session)
    first = session.of(SegmentClosed)[0]
    gop = gop_ms * 30 // 1000 * 3000
    assert first.duration == gop * -(-45_000 // gop)
    opened = session.of(SegmentOpened)
    assert session.playable.target_duration_s == max(2, gop_ms // 1000)
    for segment in opened:
        assert next(part for part in session.of(Part) if part.msn == segment.msn).independent


def test_all_intra() -> None:
    """Every picture a sync sample: parts stay as long as they should."""
    session = Session().configure(video_track())
    session.push(video_units(steady(300, 30), gop=1)).finish()
    check_rules(session)
    durations = [part.duration for part in session.of(Part)]
    assert durations.count(30_000) >= len(durations) - 2


def test_short_gops_make_independent_parts() -> None:
    """GOPs shorter than parts: each part starts with a sync sample."""
    session = Session().configure(video_track())
    session.push(video_units(steady(300, 30), gop=8)).finish()
    check_rules(session)
    assert all(part.independent for part in session.of(Part))


def test_part_closes_with_its_last_frame() -> None:
    """Nothing is waited for: the tenth frame of 33 ms brings the part out."""
    session = Session().configure(video_track())
    units = video_units(steady(200, 30), gop=60)
    session.push(units[:100])
    before = len(session.of(Part))
    for number, unit in enumerate(units[100:110]):
        out = session.add(session.packager.push(unit, session.now_ms + number))
        assert (len([o for o in out if isinstance(o, Part)]) == 1) == (number == 9)
    assert len(session.of(Part)) == before + 1


@pytest.mark.parametrize("rate", [Fraction(30), Fraction(25), Fraction(60_000, 1001)])
@pytest.mark.parametrize("gop_s", [1, 2, 5])
def test_nothing_comes_while_it_says_that_nothing_can(rate: Fraction, gop_s: int) -> None:
    """Ingest lets media wait for as long; once the GOP is known, nothing that players wait for may wait with it."""
    session = Session().configure(video_track(), audio_track())
    gop = round(rate * gop_s)
    units = interleaved(video_units(steady(gop * 5, rate), gop=gop), audio_units(5_000 * gop_s))
    start = session.now_ms
    quiet_until, quiet_ms = 0.0, 0.0
    for unit in units:
        session.now_ms = start + unit.dts
        came = session.add(session.packager.push(unit, session.now_ms))
        known = unit.dts > 2_000 * gop_s + 1_000
        assert not (came and known) or session.now_ms >= quiet_until - 2, "beyond what time stamps in whole ms explain"
        if session.now_ms >= quiet_until:
            patience_ms = session.packager.patience_ms()
            quiet_until = session.now_ms + patience_ms
            quiet_ms += patience_ms if known else 0
    assert quiet_ms > 1.5 * 1_000 * gop_s, "or ingest would read every message by itself"


def test_missing_sync_samples_cut_anyway() -> None:
    """No segment exceeds TARGETDURATION; the owner is told the GOP's length."""
    times = steady(30 * 20, 30)
    units = video_units(times, gop=10_000)
    for index in (0, 60, 120):
        units[index].sync = True
    session = Session().configure(video_track()).push(units).finish()
    check_rules(session)
    assert session.playable.target_duration_s == 2
    assert "ERR_GOP_OUT_OF_RANGE" in session.warnings()


def test_endless_gop_starts_after_max_gop() -> None:
    session = Session(PackagerSettings(max_gop_ms=4000)).configure(video_track())
    session.push(video_units(steady(30 * 20, 30), gop=10_000)).finish()
    check_rules(session)
    assert session.playable.target_duration_s == 4


def test_audio_only() -> None:
    """Cut every segment target, on frame boundaries."""
    session = Session().configure(audio_track())
    session.push(audio_units(15_000)).finish()
    check_rules(session)
    durations = [closed.duration for closed in session.of(SegmentClosed)]
    assert all(abs(duration - 96_000) <= 1024 for duration in durations[1:-1])
    assert payloads(session, 2) == [unit.payload for unit in audio_units(15_000)]


def test_audio_before_the_first_picture_is_trimmed() -> None:
    video = video_units(steady(200, 30, 800), gop=30)
    session = Session().configure(video_track(), audio_track())
    session.push(interleaved(audio_units(6000), video)).finish()
    check_rules(session)
    first_video, first_audio = session.of(SegmentOpened, 1)[0], session.of(SegmentOpened, 2)[0]
    assert first_video.tfdt == 0
    assert first_audio.tfdt < 1024
    assert "AUDIO_OVERLAP" not in session.warnings()


def test_pictures_before_the_first_sync_sample_are_dropped() -> None:
    units = video_units(steady(200, 30), gop=30)[10:]
    session = Session().configure(video_track()).push(units).finish()
    check_rules(session)
    assert payloads(session, 1)[0] == b"v30"


def test_reordered_pictures_keep_their_order() -> None:
    """B-frames: presentation times are the source's, with negative offsets instead of an edit list."""
    offsets = (67, 167, 67, 0, 33)  # I B-pyramid, as x264 writes it into FLV
    video = video_units(steady(300, 30), gop=30, offsets=offsets)
    session = Session().configure(video_track()).push(video).finish()
    check_rules(session)
    samples = [sample for sample, _ in session.samples(1)]
    assert samples[0].composition_offset == 0
    assert min(sample.composition_offset for sample in samples) < 0
    for sample, unit in zip(samples, video, strict=True):
        wanted = rescale(unit.dts + unit.composition_offset - 67, 1000, 90_000)
        assert abs(sample.pts - wanted) <= 180


def test_program_date_time_follows_the_receive_clock() -> None:
    """Steady dates: by media time, moving by at most 1 % where the publisher is early or late."""
    session = Session().configure(video_track())
    for unit in video_units(steady(30 * 30, 30), gop=60):
        session.now_ms = NOW + int(unit.dts * 1.004) + (unit.dts % 7)
        session.add(session.packager.push(unit, session.now_ms))
    session.finish()
    check_rules(session)
    dates = [opened.program_date_time_ms for opened in session.of(SegmentOpened)]
    assert all(abs(later - earlier - 2000) <= 21 for earlier, later in pairwise(dates[1:]))
    assert abs(dates[-1] - (NOW + int((len(dates) - 1) * 2000 * 1.004))) < 60
