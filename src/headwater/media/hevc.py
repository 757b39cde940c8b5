"""HEVC: the HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1) and the SPS in it (ITU-T H.265, 7.3.2.2)."""

from __future__ import annotations

from fractions import Fraction

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.bits import BitReader, without_emulation_prevention
from headwater.media.track import Codec, VideoConfig
from headwater.media.video_format import (
    Colour,
    VideoFormat,
    checked_size,
    frame_rate_of,
    read_sample_aspect_ratio,
    read_video_signal_type,
)

MAX_HVCC_BYTES = 65_536
"""Longest hvcC taken: VPS, SPS, PPS and SEI of usual streams are below 1 KB."""

_SPS_NAL_TYPE = 33
_MAX_SHORT_TERM_SETS = 64  # num_short_term_ref_pic_sets, 7.4.3.2.1
_MAX_LONG_TERM_PICTURES = 32  # num_long_term_ref_pics_sps, 7.4.3.2.1
_MAX_PICTURES = 16  # of a reference picture set: the decoded picture buffer holds no more


def parse_hvcc(record: bytes) -> VideoConfig:
    """Read an hvcC payload.

    Raises:
        ProtocolError: it is broken, or holds no SPS.
        UnsupportedCodec: NAL unit lengths of other than 4 bytes.
    """
    picture = describe(record)
    if record[21] & 3 != 3:
        raise UnsupportedCodec(
            "ERR_UNSUPPORTED_VIDEO_CODEC",
            f"HEVC with NAL unit lengths of {(record[21] & 3) + 1} bytes; supported are 4 bytes",
        )
    return VideoConfig(
        codec=Codec.HEVC,
        record=record,
        width=picture.display_width,
        height=picture.height,
        codecs=_codecs_parameter(record),
        frame_rate=picture.frame_rate,
    )


def describe(record: bytes) -> VideoFormat:
    """What the first SPS of an hvcC payload says of the picture."""
    return parse_sps(first_sps(record))


def first_sps(record: bytes) -> bytes:
    """The first SPS NAL unit of an hvcC payload.

    hvcC: 22 bytes, then numOfArrays; each array: 2 bits + NAL unit type, 16-bit count, and per unit a 16-bit length.
    """
    if not 23 <= len(record) <= MAX_HVCC_BYTES:
        raise ProtocolError(f"hvcC of {len(record)} bytes; it has 23 to {MAX_HVCC_BYTES}")
    # Version 0 was written by drafts of the standard and by old encoders; the layout is the same.
    if record[0] > 1:
        raise ProtocolError(f"hvcC version {record[0]}; only 1 is known")
    at = 23
    for _ in range(record[22]):
        kind, count = record[at : at + 1], int.from_bytes(record[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            end = at + 2 + int.from_bytes(record[at : at + 2], "big")
            if end > len(record) or not kind:
                raise ProtocolError("hvcC ends within a parameter set")
            if kind[0] & 63 == _SPS_NAL_TYPE and end - at > 4:
                return record[at + 2 : end]
            at = end
    raise ProtocolError("hvcC without SPS; the publisher must send its parameter sets in the sequence header")


def _codecs_parameter(record: bytes) -> str:
    """ISO/IEC 14496-15, annex E.3: hvc1.PROFILE.COMPATIBILITY.TIER-LEVEL.CONSTRAINTS."""
    space, tier, profile = record[1] >> 6, record[1] >> 5 & 1, record[1] & 31
    compatibility = int(f"{int.from_bytes(record[2:6], 'big'):032b}"[::-1], 2)
    constraints = record[6:12].rstrip(b"\x00")
    parts = [f"{('', 'A', 'B', 'C')[space]}{profile}", f"{compatibility:X}", f"{'LH'[tier]}{record[12]}"]
    return ".".join(["hvc1", *parts, *(f"{byte:X}" for byte in constraints)])


def parse_sps(nal: bytes) -> VideoFormat:
    """Read a sequence parameter set NAL unit, its two header bytes included."""
    bits = BitReader(without_emulation_prevention(nal[2:]), "HEVC SPS")
    bits.u(4)  # sps_video_parameter_set_id
    sub_layers = bits.u(3)
    bits.flag()
    _skip_profile_tier_level(bits, sub_layers)
    bits.ue()  # sps_seq_parameter_set_id
    chroma_format = bits.ue()
    if chroma_format > 3:
        raise ProtocolError(f"HEVC SPS with chroma_format_idc {chroma_format}; it is 0 to 3")
    if chroma_format == 3:
        bits.flag()
    width, height = bits.ue(), bits.ue()
    if bits.flag():
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= (left + right) * (2 if chroma_format in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma_format == 1 else 1)
    checked_size(width, height, "HEVC SPS")
    try:
        aspect, colour, rate = _read_to_vui(bits, sub_layers)
    except ProtocolError:
        aspect, colour, rate = (1, 1), None, None  # extensions that we do not know must not cost the picture
    return VideoFormat(width, height, aspect, rate, colour)


def _skip_profile_tier_level(bits: BitReader, sub_layers: int) -> None:
    """7.3.3 with profilePresentFlag 1."""
    bits.u(88)
    bits.u(8)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.u(2 * (8 - sub_layers))
    for profile, level in present:
        bits.u(88 if profile else 0)
        bits.u(8 if level else 0)


def _read_to_vui(bits: BitReader, sub_layers: int) -> tuple[tuple[int, int], Colour | None, Fraction | None]:
    bits.skip_ue(2)  # bit depths
    order_bits = bits.ue() + 4
    bits.skip_ue(3 * (sub_layers + 1 if bits.flag() else 1))  # sub-layer ordering
    bits.skip_ue(6)  # block sizes and transform depths
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.u(2)  # amp_enabled_flag, sample_adaptive_offset_enabled_flag
    if bits.flag():  # pcm_enabled_flag
        bits.u(8)
        bits.skip_ue(2)
        bits.flag()
    _skip_short_term_sets(bits)
    if bits.flag():  # long_term_ref_pics_present_flag
        count = bits.ue()
        if count > _MAX_LONG_TERM_PICTURES:
            raise ProtocolError(f"HEVC SPS with {count} long-term reference pictures")
        for _ in range(count):
            bits.u(order_bits)
            bits.flag()
    bits.u(2)
    return _read_vui(bits) if bits.flag() else ((1, 1), None, None)


def _skip_scaling_lists(bits: BitReader) -> None:
    """7.3.4."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
                continue
            if size > 1:
                bits.se()
            bits.skip_ue(min(64, 1 << (4 + 2 * size)))


def _skip_short_term_sets(bits: BitReader) -> None:
    """7.3.7; a set may be predicted from the one before, and then has up to one picture more than it."""
    count = bits.ue()
    if count > _MAX_SHORT_TERM_SETS:
        raise ProtocolError(f"HEVC SPS with {count} short-term reference picture sets")
    pictures = 0
    for index in range(count):
        if index and bits.flag():
            bits.flag()
            bits.ue()
            used = [bits.flag() or bits.flag() for _ in range(pictures + 1)]
            pictures = sum(used)
        else:
            negative, positive = bits.ue(), bits.ue()
            pictures = negative + positive
            if pictures <= _MAX_PICTURES:
                for _ in range(pictures):
                    bits.ue()
                    bits.flag()
        if pictures > _MAX_PICTURES:
            raise ProtocolError(f"HEVC SPS with a reference picture set of {pictures} pictures")


def _read_vui(bits: BitReader) -> tuple[tuple[int, int], Colour | None, Fraction | None]:
    """E.2.1, as far as the timing."""
    aspect = read_sample_aspect_ratio(bits) if bits.flag() else (1, 1)
    if bits.flag():
        bits.flag()
    colour = read_video_signal_type(bits) if bits.flag() else None
    if bits.flag():
        bits.skip_ue(2)
    bits.u(3)
    if bits.flag():  # default_display_window_flag
        bits.skip_ue(4)
    rate = None
    if bits.flag():
        units_in_tick, time_scale = bits.u(32), bits.u(32)
        rate = frame_rate_of(time_scale, units_in_tick)
    return aspect, colour, rate
