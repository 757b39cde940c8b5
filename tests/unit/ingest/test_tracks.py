"""From messages to access units and configurations."""

from __future__ import annotations

from fractions import Fraction

import pytest

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.access_unit import AccessUnit
from headwater.media.track import AudioConfig, Codec, VideoConfig
from headwater.pipeline.ingest.tracks import MAX_BROKEN_MESSAGES, TrackReader
from headwater.protocols.flv import PacketKind, build_audio, build_video
from tests.unit.ingest.gates import Collected
from tests.unit.protocols.rtmp.peers import ASC, AVCC

OPUS_HEAD = b"OpusHead" + bytes((1, 2, 0x38, 1, 0x80, 0xBB, 0, 0, 0, 0, 0))
OTHER_AVCC = AVCC[:-1] + b"\x81"


class Publisher:
    def __init__(self, **limits: int) -> None:
        self.out = Collected()
        self.reader = TrackReader(self.out, **limits)

    def video(self, timestamp: int, payload: bytes) -> None:
        self.reader.message((9, 1, timestamp, payload))

    def audio(self, timestamp: int, payload: bytes) -> None:
        self.reader.message((8, 1, timestamp, payload))


def summary(units: list[AccessUnit]) -> list[tuple[int, int, int, bool, bytes]]:
    return [(unit.track_id, unit.dts, unit.composition_offset, unit.sync, unit.payload) for unit in units]


def avc(kind: PacketKind, body: bytes, *, sync: bool = True, offset: int = 0) -> bytes:
    return build_video(kind, Codec.H264, body, sync=sync, composition_offset=offset)


CONFIGURATION, CODED = PacketKind.CONFIGURATION, PacketKind.CODED


def test_sequence_headers_are_no_samples() -> None:
    publisher = Publisher()
    publisher.video(0, avc(CONFIGURATION, AVCC))
    publisher.audio(0, build_audio(CONFIGURATION, Codec.AAC, ASC))
    publisher.video(0, avc(CODED, b"i", offset=67))
    publisher.audio(10, build_audio(CODED, Codec.AAC, b"a"))
    publisher.video(33, avc(CODED, b"b", sync=False, offset=-1))
    assert summary(publisher.out.units) == [
        (1, 0, 67, True, b"i"),
        (2, 10, 0, True, b"a"),
        (1, 33, -1, False, b"b"),
    ]
    assert [track.id for track in publisher.out.tracks] == [1, 2]


def test_a_repeated_sequence_header_is_no_new_configuration() -> None:
    publisher = Publisher()
    for _ in range(3):
        publisher.video(0, avc(CONFIGURATION, AVCC))
    assert len(publisher.out.tracks) == 1


def test_changed_parameter_sets_are_a_new_configuration_of_the_same_track() -> None:
    publisher = Publisher()
    publisher.video(0, avc(CONFIGURATION, AVCC))
    publisher.video(0, avc(CONFIGURATION, OTHER_AVCC))
    assert [(track.id, track.config.record) for track in publisher.out.tracks] == [(1, AVCC), (1, OTHER_AVCC)]


def test_units_before_the_configuration_are_dropped() -> None:
    publisher = Publisher()
    publisher.video(0, avc(CODED, b"i"))
    publisher.audio(0, build_audio(CODED, Codec.AAC, b"a"))
    publisher.video(5, avc(CONFIGURATION, AVCC))
    publisher.video(40, avc(CODED, b"i"))
    assert summary(publisher.out.units) == [(1, 40, 0, True, b"i")]


def test_a_late_track_joins() -> None:
    publisher = Publisher()
    publisher.video(0, avc(CONFIGURATION, AVCC))
    publisher.video(0, avc(CODED, b"i"))
    publisher.audio(60_000, build_audio(CONFIGURATION, Codec.AAC, ASC))
    publisher.audio(60_000, build_audio(CODED, Codec.AAC, b"a"))
    assert [track.id for track in publisher.out.tracks] == [1, 2]
    assert len(publisher.out.units) == 2


def test_empty_messages_are_skipped() -> None:
    publisher = Publisher()
    publisher.audio(0, b"")
    publisher.audio(0, b"\xaf")
    publisher.video(0, avc(CONFIGURATION, b""))
    publisher.video(0, avc(CONFIGURATION, AVCC))
    publisher.video(0, avc(CODED, b""))
    assert publisher.out.units == []


def test_times_go_on_over_the_wrap() -> None:
    publisher = Publisher()
    publisher.audio(0xFFFFFFF0, build_audio(CONFIGURATION, Codec.AAC, ASC))
    publisher.audio(0xFFFFFFF0, build_audio(CODED, Codec.AAC, b"a"))
    publisher.audio(7, build_audio(CODED, Codec.AAC, b"b"))
    assert [unit.dts for unit in publisher.out.units] == [0xFFFFFFF0, 0x100000007]


def test_mp3_is_configured_by_its_first_frame() -> None:
    publisher = Publisher()
    publisher.audio(0, build_audio(CODED, Codec.MP3, b"\xff\xfb\x90\x00rest"))
    (track,) = publisher.out.tracks
    assert isinstance(track.config, AudioConfig)
    assert (track.config.codec, track.config.sample_rate, track.config.channels) == (Codec.MP3, 44_100, 2)
    assert len(publisher.out.units) == 1


def test_opus_is_configured_by_its_first_packet() -> None:
    """Only the packet tells how long packets are: here 10 ms."""
    publisher = Publisher()
    publisher.audio(0, build_audio(CONFIGURATION, Codec.OPUS, OPUS_HEAD))
    assert publisher.out.tracks == []
    publisher.audio(0, build_audio(CODED, Codec.OPUS, bytes((30 << 3,)) + b"x"))
    (track,) = publisher.out.tracks
    assert isinstance(track.config, AudioConfig)
    assert track.config.frame_samples == 480
    assert len(publisher.out.units) == 1


def test_vp9_is_configured_by_its_first_key_frame() -> None:
    publisher = Publisher()
    publisher.video(0, build_video(CONFIGURATION, Codec.VP9, bytes((0, 31, 0x80, 1, 1, 1, 0, 0))))
    publisher.video(0, build_video(CODED, Codec.VP9, b"\x86\0", sync=False))
    assert publisher.out.tracks == []
    key_frame = bytes.fromhex("82498342" + "00" + "13f0" + "0ef6" + "00")  # 320x240
    publisher.video(40, build_video(CODED, Codec.VP9, key_frame))
    (track,) = publisher.out.tracks
    assert isinstance(track.config, VideoConfig)
    assert (track.config.width, track.config.height) == (320, 240)
    assert summary(publisher.out.units) == [(1, 40, 0, True, key_frame)]


def test_the_frame_rate_comes_from_metadata_where_the_bitstream_has_none() -> None:
    publisher = Publisher()
    publisher.reader.metadata({"framerate": 29.97})
    publisher.video(0, build_video(CONFIGURATION, Codec.VP9, bytes((0, 31, 0x80, 1, 1, 1, 0, 0))))
    publisher.video(0, build_video(CODED, Codec.VP9, bytes.fromhex("82498342" + "00" + "13f0" + "0ef6" + "00")))
    config = publisher.out.tracks[0].config
    assert isinstance(config, VideoConfig)
    assert config.frame_rate == Fraction(30000, 1001)


@pytest.mark.parametrize("value", [None, "30", float("nan"), -1.0, 1e9, True and 0.5])
def test_a_nonsense_frame_rate_is_none(value: object) -> None:
    publisher = Publisher()
    publisher.reader.metadata({"framerate": value})
    publisher.video(0, build_video(CONFIGURATION, Codec.VP9, bytes((0, 31, 0x80, 1, 1, 1, 0, 0))))
    publisher.video(0, build_video(CODED, Codec.VP9, bytes.fromhex("82498342" + "00" + "13f0" + "0ef6" + "00")))
    config = publisher.out.tracks[0].config
    assert isinstance(config, VideoConfig)
    assert config.frame_rate is None


def multitrack(track: int, kind: int, body: bytes) -> bytes:
    return b"\x96" + bytes((kind,)) + b"avc1" + bytes((track,)) + body


def test_further_tracks_are_ignored_unless_allowed() -> None:
    one, two = Publisher(), Publisher(max_video_tracks=2)
    for publisher in (one, two):
        for track in (0, 1):
            publisher.video(0, multitrack(track, 0, AVCC))
            publisher.video(0, multitrack(track, 1, b"\0\0\0i"))
    assert [track.id for track in one.out.tracks] == [1]
    assert [track.id for track in two.out.tracks] == [1, 3]
    assert [unit.track_id for unit in two.out.units] == [1, 3]


def test_one_malformed_message_is_skipped_and_many_end_the_publish() -> None:
    publisher = Publisher()
    for _ in range(MAX_BROKEN_MESSAGES):
        publisher.video(0, b"\x17\x09\0\0\0")
    with pytest.raises(ProtocolError):
        publisher.video(0, b"\x17\x09\0\0\0")


@pytest.mark.parametrize(
    ("type_id", "payload", "reason"),
    [
        (9, b"\x22\0\0\0\0\0", "Sorenson"),
        (9, b"\x90vvc1\0", "vvc1"),
        (8, b"\x2f\xff\xfd\x90\x00rest", "layer 2"),
        (8, build_audio(CONFIGURATION, Codec.OPUS, OPUS_HEAD[:-1] + b"\xff"), "mapping family"),
    ],
)
def test_an_unsupported_codec_is_told_to_the_publication_and_the_caller(
    type_id: int, payload: bytes, reason: str
) -> None:
    publisher = Publisher()
    with pytest.raises(UnsupportedCodec, match=reason):
        publisher.reader.message((type_id, 1, 0, payload))
    assert [reason in error.description for error in publisher.out.refusals] == [True]


def test_what_configure_refuses_is_not_told_back() -> None:
    publisher = Publisher()
    publisher.out.refusal = UnsupportedCodec("ERR_UNSUPPORTED_VIDEO_CODEC", "no")
    with pytest.raises(UnsupportedCodec):
        publisher.video(0, avc(CONFIGURATION, AVCC))
    assert publisher.out.refusals == []
