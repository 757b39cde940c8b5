"""H.264: the AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1) and the SPS in it (ITU-T H.264, 7.3.2.1)."""

from __future__ import annotations

from headwater.errors import ProtocolError, UnsupportedCodec
from headwater.media.bits import BitReader, without_emulation_prevention
from headwater.media.track import Codec, VideoConfig
from headwater.media.video_format import (
    VideoFormat,
    checked_size,
    frame_rate_of,
    read_sample_aspect_ratio,
    read_video_signal_type,
)

MAX_AVCC_BYTES = 65_536
"""Longest avcC taken: 31 SPS and 255 PPS of usual size are below 20 KB."""

_SPS_NAL_TYPE = 7
_PROFILES_WITH_CHROMA = frozenset((100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135))
_MAX_POC_CYCLE = 255  # num_ref_frames_in_pic_order_cnt_cycle, 7.4.2.1.1


def parse_avcc(record: bytes) -> VideoConfig:
    """Read an avcC payload.

    Raises:
        ProtocolError: it is broken, or holds no SPS.
        UnsupportedCodec: NAL unit lengths of other than 4 bytes.
    """
    sps = first_sps(record)
    if record[4] & 3 != 3:
        raise UnsupportedCodec(
            "ERR_UNSUPPORTED_VIDEO_CODEC",
            f"H.264 with NAL unit lengths of {(record[4] & 3) + 1} bytes; supported are 4 bytes",
        )
    picture = parse_sps(sps)
    return VideoConfig(
        codec=Codec.H264,
        record=record,
        width=picture.display_width,
        height=picture.height,
        codecs=f"avc1.{sps[1:4].hex()}",
        frame_rate=picture.frame_rate,
    )


def describe(record: bytes) -> VideoFormat:
    """What the first SPS of an avcC payload says of the picture."""
    return parse_sps(first_sps(record))


def first_sps(record: bytes) -> bytes:
    """The first SPS NAL unit of an avcC payload.

    avcC: version, profile, compatibility, level, 6 bits + lengthSizeMinusOne, 3 bits + number of SPS,
    then for each a 16-bit length and the NAL unit; PPS alike behind them.
    """
    if not 7 <= len(record) <= MAX_AVCC_BYTES:
        raise ProtocolError(f"avcC of {len(record)} bytes; it has 7 to {MAX_AVCC_BYTES}")
    if record[0] != 1:
        raise ProtocolError(f"avcC version {record[0]}; only 1 is known")
    if not record[5] & 31:
        raise ProtocolError("avcC without SPS; the publisher must send its parameter sets in the sequence header")
    end = 8 + int.from_bytes(record[6:8], "big")
    sps = record[8:end]
    if end > len(record) or len(sps) < 4:
        raise ProtocolError("avcC ends within its SPS")
    if sps[0] & 31 != _SPS_NAL_TYPE:
        raise ProtocolError(f"avcC holds NAL unit type {sps[0] & 31} where its SPS should be")
    return sps


def parse_sps(nal: bytes) -> VideoFormat:
    """Read a sequence parameter set NAL unit, header byte included."""
    bits = BitReader(without_emulation_prevention(nal[1:]), "H.264 SPS")
    profile = bits.u(8)
    bits.u(16)  # constraint flags, level
    bits.ue()  # seq_parameter_set_id
    chroma_format = _read_chroma_format(bits) if profile in _PROFILES_WITH_CHROMA else 1
    bits.ue()  # log2_max_frame_num_minus4
    _skip_picture_order(bits)
    bits.ue()  # max_num_ref_frames
    bits.flag()
    width = (bits.ue() + 1) * 16
    map_units = bits.ue() + 1
    frames_only = bits.u(1)
    height = map_units * 16 * (2 - frames_only)
    if not frames_only:
        bits.flag()
    bits.flag()  # direct_8x8_inference_flag
    if bits.flag():
        left, right, top, bottom = bits.ue(), bits.ue(), bits.ue(), bits.ue()
        width -= (left + right) * (2 if chroma_format in (1, 2) else 1)
        height -= (top + bottom) * (2 if chroma_format == 1 else 1) * (2 - frames_only)
    checked_size(width, height, "H.264 SPS")
    return _read_vui(bits, width, height) if bits.flag() else VideoFormat(width, height)


def _read_chroma_format(bits: BitReader) -> int:
    chroma_format = bits.ue()
    if chroma_format > 3:
        raise ProtocolError(f"H.264 SPS with chroma_format_idc {chroma_format}; it is 0 to 3")
    if chroma_format == 3:
        bits.flag()  # separate_colour_plane_flag
    bits.skip_ue(2)  # bit depths
    bits.flag()  # qpprime_y_zero_transform_bypass_flag
    if bits.flag():
        for index in range(12 if chroma_format == 3 else 8):
            if bits.flag():
                _skip_scaling_list(bits, 16 if index < 6 else 64)
    return chroma_format


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    """7.3.2.1.1.1: deltas stop once the next scale is 0."""
    last_scale = 8
    for _ in range(size):
        next_scale = (last_scale + bits.se()) & 255
        if next_scale == 0:
            return
        last_scale = next_scale


def _skip_picture_order(bits: BitReader) -> None:
    kind = bits.ue()
    if kind == 0:
        bits.ue()
    elif kind == 1:
        bits.flag()
        bits.se()
        bits.se()
        cycle = bits.ue()
        if cycle > _MAX_POC_CYCLE:
            raise ProtocolError(f"H.264 SPS with a picture order cycle of {cycle}; it is at most {_MAX_POC_CYCLE}")
        bits.skip_ue(cycle)
    elif kind > 2:
        raise ProtocolError(f"H.264 SPS with pic_order_cnt_type {kind}; it is 0 to 2")


def _read_vui(bits: BitReader, width: int, height: int) -> VideoFormat:
    """E.1.1, as far as the timing. Some encoders cut it short: what is there counts."""
    aspect, colour, rate = (1, 1), None, None
    try:
        if bits.flag():
            aspect = read_sample_aspect_ratio(bits)
        if bits.flag():
            bits.flag()  # overscan_appropriate_flag
        if bits.flag():
            colour = read_video_signal_type(bits)
        if bits.flag():
            bits.skip_ue(2)  # chroma sample locations
        if bits.flag():
            units_in_tick, time_scale = bits.u(32), bits.u(32)
            rate = frame_rate_of(time_scale, 2 * units_in_tick)  # a tick is a field
    except ProtocolError:
        pass  # the picture's size is known, and that is what a sample entry cannot do without
    return VideoFormat(width, height, aspect, rate, colour)
