"""Audio configurations: AudioSpecificConfig, OpusHead, MP3 headers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError, PublisherError, UnsupportedCodec
from headwater.media.aac import parse_asc
from headwater.media.mp3 import parse_mp3_header
from headwater.media.opus import packet_samples, parse_opus_head
from headwater.media.track import Codec
from tests.unit.media.bit_writer import BitWriter


def opus_head(channels: int = 2, family: int = 0, mapping: bytes = b"", version: int = 1) -> bytes:
    return b"OpusHead" + struct.pack("<BBHIhB", version, channels, 312, 44_100, -256, family) + mapping


class TestAac:
    @pytest.mark.parametrize(
        ("record", "rate", "channels", "samples", "codecs"),
        [
            ("1190", 48_000, 2, 1024, "mp4a.40.2"),
            ("1210", 44_100, 2, 1024, "mp4a.40.2"),
            ("118856e500", 48_000, 1, 1024, "mp4a.40.2"),  # ffmpeg: extension that says there is no SBR
            ("1194", 48_000, 2, 960, "mp4a.40.2"),
            ("11b0", 48_000, 6, 1024, "mp4a.40.2"),
            ("11b8", 48_000, 8, 1024, "mp4a.40.2"),
            ("2b11880" "0", 48_000, 2, 2048, "mp4a.40.5"),  # HE-AAC: 24 kHz core
            ("eb098800", 48_000, 2, 2048, "mp4a.40.29"),  # version 2: a mono core, heard in stereo
            ("131056e598", 48_000, 2, 2048, "mp4a.40.5"),  # signalled behind a plain 24 kHz AAC-LC
        ],
    )  # fmt: skip
    def test_known(self, record: str, rate: int, channels: int, samples: int, codecs: str) -> None:
        config = parse_asc(bytes.fromhex(record))
        assert (config.sample_rate, config.channels, config.frame_samples) == (rate, channels, samples)
        assert (config.codec, config.codecs, config.record) == (Codec.AAC, codecs, bytes.fromhex(record))

    def test_rate_as_a_number(self) -> None:
        record = BitWriter().u(5, 2).u(4, 15).u(24, 44_100).u(4, 2).u(3, 0).bytes(stop=False)
        assert parse_asc(record).sample_rate == 44_100

    def test_program_config_element_counts_channels(self) -> None:
        """Channel configuration 0: 5.1 as front centre, front pair, back pair, LFE."""
        bits = BitWriter().u(5, 2).u(4, 3).u(4, 0).u(3, 0)
        bits.u(10, 0x13).u(4, 2).u(4, 0).u(4, 1).u(2, 1).u(3, 0).u(4, 0).u(3, 0)
        bits.u(5, 0).u(5, 16).u(5, 17).u(4, 0)
        bits.u(-sum(map(len, bits.bits)) % 8, 0).u(8, 0)
        assert parse_asc(bits.bytes(stop=False)).channels == 6

    @pytest.mark.parametrize("object_type", [3, 6, 22, 23, 39, 42])
    def test_other_object_types(self, object_type: int) -> None:
        bits = BitWriter().u(5, min(object_type, 31))
        if object_type > 31:
            bits.u(6, object_type - 32)
        with pytest.raises(UnsupportedCodec, match=f"object type {object_type}; supported are AAC Main, AAC-LC"):
            parse_asc(bits.u(4, 3).u(4, 2).u(8, 0).bytes())

    @pytest.mark.parametrize("record", ["", "11", "1690", "11c8", "1180", "1780000010", "2b898800", "11" * 70])
    def test_broken(self, record: str) -> None:
        with pytest.raises(ProtocolError):
            parse_asc(bytes.fromhex(record))


class TestOpus:
    def test_stereo(self) -> None:
        config = parse_opus_head(opus_head())
        assert (config.sample_rate, config.channels, config.frame_samples) == (48_000, 2, 960)
        assert config.record == struct.pack(">BBHIhB", 0, 2, 312, 44_100, -256, 0)

    def test_surround(self) -> None:
        mapping = bytes((4, 2, 0, 4, 1, 2, 3, 5))
        assert parse_opus_head(opus_head(6, 1, mapping)).record.endswith(b"\x01" + mapping)

    def test_other_families(self) -> None:
        with pytest.raises(UnsupportedCodec, match="family 255; supported are 0 and 1"):
            parse_opus_head(opus_head(2, 255, bytes(4)))

    @pytest.mark.parametrize(
        "record",
        [
            b"",
            opus_head()[:18],
            opus_head(0),
            opus_head(3),
            opus_head(version=16),
            opus_head(6, 1, bytes(7)),
            bytes(19),
        ],
    )
    def test_broken(self, record: bytes) -> None:
        with pytest.raises(ProtocolError):
            parse_opus_head(record)

    @pytest.mark.parametrize(
        ("packet", "samples"),
        [
            (b"\xfc", 960),
            (b"\xfd", 1920),
            (b"\xfb\x03", 2880),
            (b"\x00", 480),
            (b"\x18", 2880),
            (b"\xe0", 120),
            (b"", 0),
            (b"\xfb", 0),
            (b"\x1b\x3f", 0),
        ],
    )
    def test_packet_durations(self, packet: bytes, samples: int) -> None:
        assert packet_samples(packet) == samples


class TestMp3:
    @pytest.mark.parametrize(
        ("header", "rate", "channels", "samples"),
        [("fffb9064", 44_100, 2, 1152), ("fffb94c4", 48_000, 1, 1152), ("fff35064", 22_050, 2, 576)],
    )
    def test_headers(self, header: str, rate: int, channels: int, samples: int) -> None:
        config = parse_mp3_header(bytes.fromhex(header))
        assert (config.sample_rate, config.channels, config.frame_samples) == (rate, channels, samples)

    def test_layer_two(self) -> None:
        with pytest.raises(UnsupportedCodec, match="layer 2"):
            parse_mp3_header(bytes.fromhex("fffd9064"))

    @pytest.mark.parametrize("header", ["", "fffb90", "00fb9064", "ffeb9064", "fffb9c64", "fff99064"])
    def test_broken(self, header: str) -> None:
        with pytest.raises(ProtocolError):
            parse_mp3_header(bytes.fromhex(header))


@given(st.binary(max_size=40))
def test_garbage(data: bytes) -> None:
    """Garbage is read, or refused with our own errors."""
    for parse in (parse_asc, parse_opus_head, parse_mp3_header, lambda tail: parse_opus_head(b"OpusHead" + tail)):
        try:
            parse(data)
        except PublisherError:
            pass
    packet_samples(data)
