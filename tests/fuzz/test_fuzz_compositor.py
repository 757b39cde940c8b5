"""Fuzz: RTP and RTCP of hostile participants, up to decoded pictures and the mix.

Invariant: whatever comes, nothing is raised, what is kept is bounded, and a picture that comes after it is shown.
FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.meetings.compositor import streams, wire
from headwater.meetings.compositor.intake import Intake, Meeting
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceView
from tests.unit.meetings.compositor.rtp_media import pictures, sounds

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300")) // 3

_VIDEO, _AUDIO = 1, 2
_SNAPSHOT = RoomSnapshot("T", (ParticipantView("a", "A", SourceView(True, True)),))


@cache
def _packets(codec: str) -> list[bytes]:
    return [packet for _, packets in pictures(codec, 12, width=160, height=90, gop=6) for packet in packets]


@cache
def _sounds() -> list[bytes]:
    return [packet for _, packet in sounds(10)]


_cut = st.tuples(st.integers(0, 11), st.integers(0, 1500), st.binary(max_size=8), st.integers(0, 1500))
_steps = st.lists(
    st.one_of(
        st.tuples(st.just("video"), _cut),
        st.tuples(st.just("audio"), _cut),
        st.tuples(st.just("rtcp"), st.binary(max_size=60).map(lambda data: (0, 0, data, 0))),
        st.tuples(st.just("tick"), _cut),
    ),
    max_size=40,
)


def _mutated(packets: list[bytes], cut: tuple[int, int, bytes, int]) -> bytes:
    which, at, junk, length = cut
    packet = packets[which % len(packets)]
    return packet[:at] + junk + packet[at + len(junk) : max(at + len(junk), len(packet) - length % 40)]


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.sampled_from(["H264", "VP8"]), _steps)
def test_a_hostile_participant(codec: str, steps: list[tuple[str, tuple[int, int, bytes, int]]]) -> None:
    meeting, now_s = Meeting(), 1000.0
    intake = Intake(meeting, lambda number: None)
    meeting.mixer.start(round((now_s - 0.2) * 48_000))
    _say(intake, wire.message(wire.Type.STATE, _SNAPSHOT))
    _say(intake, wire.message(wire.Type.TRACK, wire.Track(_VIDEO, "a", "camera", "video", codec, 90_000)))
    _say(intake, wire.message(wire.Type.TRACK, wire.Track(_AUDIO, "a", "camera", "audio", "opus", 48_000)))
    for kind, cut in steps:
        now_s += 0.01
        if kind == "video":
            _say(intake, wire.rtp(_VIDEO, round(now_s * 1e6), _mutated(_packets(codec), cut)))
        elif kind == "audio":
            _say(intake, wire.rtp(_AUDIO, round(now_s * 1e6), _mutated(_sounds(), cut)))
        elif kind == "rtcp":
            _say(intake, wire.rtcp(_AUDIO, cut[2]))
        else:
            intake.tick(now_s)
        meeting.mixer.take(512)
    for stream in meeting.videos.values():
        assert len(stream.frames) <= streams.MAX_FRAMES
        assert len(stream.units) <= streams.MAX_UNITS
    # A new source of the same participant is not harmed by what came before.
    for at_s, packets in pictures(codec, 3, width=160, height=90, ssrc=0xABCDEF):
        for packet in packets:
            _say(intake, wire.rtp(_VIDEO, round((now_s + at_s) * 1e6), packet))
    stream = meeting.videos["a", "camera"]
    assert len(stream.frames) == 3


def _say(intake: Intake, message: bytes) -> None:
    for kind, body in wire.Reader().feed(message):
        intake.message(kind, body)
