"""Fuzz: audio and video messages of a stranger, up to the publication.

Invariant: a payload becomes packets, or raises ProtocolError or UnsupportedCodec; packets hold no more bytes than the
payload; a track reader configures a track before it pushes a unit of it. FUZZ_EXAMPLES sets how long to look.
"""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.track import Codec
from headwater.pipeline.ingest.tracks import TrackReader
from headwater.protocols.flv import PacketKind, build_audio, build_video, parse_audio, parse_video
from tests.unit.ingest.gates import Collected
from tests.unit.protocols.rtmp.peers import ASC, AVCC

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "300"))

_heads = st.sampled_from(
    [b"\x17\0\0\0\0", b"\x27\1\0\0\0", b"\x90hvc1", b"\x91av01", b"\x97\2", b"\x96\x11av01", b"\x96\x21"]
)
_audio_heads = st.sampled_from([b"\xaf\0", b"\xaf\1", b"\x90Opus", b"\x91Opus", b"\x95\x01mp4a", b"\x2f", b"\x97\xff"])
_video = st.builds(lambda head, rest: head + rest, _heads | st.binary(max_size=2), st.binary(max_size=60))
_audio = st.builds(lambda head, rest: head + rest, _audio_heads | st.binary(max_size=2), st.binary(max_size=60))
_bodies = st.binary(max_size=40) | st.sampled_from([AVCC, AVCC[:20], ASC, b"OpusHead" + bytes(11)])
_kinds = st.sampled_from(list(PacketKind))
_built = st.builds(build_video, _kinds, st.sampled_from([Codec.H264, Codec.HEVC, Codec.AV1, Codec.VP9]), _bodies).map(
    lambda payload: (9, payload)
) | st.builds(build_audio, _kinds, st.sampled_from([Codec.AAC, Codec.OPUS, Codec.MP3]), _bodies).map(
    lambda payload: (8, payload)
)
_messages = _built | _video.map(lambda payload: (9, payload)) | _audio.map(lambda payload: (8, payload))


@settings(max_examples=EXAMPLES, deadline=None)
@given(_video)
def test_video_parses_or_is_refused(payload: bytes) -> None:
    try:
        packets = parse_video(payload)
    except (ProtocolError, UnsupportedCodec):
        return
    assert sum(len(packet.body) for packet in packets) <= len(payload)


@settings(max_examples=EXAMPLES, deadline=None)
@given(_audio)
def test_audio_parses_or_is_refused(payload: bytes) -> None:
    try:
        packets = parse_audio(payload)
    except (ProtocolError, UnsupportedCodec):
        return
    assert sum(len(packet.body) for packet in packets) <= len(payload)


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.lists(st.tuples(_messages, st.integers(0, 0xFFFFFFFF)), max_size=10))
def test_a_track_reader_configures_before_it_pushes(messages: list[tuple[tuple[int, bytes], int]]) -> None:
    reader = TrackReader(Collected(), max_video_tracks=2)  # it asserts the order itself
    for (type_id, payload), timestamp in messages:
        try:
            reader.message((type_id, 1, timestamp, payload))
        except (ProtocolError, UnsupportedCodec):
            return
