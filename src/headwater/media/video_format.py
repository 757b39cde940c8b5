"""What a video bitstream says of itself beyond `VideoConfig`: the facts that a sample entry needs."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from headwater.errors import ProtocolError
from headwater.media.bits import BitReader

MAX_DIMENSION = 16_384
"""Widest and highest picture that is taken: above 8K, and what fits the 16 bits of a sample entry with room."""

_MAX_FRAME_RATE = 1000
"""A VUI that states more is a mistake (ticks per second stated as frames, seen in the wild)."""

# ITU-T H.264, table E-1; HEVC has the same table.
_SAMPLE_ASPECT_RATIOS = (
    (0, 0), (1, 1), (12, 11), (10, 11), (16, 11), (40, 33), (24, 11), (20, 11), (32, 11),
    (80, 33), (18, 11), (15, 11), (64, 33), (160, 99), (4, 3), (3, 2), (2, 1),
)  # fmt: skip
_EXTENDED_SAR = 255


@dataclass(frozen=True, slots=True)
class Colour:
    """Colour code points (ITU-T H.273): primaries, transfer characteristics, matrix coefficients, full range."""

    primaries: int
    transfer: int
    matrix: int
    full_range: bool


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """The picture as the bitstream describes it.

    Attributes:
        width: In luma samples after cropping, before the sample aspect ratio.
        height: In luma samples after cropping.
        sample_aspect_ratio: Width to height of one sample; (1, 1) where unstated.
        frame_rate: Frames per second, None where unstated.
        colour: None where unstated.
    """

    width: int
    height: int
    sample_aspect_ratio: tuple[int, int] = (1, 1)
    frame_rate: Fraction | None = None
    colour: Colour | None = None

    @property
    def display_width(self) -> int:
        """Width in square pixels, never more than `MAX_DIMENSION`."""
        horizontal, vertical = self.sample_aspect_ratio
        return max(1, min(MAX_DIMENSION, (2 * self.width * horizontal + vertical) // (2 * vertical)))


def checked_size(width: int, height: int, what: str) -> None:
    """Raise ProtocolError for a picture that cannot be."""
    if not (0 < width <= MAX_DIMENSION and 0 < height <= MAX_DIMENSION):
        raise ProtocolError(
            f"{what} says {width}x{height} pixels; supported are 1x1 to {MAX_DIMENSION}x{MAX_DIMENSION}"
        )


def read_sample_aspect_ratio(bits: BitReader) -> tuple[int, int]:
    """aspect_ratio_idc and what follows it (H.264, E.1.1; HEVC, E.2.1); unknown values are square."""
    index = bits.u(8)
    ratio = (bits.u(16), bits.u(16)) if index == _EXTENDED_SAR else (1, 1)
    if index < len(_SAMPLE_ASPECT_RATIOS):
        ratio = _SAMPLE_ASPECT_RATIOS[index]
    return ratio if ratio[0] and ratio[1] else (1, 1)


def read_video_signal_type(bits: BitReader) -> Colour | None:
    """video_format to matrix_coeffs (H.264, E.1.1; HEVC, E.2.1)."""
    bits.u(3)
    full_range = bits.flag()
    if not bits.flag():
        return None
    return Colour(bits.u(8), bits.u(8), bits.u(8), full_range)


def frame_rate_of(ticks_per_second: int, ticks_per_frame: int) -> Fraction | None:
    """A stated frame rate, or None where it makes no sense."""
    if not ticks_per_second or not ticks_per_frame:
        return None
    rate = Fraction(ticks_per_second, ticks_per_frame)
    return rate if Fraction(1, 100) <= rate <= _MAX_FRAME_RATE else None
