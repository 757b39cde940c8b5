"""What is written: names on tiles, initials where no camera is on, the slate. Pillow paints, numpy keeps."""

from __future__ import annotations

import unicodedata
import zlib
from functools import lru_cache
from typing import NamedTuple

from PIL import Image, ImageDraw

from headwater.meetings.compositor import pixels
from headwater.meetings.compositor.fonts import Font, font_for
from headwater.meetings.compositor.pixels import Colour, Overlay, Planes

MAX_TEXT = 80
"""Letters of a name that are looked at: more fit nowhere."""

MIN_FONT = 11
"""Pixels. Below that nobody reads it, on any canvas."""

GROUND: Colour = (12, 16, 24)
TILE: Colour = (32, 38, 50)
SPEAKING: Colour = (45, 212, 150)
TEXT: Colour = (245, 247, 250)
MUTED_TEXT: Colour = (158, 170, 190)
RED: Colour = (235, 70, 70)
PILL_OPACITY = 175

_DISCS: tuple[Colour, ...] = (
    (66, 99, 190),
    (24, 122, 120),
    (158, 76, 130),
    (176, 92, 40),
    (92, 84, 180),
    (54, 124, 66),
    (170, 62, 74),
    (60, 106, 140),
)
_PAUSE = "…"


class Line(NamedTuple):
    """A picture, and where its upper left corner goes; even."""

    x: int
    y: int
    planes: Planes


def clean(text: str) -> str:
    """A name as it can be painted: one line, no control or direction signs, not longer than MAX_TEXT."""
    kept = "".join(" " if letter.isspace() else letter for letter in text[: 4 * MAX_TEXT])
    kept = "".join(letter for letter in kept if unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co", "Cn"))
    return " ".join(kept.split())[:MAX_TEXT]


def initials(name: str) -> str:
    """The first letters of the first and the last word, in capitals; `?` for nobody."""
    words = [word for word in clean(name).split() if word[0].isalnum()]
    if not words:
        return "?"
    letters = words[0][0] + (words[-1][0] if len(words) > 1 else "")
    return letters.upper()[:2]


def shortened(text: str, font: Font, width: float) -> str:
    """The text, cut and with an ellipsis where it is wider than `width` pixels; empty where not even that fits."""
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle].rstrip() + _PAUSE) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + _PAUSE if low else ""


def font_size(tile_height: int, canvas_height: int) -> int:
    """Of a name on a tile: a large tile's letters are not larger than they must be."""
    return max(MIN_FONT, round(min(tile_height * 0.07, canvas_height * 0.032)))


@lru_cache(maxsize=256)
def label(name: str, width: int, size: int, muted: bool) -> Overlay | None:
    """A name on a dark pill, with a crossed microphone in front where that is off.

    Args:
        width: Room, in pixels.
        size: Of the letters, in pixels.

    Returns:
        None where there is nothing to say, or no room to say it.
    """
    text = clean(name)
    font = font_for(text + _PAUSE, size)
    height = _even(size * 1.6)
    inset = size * 0.5
    mark = size * 1.15 if muted else 0.0
    text = shortened(text, font, width - 2 * inset - mark)
    if (not text and not muted) or width < height:
        return None
    needed = int(min(width, font.getlength(text) + 2 * inset + mark + 2)) & ~1
    image = Image.new("RGBA", (needed, height), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((0, 0, needed - 1, height - 1), height * 0.28, (8, 10, 14, PILL_OPACITY))
    if muted:
        _microphone(image, inset, size)
    if text:
        # The height of letters, not of this text's: names on neighbouring tiles stand on one line.
        draw.text((inset + mark, height / 2), text, (*TEXT, 255), font, anchor="lm")
    return pixels.overlay(image)


@lru_cache(maxsize=128)
def disc(key: str, text: str, size: int) -> Overlay:
    """A disc with initials, for a tile without a camera; its colour comes from `key` and is the same each time.

    Args:
        size: Width and height in pixels, even.
    """
    image = Image.new("RGBA", (2 * size, 2 * size), (*TILE, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((0, 0, 2 * size - 1, 2 * size - 1), _DISCS[zlib.crc32(key.encode()) % len(_DISCS)])
    letters = max(8, round(size * (0.8 if len(text) <= 2 else 0.62)))
    draw.text((size, size), text, TEXT, font_for(text, letters), anchor="mm")
    return pixels.overlay(image.resize((size, size), Image.Resampling.BOX))


def disc_size(width: int, height: int) -> int:
    """Of the disc on a tile."""
    return max(2, _even(min(width, height) * 0.54))


def slate(title: str, width: int, height: int, below: str = "Waiting for somebody to join") -> list[Line]:
    """What is shown while nobody is there: the meeting's title; lines to be put on the empty canvas."""
    size = max(18, round(min(height * 0.095, width * 0.06)))
    small = max(MIN_FONT + 1, round(size * 0.42))
    middle = height * 0.47
    lines = [
        _line(clean(title) or "Meeting", size, TEXT, width, middle),
        _line(below, small, MUTED_TEXT, width, middle + size * 1.05 + small * 1.7),
    ]
    bar = Image.new("RGB", (max(2, _even(width * 0.06)), max(2, _even(size / 14))), SPEAKING)
    lines.append(Line(_even(width / 2 - bar.width / 2), _even(middle + size * 1.05), pixels.picture(bar)))
    return lines


def _line(text: str, size: int, colour: Colour, width: int, y: float) -> Line:
    """A centred line of text on GROUND; no larger a picture than it needs, for turning it to YUV takes time."""
    font = font_for(text + _PAUSE, size)
    text = shortened(text, font, width * 0.86)
    image = Image.new("RGB", (max(2, _even(min(width, font.getlength(text) + size))), _even(size * 1.8)), GROUND)
    ImageDraw.Draw(image).text((image.width / 2, image.height / 2), text, colour, font, anchor="mm")
    return Line(_even((width - image.width) / 2 - 0.5), _even(y - image.height / 2), pixels.picture(image))


def _microphone(image: Image.Image, left: float, size: int) -> None:
    """A microphone, crossed out, as high as the letters; painted four times as large and made smaller."""
    scale, height = 4, image.height
    side = round(size * 0.95) * scale
    big = Image.new("RGBA", (side, side), (*RED, 0))
    draw = ImageDraw.Draw(big)
    line = max(scale, side // 11)
    middle = side / 2
    draw.rounded_rectangle((middle - side * 0.15, side * 0.05, middle + side * 0.15, side * 0.55), side * 0.15, RED)
    draw.arc((middle - side * 0.28, side * 0.16, middle + side * 0.28, side * 0.72), 10, 170, RED, line)
    draw.line((middle, side * 0.72, middle, side * 0.92), RED, line)
    draw.line((middle - side * 0.18, side * 0.92, middle + side * 0.18, side * 0.92), RED, line)
    draw.line((side * 0.12, side * 0.06, side * 0.88, side * 0.9), RED, line)
    mark = big.resize((side // scale, side // scale), Image.Resampling.LANCZOS)
    image.alpha_composite(mark, (round(left - size * 0.1), (height - mark.height) // 2))


def _even(value: float) -> int:
    return 2 * round(value / 2)
