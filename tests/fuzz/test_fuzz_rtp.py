"""Fuzz: RTP and RTCP of an authenticated publisher or viewer, up to the publication.

Invariant: whatever comes, nothing but ProtocolError or UnsupportedCodec leaves the readers; a track is configured
before a unit of it is pushed; buffers stay below their limits; and a whole key frame afterwards still gets through.
FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.pipeline.ingest.rtp_source import RtpSource
from headwater.pipeline.ingest.rtp_tracks import AudioTrack, VideoTrack
from headwater.protocols.rtp import h264, opus, rtcp
from headwater.protocols.rtp.jitter import MAX_HELD, MAX_WAIT_MS
from headwater.protocols.rtp.packet import Packet, build
from headwater.protocols.rtp.timeline import Timeline
from headwater.protocols.rtp.unit import Unit
from tests.unit.ingest.gates import Collected
from tests.unit.ingest.webrtc_peers import PPS, SPS, Camera

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

_payloads = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([SPS, PPS, b"\x65\x80key", b"\x7c\x85abc", b"\x7c\x45abc", b"\x78\0\2ab", b"\xfcsound", b"\x68"]),
    st.binary(max_size=20).map(lambda rest: SPS[:4] + rest),
)
_packets = st.builds(
    lambda marker, sequence, timestamp, ssrc, payload: build(Packet(marker, 96, sequence, timestamp, ssrc, payload)),
    st.booleans(),
    st.integers(0, 60) | st.integers(0, 0xFFFF),
    st.sampled_from([0, 3000, 6000, 0xFFFFFFFF]) | st.integers(0, 0xFFFFFFFF),
    st.sampled_from([1, 1, 1, 257]),
    _payloads,
)
_streams = st.lists(st.tuples(_packets | st.binary(max_size=40), st.integers(0, 300)), max_size=40)


@settings(max_examples=EXAMPLES, deadline=None)
@given(_streams, st.binary(max_size=80))
def test_a_publisher_may_send_what_it_likes(stream: list[tuple[bytes, int]], report: bytes) -> None:
    publication = Collected()  # it asserts that tracks are configured
    video, audio, timeline = VideoTrack(publication, lambda: None), AudioTrack(publication), Timeline()

    def take_audio(_: object, unit: Unit, time_ms: float, now_ms: float) -> None:
        audio.take(unit, time_ms)

    picture = RtpSource(timeline, 90_000, h264.Depacketizer, video.take)
    sound = RtpSource(timeline, 48_000, opus.Depacketizer, take_audio)
    now_ms = 1000.0
    for data, pause_ms in stream:
        now_ms += pause_ms
        for source in (picture, sound):
            try:
                source.packet(data, now_ms)
                source.tick(now_ms)
                for each in rtcp.parse(report):
                    if isinstance(each, rtcp.SenderReport):
                        source.sender_report(each, now_ms)
            except (ProtocolError, UnsupportedCodec):
                continue
            assert source._jitter.held <= MAX_HELD and all(0 <= one <= 0xFFFF for one in source.wanted(now_ms, None))
    fresh = Camera()
    fresh.picture.ssrc = 4711
    before = len(publication.of(1)) if any(track.id == 1 for track in publication.tracks) else 0
    for data in fresh.frame(0, key=True):
        picture.packet(data, now_ms + 2 * MAX_WAIT_MS)
    assert len(publication.of(1)) == before + 1
