"""Fonts for names of any script: the first of the machine's that has every letter of a text, else Pillow's own.

DejaVu Sans (Debian and Ubuntu: fonts-dejavu-core) has Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, Georgian and
many signs; Noto's files have the rest where they are installed. Pillow's own font has Latin, so names in another
script become boxes on a machine without fonts; `headwater doctor` need not complain, viewers still see who it is.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache

from PIL import ImageFont

FOLDERS = (
    "/usr/share/fonts/truetype/dejavu",
    "/usr/share/fonts/dejavu",
    "/usr/share/fonts/dejavu-sans-fonts",
    "/usr/share/fonts/TTF",
    "/usr/share/fonts/truetype/noto",
    "/usr/share/fonts/opentype/noto",
    "/usr/share/fonts/noto",
    "/usr/share/fonts/noto-cjk",
    "/usr/share/fonts/google-noto",
    "/usr/local/share/fonts",
    "/System/Library/Fonts/Supplemental",
)
FILES = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansDevanagari-Regular.ttf",
    "NotoSansBengali-Regular.ttf",
    "NotoSansTamil-Regular.ttf",
    "NotoSansThai-Regular.ttf",
    "NotoSansArabic-Regular.ttf",
    "NotoSansHebrew-Regular.ttf",
    "NotoSansSymbols2-Regular.ttf",
    "NotoEmoji-Regular.ttf",
    "Arial Unicode.ttf",
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_MISSING = "\U0010fffe"
"""No font has a letter there: it is drawn as whatever the font draws for what it lacks."""


@cache
def available() -> tuple[str, ...]:
    """The font files of this machine, in order of preference."""
    paths = (os.path.join(folder, name) for name in FILES for folder in FOLDERS)
    return tuple(path for path in paths if os.path.exists(path))


def font_for(text: str, size: int, files: Sequence[str] | None = None) -> Font:
    """A font that has the letters of a text; where none has all, the one that has the most.

    Args:
        size: Height in pixels.
        files: Instead of `available()`.
    """
    best, best_missing = None, len(text) + 1
    for path in available() if files is None else files:
        font = _load(path, size)
        if font is None:
            continue
        missing = sum(not _has(path, letter) for letter in text if letter.isprintable() and letter != " ")
        if not missing:
            return font
        if missing < best_missing:
            best, best_missing = font, missing
    return best if best is not None else ImageFont.load_default(size)


@lru_cache(maxsize=256)
def _load(path: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(path, size)
    except OSError:  # not a font, whatever its name says
        return None


@lru_cache(maxsize=65_536)
def _has(path: str, letter: str) -> bool:
    return _shape(path, letter) != _missing_shape(path)


@cache
def _missing_shape(path: str) -> tuple[tuple[int, int], bytes]:
    return _shape(path, _MISSING)


def _shape(path: str, letter: str) -> tuple[tuple[int, int], bytes]:
    font = _load(path, 20)
    assert font is not None, "loaded before"
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
