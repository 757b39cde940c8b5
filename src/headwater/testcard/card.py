"""The picture of the test card: drawn once, then only what moves is repainted.

    Headwater                                                       ┌───────┐
    1280x720 30 fps h264                                            │ flash │   white for 100 ms at each second
       ╭─────╮                                                      └───────┘
       │ dial│   12:34:56.7          wall clock, UTC, tenths
       ╰─────╯   2026-11-24   frame 000123
    ▒▒▒▒ colour bars ▒▒▒▒▒
    ░░░░ a band that moves to the left ░░░░
    █ ██ █ █   the clock for machines (barcode.py)

The picture is one array of planar YUV 4:2:0 (BT.709, video range). Digits are prepared as glyphs and copied; the dial
is a comparison with a prepared array of angles. The layout is made for 1280x720 and scaled to fit, centred.
"""

from __future__ import annotations

import colorsys
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from headwater.testcard import barcode

Plane = NDArray[np.uint8]

BLACK, WHITE = 16, 235
FLASH_MS = 100
BAND_PIXELS_PER_S = 120
DESIGN_WIDTH, DESIGN_HEIGHT = 1280, 720

BACKGROUND_TOP, BACKGROUND_BOTTOM = (18, 30, 52), (8, 13, 24)
GRID = (34, 50, 78)
TEXT, MUTED = (240, 244, 250), (150, 166, 190)
PANEL = (0, 0, 0)
TEAL = (45, 190, 180)
BARS = [(192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192)]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; all of its numbers are even, so that it lies on whole chroma samples."""

    x: int
    y: int
    width: int
    height: int

    def cut(self, plane: Plane) -> Plane:
        """This rectangle of the Y plane."""
        return plane[self.y : self.y + self.height, self.x : self.x + self.width]

    def cut_chroma(self, plane: Plane) -> Plane:
        """This rectangle of a U or V plane."""
        x, y = self.x // 2, self.y // 2
        return plane[y : y + self.height // 2, x : x + self.width // 2]


class Layout:
    """Where things stand, in pixels of a picture of this size."""

    def __init__(self, width: int, height: int) -> None:
        self.scale = min(width / DESIGN_WIDTH, height / DESIGN_HEIGHT)
        self._left = (width - DESIGN_WIDTH * self.scale) / 2
        self._top = (height - DESIGN_HEIGHT * self.scale) / 2
        self.flash = self.box(1032, 56, 120, 120)
        self.dial = self.box(128, 212, 240, 240)
        self.clock = self.box(416, 220, 736, 144)
        self.counter = self.box(912, 384, 240, 52)
        self.date = self.box(416, 384, 480, 52)
        self.bars = self.box(128, 488, 1024, 72)
        self.band = self.box(128, 576, 1024, 32)
        top, bottom = barcode.rows(height)
        # The barcode's place is a fraction of the picture, so the bands above it must end above it in any shape.
        self.barcode = (top, bottom)

    def box(self, x: float, y: float, width: float, height: float) -> Box:
        """A rectangle of the 1280x720 design in this picture."""
        left, top = self.point(x, y)
        return Box(left, top, max(2, _even(width * self.scale)), max(2, _even(height * self.scale)))

    def point(self, x: float, y: float) -> tuple[int, int]:
        """A point of the 1280x720 design in this picture."""
        return _even(self._left + x * self.scale), _even(self._top + y * self.scale)

    def font(self, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
        """Pillow's own font, at a height in design pixels."""
        return ImageFont.load_default(max(6.0, size * self.scale))


class Card:
    """Paints frames.

    Args:
        width: Pixels, even.
        height: Pixels, even.
        fps: Frames per second, as shown.
        title: The large line.
        detail: The line below, beside the size and the rate.
    """

    def __init__(self, width: int, height: int, fps: Fraction, title: str = "Headwater", detail: str = "") -> None:
        self.layout = layout = Layout(width, height)
        self.pixels = _to_yuv(_background(layout, width, height, fps, title, detail))
        self.y, self.u, self.v = planes(self.pixels, width, height)
        self._clock = _Text(layout.clock, layout.font(124), "0123456789:.")
        self._date = _Text(layout.date, layout.font(40), "0123456789-UTC ")
        self._counter = _Text(layout.counter, layout.font(40), "0123456789#")
        self._dial = _Dial(layout.dial)
        self._band = _Band(layout.band)
        self._edges = barcode.block_edges(width)
        self._frame = av.VideoFrame.from_numpy_buffer(self.pixels, "yuv420p")

    def paint(self, wall_ms: int, number: int) -> av.VideoFrame:
        """The frame of an instant.

        Args:
            wall_ms: The capture instant, milliseconds since the Unix epoch.
            number: The frame's number, shown as its counter.

        Returns:
            A frame over this card's own memory: it changes with the next call.
        """
        seconds, rest = divmod(wall_ms, 1000)
        now = time.gmtime(seconds)
        self._clock.paint(self.y, f"{now.tm_hour:02}:{now.tm_min:02}:{now.tm_sec:02}.{rest // 100}")
        self._date.paint(self.y, f"{now.tm_year:04}-{now.tm_mon:02}-{now.tm_mday:02} UTC")
        self._counter.paint(self.y, f"#{number % 1_000_000:06}")
        self._dial.paint(self.y, rest / 1000)
        self._band.paint(self.y, self.u, self.v, wall_ms * BAND_PIXELS_PER_S // 1000)
        self.layout.flash.cut(self.y)[4:-4, 4:-4] = WHITE if rest < FLASH_MS else BLACK
        self._paint_barcode(wall_ms)
        return self._frame

    def _paint_barcode(self, wall_ms: int) -> None:
        top, bottom = self.layout.barcode
        bits = np.array(barcode.encode(wall_ms))
        row = np.repeat(np.where(bits, WHITE, BLACK).astype(np.uint8), np.diff(self._edges))
        self.y[top:bottom, self._edges[0] : self._edges[-1]] = row


def planes(pixels: Plane, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Views of the Y, U and V planes of a planar 4:2:0 array of shape (height * 3 / 2, width)."""
    flat = pixels.reshape(-1)
    luma, chroma = width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        flat[:luma].reshape(height, width),
        flat[luma : luma + chroma].reshape(half),
        flat[luma + chroma :].reshape(half),
    )


class _Text:
    """A line of text of few characters, digits all of one width, repainted where it changes."""

    def __init__(self, box: Box, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, characters: str) -> None:
        self._box = box
        digit = max(font.getlength(character) for character in "0123456789")
        self._widths = {c: int(digit if c.isdigit() else font.getlength(c)) + 1 for c in characters}
        self._glyphs = {character: self._glyph(font, character) for character in characters}
        self._shown: list[str] = []

    def _glyph(self, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, character: str) -> Plane:
        width = self._widths[character]
        image = Image.new("L", (width, self._box.height), BLACK)
        draw = ImageDraw.Draw(image)
        draw.text((width / 2, self._box.height / 2), character, fill=WHITE, font=font, anchor="mm")
        return np.asarray(image)

    def paint(self, luma: Plane, text: str) -> None:
        target = self._box.cut(luma)
        left = max(0, (self._box.width - sum(self._widths[character] for character in text)) // 2)
        self._shown += [""] * (len(text) - len(self._shown))
        for i, character in enumerate(text):
            width = self._widths[character]
            if self._shown[i] != character:
                place = target[:, left : left + width]
                place[:] = self._glyphs[character][:, : place.shape[1]]
                self._shown[i] = character
            left += width


class _Dial:
    """A disc that fills once a second, clockwise from the top."""

    def __init__(self, box: Box) -> None:
        self._box = box
        y, x = np.mgrid[0 : box.height, 0 : box.width].astype(np.float32)
        x, y = x - (box.width - 1) / 2, y - (box.height - 1) / 2
        radius = box.height / 2
        distance = np.hypot(x, y)
        turn = (np.arctan2(x, -y) / (2 * np.pi)) % 1
        inside = distance < radius * 0.94
        self._turn = np.where(inside, turn, np.float32(2)).astype(np.float32)
        self._dark: Plane | None = None
        self._bright = np.full((box.height, box.width), 150, np.uint8)

    def paint(self, luma: Plane, phase: float) -> None:
        target = self._box.cut(luma)
        if self._dark is None:
            self._dark = target.copy()
        np.copyto(target, self._dark)
        np.copyto(target, self._bright, where=self._turn <= phase)


class _Band:
    """A rainbow that moves to the left, two pixels at a time."""

    def __init__(self, box: Box) -> None:
        self._box = box
        hues = [colorsys.hsv_to_rgb(6 * x / box.width % 1, 0.7, 0.9) for x in range(box.width)]
        row = (np.array([hues + hues]) * 255).astype(np.uint8)
        image = Image.fromarray(np.repeat(row, box.height, axis=0))
        self._planes = planes(_to_yuv(image), 2 * box.width, box.height)

    def paint(self, luma: Plane, u: Plane, v: Plane, position: int) -> None:
        box = self._box
        x = position % box.width // 2
        y_all, u_all, v_all = self._planes
        box.cut(luma)[:] = y_all[:, 2 * x : 2 * x + box.width]
        box.cut_chroma(u)[:] = u_all[:, x : x + box.width // 2]
        box.cut_chroma(v)[:] = v_all[:, x : x + box.width // 2]


def _background(layout: Layout, width: int, height: int, fps: Fraction, title: str, detail: str) -> Image.Image:
    ramp = np.linspace(0, 1, height)[:, None, None]
    colours = np.array(BACKGROUND_TOP) * (1 - ramp) + np.array(BACKGROUND_BOTTOM) * ramp
    image = Image.fromarray(np.broadcast_to(colours, (height, width, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    _grid(draw, layout, width, height)
    draw.text(layout.point(128, 40), title, fill=TEXT, font=layout.font(72))
    line = "   ".join(filter(None, (f"{width}x{height}", f"{float(fps):g} fps", detail)))
    draw.text(layout.point(130, 132), line, fill=MUTED, font=layout.font(30))
    draw.text(layout.point(850, 102), "beep + flash", fill=MUTED, font=layout.font(28))
    for panel in (layout.clock, layout.counter, layout.date):
        draw.rectangle(_corners(panel, 2), fill=PANEL)
    thin = max(1, int(2 * layout.scale))
    draw.rectangle(_corners(layout.flash, 0), fill=(16, 16, 16), outline=(128, 128, 128), width=thin)
    draw.ellipse(_corners(layout.dial, 0), fill=(14, 60, 60), outline=TEAL, width=max(1, int(3 * layout.scale)))
    for i, colour in enumerate(BARS):
        x0 = layout.bars.x + layout.bars.width * i // len(BARS)
        x1 = layout.bars.x + layout.bars.width * (i + 1) // len(BARS)
        draw.rectangle((x0, layout.bars.y, x1 - 1, layout.bars.y + layout.bars.height - 1), fill=colour)
    top, bottom = layout.barcode
    quiet = max(2, (bottom - top) // 6)
    edges = barcode.block_edges(width)
    draw.rectangle((edges[0] - quiet, top - quiet, edges[-1] + quiet - 1, bottom + quiet - 1), fill=(128, 128, 128))
    return image


def _grid(draw: ImageDraw.ImageDraw, layout: Layout, width: int, height: int) -> None:
    step = max(8, _even(64 * layout.scale))
    for x in range(step, width, step):
        draw.line((x, 0, x, height), fill=GRID)
    for y in range(step, height, step):
        draw.line((0, y, width, y), fill=GRID)
    draw.rectangle((0, 0, width - 1, height - 1), outline=TEXT)


def _corners(box: Box, margin: int) -> tuple[int, int, int, int]:
    return box.x - margin, box.y - margin, box.x + box.width + margin - 1, box.y + box.height + margin - 1


def _to_yuv(image: Image.Image) -> Plane:
    frame = (
        cast(Any, av.VideoFrame)
        .from_image(image)
        .reformat(format="yuv420p", dst_colorspace="ITU709", src_color_range="JPEG", dst_color_range="MPEG")
    )
    return np.ascontiguousarray(frame.to_ndarray())


def _even(value: float) -> int:
    return int(value) // 2 * 2
