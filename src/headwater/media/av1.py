"""AV1: the AV1CodecConfigurationRecord (AV1-ISOBMFF, 2.3) and the sequence header in it (AV1 bitstream, 5.5)."""

from __future__ import annotations

from fractions import Fraction

from headwater.errors import ProtocolError
from headwater.media.bits import BitReader
from headwater.media.track import Codec, VideoConfig
from headwater.media.video_format import Colour, VideoFormat, checked_size, frame_rate_of

MAX_AV1C_BYTES = 4096
"""Longest av1C taken: a sequence header is some 10 to 30 bytes, metadata OBUs may follow."""

_OBU_SEQUENCE_HEADER = 1
_SELECT_SCREEN_CONTENT_TOOLS = 2
_MATRIX_IDENTITY, _PRIMARIES_BT709, _TRANSFER_SRGB = 0, 1, 13


def parse_av1c(record: bytes) -> VideoConfig:
    """Read an av1C payload.

    Width and height are 0 where the record holds no sequence header (its OBUs are optional): then the first key
    frame tells, see `sequence_header`.

    Raises:
        ProtocolError: it is broken.
    """
    if not 4 <= len(record) <= MAX_AV1C_BYTES:
        raise ProtocolError(f"av1C of {len(record)} bytes; it has 4 to {MAX_AV1C_BYTES}")
    if record[0] != 0x81:
        raise ProtocolError(f"av1C starts with {record[0]:#04x}; only marker and version 0x81 are known")
    picture = describe(record)
    profile, level = record[1] >> 5, record[1] & 31
    tier = "H" if record[2] & 0x80 else "M"
    depth = (12 if record[2] & 0x20 else 10) if record[2] & 0x40 else 8
    return VideoConfig(
        codec=Codec.AV1,
        record=record,
        width=picture.display_width if picture else 0,
        height=picture.height if picture else 0,
        codecs=f"av01.{profile}.{level:02d}{tier}.{depth:02d}",
        frame_rate=picture.frame_rate if picture else None,
    )


def describe(record: bytes) -> VideoFormat | None:
    """What an av1C payload's sequence header says of the picture; None where it has none."""
    return sequence_header(record[4:])


def sequence_header(obus: bytes) -> VideoFormat | None:
    """Find and read the sequence header among OBUs (av1C's, or those at the start of a key frame)."""
    at = 0
    while at < len(obus):
        header = obus[at]
        at += 2 if header & 4 else 1
        if header & 2:
            size, at = _read_leb128(obus, at)
        else:
            size = len(obus) - at
        if at + size > len(obus) or header & 0x80:
            raise ProtocolError("AV1 data ends within an OBU")
        if header >> 3 & 15 == _OBU_SEQUENCE_HEADER:
            return _parse_sequence_header(obus[at : at + size])
        at += size
    return None


def _read_leb128(data: bytes, at: int) -> tuple[int, int]:
    """4.10.5: the value, and where the next field stands."""
    value = 0
    for index in range(8):
        if at + index >= len(data):
            break
        value |= (data[at + index] & 127) << (7 * index)
        if not data[at + index] & 128:
            return value, at + index + 1
    raise ProtocolError("AV1 data ends within an OBU size")


def _parse_sequence_header(payload: bytes) -> VideoFormat:
    bits = BitReader(payload, "AV1 sequence header")
    profile = bits.u(3)
    bits.flag()  # still_picture
    reduced = bits.flag()
    rate = None
    if reduced:
        bits.u(5)
    else:
        rate = _read_timing_and_operating_points(bits)
    width_bits, height_bits = bits.u(4) + 1, bits.u(4) + 1
    width, height = bits.u(width_bits) + 1, bits.u(height_bits) + 1
    checked_size(width, height, "AV1 sequence header")
    _skip_tools(bits, reduced)
    return VideoFormat(width, height, (1, 1), rate, _read_colour(bits, profile))


def _read_timing_and_operating_points(bits: BitReader) -> Fraction | None:
    """5.5.1 from timing_info_present_flag to the end of the operating points; 5.5.3, 5.5.4."""
    rate, delay_bits, decoder_model = None, 0, False
    if bits.flag():
        units_in_tick, time_scale = bits.u(32), bits.u(32)
        if bits.flag():  # equal_picture_interval
            rate = frame_rate_of(time_scale, units_in_tick * (bits.ue() + 1))
        decoder_model = bits.flag()
        if decoder_model:
            delay_bits = bits.u(5) + 1
            bits.u(32)
            bits.u(10)
    delay_present = bits.flag()
    for _ in range(bits.u(5) + 1):
        bits.u(12)
        if bits.u(5) > 7:
            bits.flag()
        if decoder_model and bits.flag():
            bits.u(2 * delay_bits + 1)
        if delay_present and bits.flag():
            bits.u(4)
    return rate


def _skip_tools(bits: BitReader, reduced: bool) -> None:
    """5.5.1 from frame_id_numbers_present_flag to enable_restoration."""
    if not reduced and bits.flag():
        bits.u(7)
    bits.u(3)
    if not reduced:
        bits.u(4)
        if bits.flag():  # enable_order_hint
            bits.u(2)
            order_hint = True
        else:
            order_hint = False
        screen_content = _SELECT_SCREEN_CONTENT_TOOLS if bits.flag() else bits.u(1)
        if screen_content and not bits.flag():
            bits.u(1)
        if order_hint:
            bits.u(3)
    bits.u(3)


def _read_colour(bits: BitReader, profile: int) -> Colour | None:
    """5.5.2, as far as color_range."""
    high_bit_depth = bits.flag()
    if profile == 2 and high_bit_depth:
        bits.flag()
    monochrome = bits.flag() if profile != 1 else False
    if not bits.flag():
        return None
    primaries, transfer, matrix = bits.u(8), bits.u(8), bits.u(8)
    if not monochrome and (primaries, transfer, matrix) == (_PRIMARIES_BT709, _TRANSFER_SRGB, _MATRIX_IDENTITY):
        return Colour(primaries, transfer, matrix, True)
    return Colour(primaries, transfer, matrix, bits.flag())
