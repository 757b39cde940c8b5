"""Fuzz: a room whose publisher and receivers send hostile packets.

Invariant: whatever authenticated peers send, nothing is raised into their handlers, what is sent on is RTP under the
receiver's own source and payload type, and what is kept stays below its limits. FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.meetings.rooms.forwarding.downstream import RESENT_PER_S
from headwater.meetings.rooms.forwarding.gaps import MAX_MISSING
from headwater.protocols.rtp import rtcp
from tests.unit.meetings.rooms.support import KEY, packet
from tests.unit.meetings.rooms.test_open_room import Meeting

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))

_number = st.integers(0, 65_535)
_payload = st.sampled_from([KEY, b"", b"\x7c\x85\x88", b"\x78\x00\x02\x67"]) | st.binary(max_size=60)
_good = st.builds(
    packet,
    _number,
    st.integers(0, 2**32 - 1),
    ssrc=st.sampled_from([2001, 7, 0]),
    payload=_payload,
    level=st.none() | st.integers(0, 255),
)
_header = st.builds(
    lambda first, rest, body: bytes((first, 102)) + rest + body,
    st.integers(0x80, 0xBF),
    st.binary(min_size=10, max_size=10),
    st.binary(max_size=60),
)
_packet = _good | _header | st.binary(max_size=40)
_ssrc = st.sampled_from([4002, 3002, 2001, 0])
_compound = (
    st.builds(lambda media, numbers: rtcp.build(rtcp.Nack(1, media, tuple(numbers))), _ssrc, st.lists(_number))
    | st.builds(lambda media: rtcp.build(rtcp.Pli(1, media)), _ssrc)
    | st.builds(lambda media: rtcp.build(rtcp.Fir(1, ((media, 1),))), _ssrc)
    | st.builds(lambda rate: rtcp.build(rtcp.Remb(1, rate, ())), st.integers(0, 2**40))
    | st.builds(
        lambda ssrc, ntp, at: rtcp.build(rtcp.SenderReport(ssrc, ntp, at, 1, 1)),
        _ssrc,
        st.integers(0, 2**64 - 1),
        st.integers(0, 2**32 - 1),
    )
    | st.binary(max_size=60)
)
_step = st.one_of(
    st.tuples(st.sampled_from(["audio", "video"]), _packet),
    st.tuples(st.sampled_from(["publisher", "receiver"]), _compound),
    st.tuples(st.sampled_from(["time", "mute", "unmute"]), st.just(b"")),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_step, max_size=60))
def test_hostile_peers_break_nothing(steps: list[tuple[str, bytes]]) -> None:
    meeting = Meeting()
    anna, bert = meeting.publish("anna"), meeting.receive("bert", "anna")
    room = meeting.open.room
    for step, data in steps:
        match step:
            case "audio" | "video":
                anna.receive(step, data)
            case "publisher":
                anna.handler.rtcp(anna, data)
            case "receiver":
                bert.handler.rtcp(bert, data)
            case "time":
                meeting.pass_time(0.3)
            case _:
                room.set_mute(room.participants["anna"], audio=None, video=step == "unmute")
                meeting.open.sync()
    meeting.pass_time(1.1)
    assert {(each.ssrc, each.payload_type) for each in [*bert.sent, *bert.resent]} <= {(4002, 102), (3002, 111)}
    assert len(bert.resent) <= RESENT_PER_S + len(steps)
    for stream in meeting.open.streams():
        assert stream.publication is not None
        for track in stream.publication.tracks.values():
            assert len(track.gaps._missing) <= MAX_MISSING
    for compound in anna.compounds + bert.compounds:
        assert rtcp.parse(compound)
