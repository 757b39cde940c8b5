"""The moving test picture: drawn once, and from then on only where it moves.

┌──────────────────────────────────────────────┐
│ colour bars                        flash ■   │   the flash is white for 100 ms from each whole second on,
│                                              │   while the beep sounds
│   HEADWATER   1280x720 30 fps                │
│   14:23:07.4          frame 12345            │
│   ▬▬▬▬▬▬▬▬▬●───────────── (one turn a second)│
│ ▌▌ ▌ ▌▌▌ barcode: the wall clock in ms       │
└──────────────────────────────────────────────┘
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headwater.testcard import barcode

FLASH_MS = 100
BARS = ((180, 180, 180), (180, 180, 16), (16, 180, 180), (16, 180, 16), (180, 16, 180), (180, 16, 16), (16, 16, 180))
BACKGROUND, INK, ACCENT = (18, 22, 33), (236, 240, 247), (56, 189, 248)
BLACK_LUMA, WHITE_LUMA, NEUTRAL = 16, 235, 128
DIGITS = "0123456789:."


class Picture:
    """Paints frames of one size into a YUV 4:2:0 canvas."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        """
        Args:
            width: Even, at least 160.
            height: Even, at least 90.
            fps: Named on the card; nothing else depends on it.
        """
        self.width, self.height = width, height
        self._y, self._u, self._v = to_yuv420(self._draw(fps))
        self._glyphs = self._make_glyphs(max(10, height // 9))
        self._small = self._make_glyphs(max(8, height // 18))
        self._edges = list(pairwise(barcode.block_edges(width)))
        self._bar_rows = slice(*barcode.rows(height))

    def paint(self, ms: int, frame: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
        """One frame: the planes Y, U, V, which are the canvas itself and are painted over by the next call.

        Args:
            ms: Its intended capture instant, wall-clock milliseconds since the Unix epoch.
            frame: Its number.
        """
        self._clock(ms)
        self._write(self._small, f"{frame:08}", self._x(0.62), self._line(0.62))
        self._sweep(ms)
        self._flash(ms)
        for (left, right), bit in zip(self._edges, barcode.encode(ms), strict=True):
            self._y[self._bar_rows, left:right] = WHITE_LUMA if bit else BLACK_LUMA
        return self._y, self._u, self._v

    # -- what moves ---------------------------------------------------------------------------------------------

    def _clock(self, ms: int) -> None:
        now = time.gmtime(ms // 1000)
        text = f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}.{ms // 100 % 10}"
        self._write(self._glyphs, text, self._x(0.1), self._line(0.58))

    def _write(self, glyphs: dict[str, NDArray[np.uint8]], text: str, x: int, y: int) -> None:
        for character in text:
            glyph = glyphs[character]
            height, width = glyph.shape
            if x + width > self.width:
                return
            self._y[y : y + height, x : x + width] = glyph
            x += width

    def _sweep(self, ms: int) -> None:
        """A bar that fills once a second: motion that an eye can judge for smoothness."""
        left, right = self._x(0.1), self._x(0.9)
        top, bottom = self._line(0.78), self._line(0.80)
        at = left + (right - left) * (ms % 1000) // 1000
        self._y[top:bottom, left:at] = 168
        self._y[top:bottom, at:right] = 40

    def _flash(self, ms: int) -> None:
        size = self.height // 8
        x, y = self._x(0.9) - size, self._line(0.30)
        self._y[y : y + size, x : x + size] = WHITE_LUMA if ms % 1000 < FLASH_MS else BLACK_LUMA

    # -- what stays ---------------------------------------------------------------------------------------------

    def _draw(self, fps: int) -> Image.Image:
        image = Image.new("RGB", (self.width, self.height), BACKGROUND)
        draw = ImageDraw.Draw(image)
        for index, colour in enumerate(BARS):
            left, right = self.width * index // len(BARS), self.width * (index + 1) // len(BARS)
            draw.rectangle((left, 0, right - 1, self.height // 4), fill=colour)
        draw.rectangle((0, self.height // 4, self.width, self.height // 4 + max(2, self.height // 180)), fill=ACCENT)
        draw.text((self._x(0.1), self._line(0.32)), "HEADWATER", font=font(self.height // 9), fill=INK)
        label = f"{self.width} x {self.height}   {fps} fps   UTC"
        draw.text((self._x(0.1), self._line(0.47)), label, font=font(self.height // 22), fill=ACCENT)
        draw.text((self._x(0.62), self._line(0.57)), "frame", font=font(self.height // 26), fill=ACCENT)
        return image

    def _make_glyphs(self, size: int) -> dict[str, NDArray[np.uint8]]:
        """Digits as luma blocks of one width, so that the clock does not jump."""
        face = font(size)
        width = max(round(face.getlength(digit)) for digit in "0123456789")
        glyphs = {}
        for character in DIGITS:
            image = Image.new("L", (width if character.isdigit() else width // 2, size * 5 // 4), 0)
            ImageDraw.Draw(image).text((0, 0), character, font=face, fill=255)
            levels = np.asarray(image, dtype=np.uint16)
            background = 16 + 219 * (BACKGROUND[0] * 299 + BACKGROUND[1] * 587 + BACKGROUND[2] * 114) // 255_000
            glyphs[character] = (background + levels * (WHITE_LUMA - background) // 255).astype(np.uint8)
        return glyphs

    def _x(self, share: float) -> int:
        return round(self.width * share)

    def _line(self, share: float) -> int:
        return round(self.height * share)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own face: no font has to be installed."""
    return ImageFont.load_default(size=max(8, size))


def to_yuv420(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture in video range, ITU-R BT.709 like every HD stream, planes of shapes (h, w), (h/2, w/2), (h/2, w/2)."""
    rgb = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    halves = (slice(None, None, 2), slice(None, None, 2))
    u = NEUTRAL + 224 * ((blue - luma) / 1.8556)[halves]
    v = NEUTRAL + 224 * ((red - luma) / 1.5748)[halves]
    y = BLACK_LUMA + 219 * luma
    return tuple(np.clip(np.rint(plane), 0, 255).astype(np.uint8) for plane in (y, u, v))  # type: ignore[return-value]
