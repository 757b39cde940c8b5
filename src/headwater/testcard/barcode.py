"""A clock in the picture that a machine reads: one row of black and white blocks.

The row holds the wall-clock time of the frame's intended capture instant, in milliseconds since the Unix epoch.
Who sees the decoded picture subtracts it from its own clock and has the latency from glass to glass. Pure.

Geometry, as fractions of the picture, so that it survives scaling (at 1280x720 a block is one 16x48 pixel column of
whole macroblocks, which costs an H.264 encoder next to nothing and stays crisp at 500 kbit/s):

    left 1/10    right 9/10    top 8/9    bottom 43/45         64 blocks of equal width, block 0 on the left

    blocks   0 to  5    start pattern 1 0 1 0 1 1
            6 to 53    48 bits of milliseconds, most significant first
           54 to 61    CRC-8 (polynomial 0x07, initial value 0xFF) of those six bytes
           62 to 63    end pattern 0 1

A 1 is white, a 0 is black. To read block i of a picture W wide and H high, average the luma around
x = W * (1/10 + 4/5 * (i + 1/2) / 64) and y = H * 83/90; compare with the middle between the mean of the
patterns' white blocks and that of their black ones. In a browser:

    const c = new OffscreenCanvas(640, 360).getContext("2d", {willReadFrequently: true});
    c.drawImage(video, 0, 0, 640, 360);
    const row = c.getImageData(0, 332, 640, 1).data, luma = [];
    for (let i = 0; i < 64; i++) {
      const x = Math.floor(640 * (0.1 + 0.8 * (i + 0.5) / 64)) * 4;
      luma.push(0.299 * row[x] + 0.587 * row[x + 1] + 0.114 * row[x + 2]);
    }
    const one = luma.map(v => v > 128);          // then check the patterns and the CRC
    const ms = one.slice(6, 54).reduce((value, bit) => value * 2 + bit, 0);
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

START = (True, False, True, False, True, True)
END = (False, True)
TIME_BITS = 48
CRC_BITS = 8
BLOCKS = len(START) + TIME_BITS + CRC_BITS + len(END)

LEFT, RIGHT = 1 / 10, 9 / 10
TOP, BOTTOM = 8 / 9, 43 / 45

MAX_MS = (1 << TIME_BITS) - 1
MIN_CONTRAST = 48
"""Luma steps between white and black below which the row is taken for something else. Video black and white are 219
apart; a hundred is left after a hard compression."""


def encode(ms: int) -> list[bool]:
    """The blocks that show a time, from left to right; True is white.

    Args:
        ms: Milliseconds since the Unix epoch, 0 to 2**48 - 1.

    Raises:
        ValueError: the time does not fit.
    """
    if not 0 <= ms <= MAX_MS:
        raise ValueError(f"{ms} ms does not fit into {TIME_BITS} bits")
    return [*START, *_bits(ms, TIME_BITS), *_bits(_crc8(ms.to_bytes(TIME_BITS // 8, "big")), CRC_BITS), *END]


def decode(luma: Sequence[float]) -> int | None:
    """Read a time back from the brightness of the blocks.

    Args:
        luma: One value a block, from left to right, in any linear scale of 0 to 255 (full or video range).

    Returns:
        Milliseconds since the Unix epoch, or None: no row there, too little contrast, or a wrong CRC.
    """
    if len(luma) != BLOCKS:
        return None
    known = [*zip(START, luma, strict=False), *zip(END, luma[-len(END) :], strict=True)]
    white = [value for bit, value in known if bit]
    black = [value for bit, value in known if not bit]
    if min(white) - max(black) < MIN_CONTRAST:
        return None
    threshold = (sum(white) / len(white) + sum(black) / len(black)) / 2
    bits = [value > threshold for value in luma]
    ms = _number(bits[len(START) : len(START) + TIME_BITS])
    crc = _number(bits[len(START) + TIME_BITS : -len(END)])
    return ms if crc == _crc8(ms.to_bytes(TIME_BITS // 8, "big")) else None


def block_edges(width: int) -> list[int]:
    """The x coordinates of the blocks' edges in a picture of this width: BLOCKS + 1 values."""
    return [round(width * (LEFT + (RIGHT - LEFT) * i / BLOCKS)) for i in range(BLOCKS + 1)]


def rows(height: int) -> tuple[int, int]:
    """The first line of the row and the line after its last, in a picture of this height."""
    return round(height * TOP), round(height * BOTTOM)


def read(luma: NDArray[np.uint8]) -> int | None:
    """Read the time of a decoded picture.

    Args:
        luma: The Y plane, shape (height, width), values 0 to 255.

    Returns:
        Milliseconds since the Unix epoch, or None where there is no readable row.
    """
    height, width = luma.shape
    top, bottom = rows(height)
    inset = (bottom - top) // 4
    edges = block_edges(width)
    if bottom - top < 4 or width < 2 * BLOCKS:
        return None
    band = luma[top + inset : bottom - inset]
    # The middle half of each block: scaling and deblocking smear its edges.
    samples = []
    for left, right in pairwise(edges):
        quarter = (right - left) // 4
        samples.append(float(band[:, left + quarter : max(right - quarter, left + quarter + 1)].mean()))
    return decode(samples)


def _bits(value: int, count: int) -> list[bool]:
    return [bool(value >> shift & 1) for shift in range(count - 1, -1, -1)]


def _number(bits: Sequence[bool]) -> int:
    value = 0
    for bit in bits:
        value = value << 1 | bit
    return value


def _crc8(data: bytes) -> int:
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
