"""A publisher gone mad: any order of anything. Nothing raises, and the rules of the outputs hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.media.access_unit import AccessUnit
from headwater.media.cmaf import Playable
from headwater.pipeline.packager import PackagerSettings
from tests.unit.packager.support import (
    ASC_44100,
    AVCC_SMALL,
    Session,
    audio_track,
    check_rules,
    video_track,
)

# A run of units: track, how many, milliseconds from one to the next, jump in front of it, every which is a sync sample.
runs = st.tuples(
    st.sampled_from([1, 1, 2, 2, 3, 9]),
    st.integers(1, 60),
    st.sampled_from([0, 1, 16, 21, 33, 40, 100, 700]),
    st.sampled_from([0, 0, 0, 5, 50, 500, 2900, -5, -50, -450, -600, 4000, -4000, 10**7, -(10**7), 1 << 40]),
    st.integers(1, 50),
)
steps = st.one_of(
    runs,
    runs,
    runs,
    st.sampled_from(["discontinuity", "small picture", "44.1 kHz", "big picture", "48 kHz", "wait", "second video"]),
)


def apply(session: Session, step: object, times: dict[int, int]) -> None:
    if isinstance(step, tuple):
        track, count, delta, jump, gop = step
        times[track] = max(0, times.get(track, 1 << 20) + jump)
        for number in range(count):
            unit = AccessUnit(track, times[track], number % 3 * 33, number % gop == 0, b"%d" % number)
            session.add(session.packager.push(unit, session.now_ms))
            times[track] += delta
            session.now_ms += delta // 2
        session.add(session.packager.tick(session.now_ms))
    elif step == "discontinuity":
        session.discontinuity(700).configure(video_track(), audio_track())
    elif step == "wait":
        session.now_ms += 5000
        session.add(session.packager.tick(session.now_ms))
    else:
        tracks = {
            "small picture": video_track(record=AVCC_SMALL),
            "big picture": video_track(),
            "second video": video_track(track_id=3),
            "44.1 kHz": audio_track(record=ASC_44100),
            "48 kHz": audio_track(),
        }
        session.configure(tracks[str(step)])


@settings(max_examples=200, deadline=None, report_multiple_bugs=False, derandomize=True)
@given(st.lists(steps, max_size=40), st.sampled_from([(), (1,), (2,), (1, 2), (2, 1)]), st.integers(200, 1000))
def test_anything(several: list[object], first: tuple[int, ...], part_target_ms: int) -> None:
    session = Session(PackagerSettings(part_target_ms=part_target_ms))
    session.configure(*(video_track() if track == 1 else audio_track() for track in first))
    times: dict[int, int] = {}
    for step in several:
        apply(session, step, times)
    session.finish()
    if session.of(Playable):
        check_rules(session, holes=True, video_holes=True)
    else:
        assert not [output for output in session.outputs if type(output).__name__ in ("Part", "SegmentClosed")]
