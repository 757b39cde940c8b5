"""VP9: the VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding, 1.0) and the key frame's size."""

from __future__ import annotations

from headwater.errors import ProtocolError
from headwater.media.bits import BitReader
from headwater.media.track import Codec, VideoConfig
from headwater.media.video_format import Colour, VideoFormat, checked_size

MAX_VPCC_BYTES = 256
"""Longest vpcC taken: 8 bytes, plus initialisation data that is empty for VP9."""

_KEY_FRAME_HEADER_BYTES = 16
_SYNC_CODE = 0x498342
_COLOUR_SPACE_RGB = 7
_UNSPECIFIED = 2  # of H.273


def parse_vpcc(record: bytes, *, width: int = 0, height: int = 0) -> VideoConfig:
    """Read a vpcC payload, with or without the full box's version and flags in front.

    The record does not tell the picture's size: the caller passes it where the publisher's metadata has it; else
    it stays 0 until the first key frame (`key_frame_size`).

    Raises:
        ProtocolError: it is broken.
    """
    if len(record) >= 12 and record[:4] == b"\x01\x00\x00\x00":
        record = record[4:]  # enhanced RTMP carries the box's payload with its version and flags (so ffmpeg)
    if not 8 <= len(record) <= MAX_VPCC_BYTES:
        raise ProtocolError(f"vpcC of {len(record)} bytes; it has 8 to {MAX_VPCC_BYTES}")
    profile, level, depth = record[0], record[1], record[2] >> 4
    if profile > 3 or depth not in (8, 10, 12):
        raise ProtocolError(f"vpcC with profile {profile} and bit depth {depth}; they are 0 to 3, and 8, 10 or 12")
    return VideoConfig(
        codec=Codec.VP9,
        record=record,
        width=width,
        height=height,
        codecs=f"vp09.{profile:02d}.{level:02d}.{depth:02d}",
    )


def describe(record: bytes, width: int, height: int) -> VideoFormat:
    """What a vpcC payload says of the colours, with the size that it does not tell."""
    primaries, transfer, matrix = record[3:6]
    known = _UNSPECIFIED not in (primaries, transfer, matrix)
    colour = Colour(primaries, transfer, matrix, bool(record[2] & 1)) if known else None
    return VideoFormat(width, height, colour=colour)


def key_frame_size(frame: bytes) -> tuple[int, int]:
    """Width and height from a key frame's uncompressed header (VP9 bitstream, 6.2).

    Raises:
        ProtocolError: it is no key frame, or broken.
    """
    bits = BitReader(frame[:_KEY_FRAME_HEADER_BYTES], "VP9 frame header")
    if bits.u(2) != 2:
        raise ProtocolError("VP9 frame without its frame marker")
    profile = bits.u(1) | bits.u(1) << 1
    if profile == 3:
        bits.flag()
    if bits.flag() or bits.flag():  # show_existing_frame, frame_type
        raise ProtocolError("VP9 frame that is no key frame")
    bits.u(2)
    if bits.u(24) != _SYNC_CODE:
        raise ProtocolError("VP9 key frame without its sync code")
    _skip_colour(bits, profile)
    width, height = bits.u(16) + 1, bits.u(16) + 1
    checked_size(width, height, "VP9 key frame")
    return width, height


def _skip_colour(bits: BitReader, profile: int) -> None:
    """color_config (6.2.2)."""
    if profile >= 2:
        bits.flag()
    if bits.u(3) != _COLOUR_SPACE_RGB:
        bits.flag()
        if profile in (1, 3):
            bits.u(3)
    elif profile in (1, 3):
        bits.flag()
