"""Decoder configuration records of video: from real encoders, and bit by bit."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError, PublisherError, UnsupportedCodec
from headwater.media import av1, h264, hevc, vp9
from headwater.media.bits import BitReader, without_emulation_prevention
from headwater.media.track import Codec
from headwater.media.video_format import Colour
from tests.unit.media.bit_writer import BitWriter, with_emulation_prevention

X264_360P30 = bytes.fromhex(
    "0164001effe1001a6764001eacd940a02ff970110000030001000003003c0f162d9601000468ef8fcbfdf8f800"
)
SVT_AV1_360P = bytes.fromhex("81010c000a0b0000000cc4ff6700be0010")


def h264_sps(
    *, profile: int = 100, chroma: int = 1, width_mbs: int = 120, height_units: int = 68, frames_only: int = 1,
    crop: tuple[int, int, int, int] | None = (0, 0, 0, 4), scaling: bool = False, vui: BitWriter | None = None,
    order: int = 0,
) -> bytes:  # fmt: skip
    bits = BitWriter().u(8, profile).u(16, 0x001F).ue(0)
    if profile in (100, 110, 122, 244):
        bits.ue(chroma)
        if chroma == 3:
            bits.u(1, 0)
        bits.ue(0, 0).u(1, 0).u(1, scaling)
        for index in range((12 if chroma == 3 else 8) if scaling else 0):
            bits.u(1, index % 2 == 0)
            if index == 0:
                bits.se(*([1] * 16))
            elif index % 2 == 0:
                bits.se(-8)  # the next scale is 0: the list ends here
    bits.ue(0).ue(order)
    if order == 0:
        bits.ue(4)
    elif order == 1:
        bits.u(1, 0).se(-3, 2).ue(2).se(1, -1)
    bits.ue(4).u(1, 0).ue(width_mbs - 1, height_units - 1).u(1, frames_only)
    if not frames_only:
        bits.u(1, 1)
    bits.u(1, 1).u(1, crop is not None)
    if crop:
        bits.ue(*crop)
    bits.u(1, vui is not None)
    if vui:
        bits.bits += vui.bits
    return b"\x67" + with_emulation_prevention(bits.bytes())


def avcc(sps: bytes, length_size: int = 4) -> bytes:
    head = bytes((1, sps[1], sps[2], sps[3], 0xFC | length_size - 1, 0xE1))
    return head + len(sps).to_bytes(2, "big") + sps + b"\x01\x00\x04\x68\xef\x8f\xcb"


class TestH264:
    def test_x264(self) -> None:
        config = h264.parse_avcc(X264_360P30)
        assert (config.codec, config.width, config.height) == (Codec.H264, 640, 360)
        assert (config.codecs, config.frame_rate) == ("avc1.64001e", 30)
        assert config.record == X264_360P30

    def test_cropping_to_1080_lines(self) -> None:
        picture = h264.parse_sps(h264_sps())
        assert (picture.width, picture.height) == (1920, 1080)

    def test_fields_count_twice(self) -> None:
        picture = h264.parse_sps(h264_sps(frames_only=0, height_units=34, crop=(0, 0, 0, 2)))
        assert (picture.width, picture.height) == (1920, 1080)

    @pytest.mark.parametrize(("chroma", "width", "height"), [(0, 1917, 1084), (1, 1914, 1080), (2, 1914, 1084)])
    def test_crop_units_depend_on_chroma(self, chroma: int, width: int, height: int) -> None:
        picture = h264.parse_sps(h264_sps(profile=122, chroma=chroma, crop=(1, 2, 0, 4)))
        assert (picture.width, picture.height) == (width, height)

    @pytest.mark.parametrize("chroma", [1, 3])
    def test_scaling_lists_are_passed_over(self, chroma: int) -> None:
        picture = h264.parse_sps(h264_sps(profile=244, chroma=chroma, scaling=True, crop=None))
        assert (picture.width, picture.height) == (1920, 1088)

    @pytest.mark.parametrize("order", [0, 1, 2])
    def test_picture_order_types(self, order: int) -> None:
        assert h264.parse_sps(h264_sps(order=order)).height == 1080

    def test_vui(self) -> None:
        """SAR 4:3 of anamorphic 1440x1080, BT.709, 30000/1001 frames a second (two ticks a frame)."""
        vui = BitWriter().u(1, 1).u(8, 14).u(1, 0).u(1, 1).u(3, 5).u(1, 0).u(1, 1).u(8, 1).u(8, 1).u(8, 1)
        vui.u(1, 0).u(1, 1).u(32, 1001).u(32, 60_000)
        sps = h264_sps(width_mbs=90, vui=vui)
        picture = h264.parse_sps(sps)
        assert (picture.width, picture.height, picture.sample_aspect_ratio) == (1440, 1080, (4, 3))
        assert picture.colour == Colour(1, 1, 1, False)
        config = h264.parse_avcc(avcc(sps))
        assert (config.width, config.height) == (1920, 1080)
        assert config.frame_rate == Fraction(30_000, 1001)

    def test_extended_sar_and_senseless_rate(self) -> None:
        vui = BitWriter().u(1, 1).u(8, 255).u(16, 32).u(16, 27).u(1, 0).u(1, 0).u(1, 0).u(1, 1).u(32, 1).u(32, 90_000)
        picture = h264.parse_sps(h264_sps(vui=vui))
        assert picture.sample_aspect_ratio == (32, 27)
        assert picture.frame_rate is None

    def test_vui_cut_short_still_tells_the_size(self) -> None:
        sps = h264_sps(vui=BitWriter().u(1, 1).u(8, 255).u(16, 1))
        assert h264.parse_sps(sps).width == 1920

    def test_short_nal_lengths_are_refused(self) -> None:
        with pytest.raises(UnsupportedCodec, match="2 bytes; supported are 4"):
            h264.parse_avcc(avcc(h264_sps(), 2))

    @pytest.mark.parametrize(
        ("record", "why"),
        [
            (b"", "0 bytes"),
            (b"\x00" + X264_360P30[1:], "version 0"),
            (X264_360P30[:5] + b"\xe0" + X264_360P30[6:], "without SPS"),
            (X264_360P30[:20], "ends within"),
            (X264_360P30.replace(b"\x67\x64", b"\x68\x64"), "NAL unit type 8"),
            (avcc(h264_sps(width_mbs=5000)), "80000x1080"),
            (avcc(h264_sps(crop=(500, 500, 0, 4))), "-80x1080"),
        ],
    )
    def test_broken_records(self, record: bytes, why: str) -> None:
        with pytest.raises(ProtocolError, match=why):
            h264.parse_avcc(record)


def hevc_record(width: int, height: int, crop: tuple[int, ...] = (), *, sets: int = 2) -> bytes:
    level = BitWriter().u(8, 0x01).u(32, 0x60000000).u(48, 0x900000000000).u(8, 93)
    bits = BitWriter().u(4, 0).u(3, 0).u(1, 1)
    bits.bits += level.bits
    bits.ue(0, 1, width, height).u(1, bool(crop))
    if crop:
        bits.ue(*crop)
    bits.ue(0, 0, 4).u(1, 1).ue(4, 2, 0).ue(0, 3, 0, 3, 0, 0).u(1, 0).u(2, 1).u(1, 0)
    bits.ue(sets)
    if sets:
        bits.ue(1, 1, 0).u(1, 1).ue(0).u(1, 1)  # one picture before, one after
    if sets > 1:
        bits.u(1, 1).u(1, 0).ue(0).u(1, 1).u(1, 0).u(1, 1).u(1, 1)  # predicted from that
    bits.u(1, 1).ue(1).u(8, 5).u(1, 1)  # long-term pictures
    bits.u(2, 3).u(1, 1)
    bits.u(1, 1).u(8, 1).u(1, 0).u(1, 1).u(3, 5).u(1, 1).u(1, 1).u(8, 9).u(8, 16).u(8, 9)
    bits.u(1, 0).u(3, 0).u(1, 0).u(1, 1).u(32, 1001).u(32, 60_000)
    sps = b"\x42\x01" + with_emulation_prevention(bits.bytes())
    head = bytes.fromhex("01 01 60000000 900000000000 5d f000 fc fd f8 f8 0000 0f 02".replace(" ", ""))
    vps = b"\xa0\x00\x01\x00\x04\x40\x01\x0c\x01"
    return head + vps + b"\xa1\x00\x01" + len(sps).to_bytes(2, "big") + sps


class TestHevc:
    def test_1080p_hdr(self) -> None:
        config = hevc.parse_hvcc(hevc_record(1920, 1088, (0, 0, 0, 4)))
        assert (config.codec, config.width, config.height) == (Codec.HEVC, 1920, 1080)
        assert config.codecs == "hvc1.1.6.L93.90"
        assert config.frame_rate == Fraction(60_000, 1001)
        assert hevc.describe(config.record).colour == Colour(9, 16, 9, True)

    def test_high_tier_main10(self) -> None:
        record = bytearray(hevc_record(3840, 2160))
        record[1], record[2:6], record[6:12], record[12] = 0x22, b"\x20\0\0\0", b"\xb0\0\0\0\0\0", 153
        assert hevc.parse_hvcc(bytes(record)).codecs == "hvc1.2.4.H153.B0"

    def test_too_many_reference_sets_cost_only_the_extras(self) -> None:
        config = hevc.parse_hvcc(hevc_record(1920, 1080, sets=65))
        assert (config.width, config.frame_rate) == (1920, None)

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            (lambda record: record[:22], "22 bytes"),
            (lambda record: b"\x02" + record[1:], "version 2"),
            (lambda record: record[:40], "ends within"),
            (lambda record: record[:22] + b"\x01" + record[23:], "without SPS"),
        ],
    )
    def test_broken_records(self, change: object, why: str) -> None:
        with pytest.raises(ProtocolError, match=why):
            hevc.parse_hvcc(change(hevc_record(1920, 1080)))  # type: ignore[operator]


class TestAv1:
    def test_svt(self) -> None:
        config = av1.parse_av1c(SVT_AV1_360P)
        assert (config.width, config.height, config.codecs) == (640, 360, "av01.0.01M.08")

    def test_timing_and_colour(self) -> None:
        bits = BitWriter().u(3, 0).u(1, 0).u(1, 0)
        bits.u(1, 1).u(32, 1001).u(32, 30_000).u(1, 1).ue(0).u(1, 0)  # timing, no decoder model
        bits.u(1, 0).u(5, 0).u(12, 0).u(5, 9).u(1, 0)  # one operating point
        bits.u(4, 10).u(4, 10).u(11, 1919).u(11, 1079)
        bits.u(1, 0).u(3, 0).u(4, 0).u(1, 1).u(2, 0).u(1, 1).u(1, 1).u(3, 6).u(3, 0)
        bits.u(1, 1).u(1, 0).u(1, 1).u(8, 9).u(8, 16).u(8, 9).u(1, 0)
        payload = bits.bytes()
        picture = av1.sequence_header(bytes((0x12, 0x00, 0x0A, len(payload))) + payload)
        assert picture is not None
        assert (picture.width, picture.height) == (1920, 1080)
        assert picture.frame_rate == Fraction(30_000, 1001)
        assert picture.colour == Colour(9, 16, 9, False)

    def test_record_without_sequence_header(self) -> None:
        config = av1.parse_av1c(bytes.fromhex("81496800"))
        assert (config.width, config.codecs) == (0, "av01.2.09M.12")

    @pytest.mark.parametrize("record", [b"", b"\x01\x01\x0c\x00", SVT_AV1_360P[:-3], SVT_AV1_360P[:5] + b"\xff" * 9])
    def test_broken_records(self, record: bytes) -> None:
        with pytest.raises(ProtocolError):
            av1.parse_av1c(record)


class TestVp9:
    RECORD = bytes.fromhex("001f800202020000")

    @pytest.mark.parametrize("prefix", [b"", b"\x01\x00\x00\x00"])
    def test_record(self, prefix: bytes) -> None:
        config = vp9.parse_vpcc(prefix + self.RECORD, width=1280, height=720)
        assert (config.width, config.height, config.codecs) == (1280, 720, "vp09.00.31.08")
        assert config.record == self.RECORD

    @pytest.mark.parametrize("record", [b"", RECORD[:7], b"\x04" + RECORD[1:], RECORD[:2] + b"\x50" + RECORD[3:]])
    def test_broken_records(self, record: bytes) -> None:
        with pytest.raises(ProtocolError):
            vp9.parse_vpcc(record)

    def test_key_frame(self) -> None:
        bits = BitWriter().u(2, 2).u(2, 0).u(1, 0).u(1, 0).u(2, 2).u(24, 0x498342).u(3, 1).u(1, 0)
        frame = bits.u(16, 1279).u(16, 719).bytes()
        assert vp9.key_frame_size(frame) == (1280, 720)
        for broken in (frame[:5], b"\x84" + frame[1:], frame[:2] + b"\0" + frame[3:], b""):
            with pytest.raises(ProtocolError):
                vp9.key_frame_size(broken)


@given(st.lists(st.integers(0, 1 << 20), max_size=20), st.lists(st.integers(-(1 << 19), 1 << 19), max_size=20))
def test_exp_golomb_reads_back(unsigned: list[int], signed: list[int]) -> None:
    bits = BitReader(BitWriter().ue(*unsigned).se(*signed).bytes(), "test")
    assert [bits.ue() for _ in unsigned] == unsigned
    assert [bits.se() for _ in signed] == signed
    bits.flag()
    with pytest.raises(ProtocolError, match="test ends too early"):
        bits.u(bits.bits_left + 1)


@given(st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4, 255]), max_size=60).map(bytes))
def test_emulation_prevention_reads_back(rbsp: bytes) -> None:
    assert without_emulation_prevention(with_emulation_prevention(rbsp)) == rbsp


@given(st.integers(0, len(X264_360P30)), st.integers(0, 255), st.sampled_from(["avcc", "hvcc", "av1c", "vpcc"]))
def test_any_broken_byte(position: int, value: int, kind: str) -> None:
    """A changed byte or a cut record is refused with our own error, or still read."""
    parser, record = {
        "avcc": (h264.parse_avcc, X264_360P30),
        "hvcc": (hevc.parse_hvcc, hevc_record(1920, 1080)),
        "av1c": (av1.parse_av1c, SVT_AV1_360P),
        "vpcc": (vp9.parse_vpcc, TestVp9.RECORD),
    }[kind]
    for broken in (record[:position], record[:position] + bytes((value,)) + record[position + 1 :]):
        try:
            parser(broken)
        except PublisherError:
            pass
