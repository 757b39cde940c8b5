"""FLV tag bodies: legacy and enhanced forms, ModEx, multitrack; what cannot be taken is named."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.track import Codec
from headwater.protocols.flv import Packet, PacketKind, build_audio, build_video, parse_audio, parse_video

CONFIGURATION, CODED, END = PacketKind

VIDEO = [Codec.H264, Codec.HEVC, Codec.AV1, Codec.VP9]
AUDIO = [Codec.AAC, Codec.OPUS, Codec.MP3]


@given(
    st.sampled_from(list(PacketKind)),
    st.sampled_from(VIDEO),
    st.binary(max_size=50),
    st.booleans(),
    st.integers(-(1 << 23), (1 << 23) - 1),
)
def test_built_video_reads_back(kind: PacketKind, codec: Codec, body: bytes, sync: bool, offset: int) -> None:
    if kind is END:
        body = b""
    if kind is not CODED or codec in (Codec.AV1, Codec.VP9):
        offset = 0
    payload = build_video(kind, codec, body, sync=sync, composition_offset=offset)
    assert list(parse_video(payload)) == [Packet(kind, codec, 0, sync, offset, body)]


@given(st.sampled_from([CONFIGURATION, CODED]), st.sampled_from(AUDIO), st.binary(min_size=1, max_size=50))
def test_built_audio_reads_back(kind: PacketKind, codec: Codec, body: bytes) -> None:
    if codec is Codec.MP3:
        kind = CODED
    assert list(parse_audio(build_audio(kind, codec, body))) == [Packet(kind, codec, 0, True, 0, body)]


@pytest.mark.parametrize(
    ("payload", "packet"),
    [
        ("1700000000" + "0164", Packet(CONFIGURATION, Codec.H264, 0, True, 0, b"\x01\x64")),
        ("1701000050" + "aa", Packet(CODED, Codec.H264, 0, True, 80, b"\xaa")),
        ("2701ffffd8" + "aa", Packet(CODED, Codec.H264, 0, False, -40, b"\xaa")),
        ("1702000000", Packet(END, Codec.H264, 0, True, 0, b"")),
        ("1c01000000" + "aa", Packet(CODED, Codec.HEVC, 0, True, 0, b"\xaa")),
        ("90" + b"hvc1".hex() + "01", Packet(CONFIGURATION, Codec.HEVC, 0, True, 0, b"\x01")),
        ("a1" + b"hvc1".hex() + "000028aa", Packet(CODED, Codec.HEVC, 0, False, 40, b"\xaa")),
        ("a3" + b"hvc1".hex() + "aa", Packet(CODED, Codec.HEVC, 0, False, 0, b"\xaa")),
        ("91" + b"avc1".hex() + "000028aa", Packet(CODED, Codec.H264, 0, True, 40, b"\xaa")),
        ("91" + b"av01".hex() + "aa", Packet(CODED, Codec.AV1, 0, True, 0, b"\xaa")),
        ("91" + b"av01".hex() + "1200aa", Packet(CODED, Codec.AV1, 0, True, 0, b"\xaa")),
        ("a1" + b"vp09".hex() + "aa", Packet(CODED, Codec.VP9, 0, False, 0, b"\xaa")),
        ("92" + b"hvc1".hex(), Packet(END, Codec.HEVC, 0, True, 0, b"")),
    ],
)
def test_each_video_form(payload: str, packet: Packet) -> None:
    assert list(parse_video(bytes.fromhex(payload))) == [packet]


@pytest.mark.parametrize(
    ("payload", "packet"),
    [
        ("af001210", Packet(CONFIGURATION, Codec.AAC, 0, True, 0, b"\x12\x10")),
        ("af0121", Packet(CODED, Codec.AAC, 0, True, 0, b"\x21")),
        ("2ffffb", Packet(CODED, Codec.MP3, 0, True, 0, b"\xff\xfb")),
        ("90" + b"Opus".hex() + b"OpusHead".hex(), Packet(CONFIGURATION, Codec.OPUS, 0, True, 0, b"OpusHead")),
        ("91" + b"Opus".hex() + "fc", Packet(CODED, Codec.OPUS, 0, True, 0, b"\xfc")),
        ("91" + b"mp4a".hex() + "21", Packet(CODED, Codec.AAC, 0, True, 0, b"\x21")),
        ("91" + b".mp3".hex() + "ff", Packet(CODED, Codec.MP3, 0, True, 0, b"\xff")),
    ],
)
def test_each_audio_form(payload: str, packet: Packet) -> None:
    assert list(parse_audio(bytes.fromhex(payload))) == [packet]


@pytest.mark.parametrize(
    "payload",
    [
        "",
        "17",
        "5700",  # a command frame: seeking, which live encoders do not do
        "94" + b"hvc1".hex() + "00",  # metadata: colour information
        "d000",
    ],
)
def test_what_carries_no_media_is_skipped(payload: str) -> None:
    assert list(parse_video(bytes.fromhex(payload))) == []


def test_multichannel_configuration_is_skipped() -> None:
    assert list(parse_audio(b"\x94Opus\1\2")) == []


@pytest.mark.parametrize(
    "modex", ["02" + "00f424" + "01", "ff" + "00ff" + "00" * 256 + "01", "02000001" + "07" + "02000001" + "01"]
)
def test_modex_is_stepped_over(modex: str) -> None:
    """Nanosecond offsets, one after another or very long, stand before the packet type that counts."""
    payload = bytes.fromhex("97" + modex) + b"av01\xaa"
    assert list(parse_video(payload)) == [Packet(CODED, Codec.AV1, 0, True, 0, b"\xaa")]


def test_a_one_track_multitrack_message() -> None:
    payload = b"\x96" + b"\x01" + b"avc1" + b"\x00" + b"\0\0\x28\xaa"
    assert list(parse_video(payload)) == [Packet(CODED, Codec.H264, 0, True, 40, b"\xaa")]


def test_many_tracks_of_one_codec() -> None:
    payload = b"\x96" + b"\x11" + b"av01" + b"\x00\0\0\2ab" + b"\x03\0\0\1c"
    assert [(packet.track, packet.body) for packet in parse_video(payload)] == [(0, b"ab"), (3, b"c")]


def test_many_tracks_of_many_codecs() -> None:
    payload = b"\x95" + b"\x21" + b"Opus\x00\0\0\2ab" + b"mp4a\x01\0\0\1c"
    packets = parse_audio(payload)
    assert [(packet.codec, packet.track, packet.body) for packet in packets] == [
        (Codec.OPUS, 0, b"ab"),
        (Codec.AAC, 1, b"c"),
    ]


@pytest.mark.parametrize("payload", ["2200", "2400", b"\x91vvc1".hex(), "1d00"])
def test_video_that_cannot_be_taken_is_named(payload: str) -> None:
    with pytest.raises(UnsupportedCodec, match="ERR_UNSUPPORTED_VIDEO_CODEC"):
        parse_video(bytes.fromhex(payload))


@pytest.mark.parametrize("payload", ["b000", "5000", b"\x91ac-3".hex(), "0000"])
def test_audio_that_cannot_be_taken_is_named(payload: str) -> None:
    with pytest.raises(UnsupportedCodec, match="ERR_UNSUPPORTED_AUDIO_CODEC"):
        parse_audio(bytes.fromhex(payload))


@pytest.mark.parametrize(
    "payload",
    [
        b"\x17\x01\0",
        b"\x17\x03\0\0\0",
        b"\x91hvc1\0",
        b"\x97\x02\0",
        b"\x97\xff\xff\xff",
        b"\x96\x11",
        b"\x96\x31avc1",
        b"\x96\x11avc1\0\0\0\x05ab",
        b"\x96\x11av01" + b"\0\0\0\0" * 17,
        b"\x98hvc1",
    ],
)
def test_broken_video_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_video(payload)
