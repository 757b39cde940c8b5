"""What a compositor and its parent say to each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.meetings.compositor import wire
from headwater.meetings.compositor.settings import CompositorSettings, Job, job
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceView

SNAPSHOT = RoomSnapshot("Títle", (ParticipantView("a", "Ада", SourceView(True, False)),), "a")
MESSAGES = [
    (wire.Type.JOB, wire.message(wire.Type.JOB, job(CompositorSettings(), "rtmp://h/app/key", 640, 360))),
    (wire.Type.STATE, wire.message(wire.Type.STATE, SNAPSHOT)),
    (wire.Type.RTP, wire.rtp(7, 123_456_789, b"packet")),
    (wire.Type.RTCP, wire.rtcp(7, b"compound")),
    (wire.Type.KEYFRAME, wire.keyframe(65_535)),
]


@given(st.lists(st.integers(1, 200), max_size=20))
def test_messages_cut_anywhere_read_back(cuts: list[int]) -> None:
    data, reader, found, at = b"".join(message for _, message in MESSAGES), wire.Reader(), [], 0
    for size in (*cuts, len(data)):
        found += reader.feed(data[at : at + size])
        at += size
    assert [kind for kind, _ in found] == [kind for kind, _ in MESSAGES]
    assert wire.read(found[0][1], Job).url == "rtmp://h/app/key"
    assert wire.read(found[1][1], RoomSnapshot) == SNAPSHOT
    assert wire.RTP_HEAD.unpack_from(found[2][1]) == (7, 123_456_789)
    assert found[2][1][wire.RTP_HEAD.size :] == b"packet"
    assert found[3][1] == b"\0\7compound"
    assert found[4][1] == b"\xff\xff"


def test_a_message_that_is_too_long_is_refused() -> None:
    with pytest.raises(ProtocolError):
        wire.Reader().feed(b"\1\x7f\xff\xff\xff")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"url": 3}', b"\xff"])
def test_a_body_that_is_something_else_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        wire.read(body, Job)


def test_the_bit_rate_follows_the_size() -> None:
    settings = CompositorSettings(video_kbps=2500)
    rates = [job(settings, "", *size).video_kbps for size in ((320, 180), (640, 360), (1280, 720), (1920, 1080))]
    assert rates == sorted(rates)
    assert rates[2] == 2500
    assert rates[0] >= 200
