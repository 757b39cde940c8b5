"""Where the tiles stand: numbers in, even pixel rectangles out. Pure.

    grid, 5 tiles                 stage with a film strip
    ┌────┐┌────┐┌────┐            ┌──────────────┐┌───┐
    └────┘└────┘└────┘            │              │└───┘
       ┌────┐┌────┐               │    stage     │┌───┐
       └────┘└────┘               └──────────────┘└───┘

Everything is even, so that it lies on whole chroma samples of a 4:2:0 picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

MAX_TILES = 25
"""On a 720p canvas 25 tiles are 244 pixels wide: a face can still be told, and a name read."""

MAX_STRIP_TILES = 6
MIN_WIDTH, MIN_HEIGHT = 320, 180
MAX_WIDTH, MAX_HEIGHT = 1920, 1080

TILE_ASPECT = (16, 9)
_GAP_SHARE = 90  # of the canvas's shorter side: 8 pixels at 720p
_STRIP_SHARE = 5  # the strip takes one fifth


class Rect(NamedTuple):
    """A rectangle in pixels; all four numbers are even."""

    x: int
    y: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    def grown(self, by: int) -> Rect:
        """`by` pixels more on each side; even."""
        return Rect(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)


@dataclass(frozen=True, slots=True)
class Placement:
    """A canvas divided up.

    Attributes:
        stage: The large place of a shared screen; None without one.
        tiles: One for each participant that is shown, in order.
    """

    stage: Rect | None
    tiles: tuple[Rect, ...]


def gap(width: int, height: int) -> int:
    """Pixels between tiles, even, at least 2; the active speaker's mark is painted into it."""
    return max(2, _even(min(width, height) / _GAP_SHARE))


def grid(count: int, width: int, height: int) -> Placement:
    """Tiles of 16:9, as large as fit, in rows of equal length; the last row centred. One tile fills the canvas.

    Args:
        count: 0 to MAX_TILES.
        width: Of the canvas, even.
        height: Of the canvas, even.
    """
    assert 0 <= count <= MAX_TILES, count
    canvas = Rect(0, 0, width, height)
    if count <= 1:
        return Placement(None, (canvas,) * count)
    return Placement(None, _rows(count, canvas, gap(width, height)))


def stage(count: int, width: int, height: int) -> Placement:
    """A large stage, and a strip of at most `strip_room` tiles beside it (or below it, on a tall canvas)."""
    space = gap(width, height)
    count = min(count, strip_room(width, height))
    if not count:
        return Placement(Rect(0, 0, width, height), ())
    beside = _beside(width, height)
    tile_width, tile_height = _strip_tile(width, height)
    if beside:
        large = Rect(0, 0, width - tile_width - 2 * space, height)
        first = _even((height - count * tile_height - (count - 1) * space) / 2)
        tiles = [
            Rect(large.right + space, first + i * (tile_height + space), tile_width, tile_height) for i in range(count)
        ]
    else:
        large = Rect(0, 0, width, height - tile_height - 2 * space)
        first = _even((width - count * tile_width - (count - 1) * space) / 2)
        tiles = [
            Rect(first + i * (tile_width + space), large.bottom + space, tile_width, tile_height) for i in range(count)
        ]
    return Placement(large, tuple(tiles))


def strip_room(width: int, height: int) -> int:
    """How many tiles a film strip holds, 1 to MAX_STRIP_TILES."""
    space = gap(width, height)
    tile_width, tile_height = _strip_tile(width, height)
    length, tile = (height, tile_height) if _beside(width, height) else (width, tile_width)
    return max(1, min(MAX_STRIP_TILES, (length - space) // (tile + space)))


def fitted(width: int, height: int, into: Rect) -> Rect:
    """The largest even rectangle of a picture's shape in the middle of a tile; nothing is cut off or distorted.

    Args:
        width: Of the picture, at least 1.
        height: Of the picture, at least 1.
    """
    if width * into.height >= height * into.width:
        w, h = into.width, max(2, _nearest_even(into.width * height / width))
    else:
        w, h = max(2, _nearest_even(into.height * width / height)), into.height
    w, h = min(w, into.width), min(h, into.height)
    return Rect(into.x + _even((into.width - w) / 2), into.y + _even((into.height - h) / 2), w, h)


def _rows(count: int, area: Rect, space: int) -> tuple[Rect, ...]:
    columns, tile_width, tile_height = max(
        (_cell(columns, -(-count // columns), area, space) for columns in range(1, count + 1)),
        key=lambda cell: (cell[1] * cell[2], -cell[0]),
    )
    rows = -(-count // columns)
    top = area.y + _even((area.height - rows * tile_height - (rows - 1) * space) / 2)
    tiles = []
    for index in range(count):
        row, column = divmod(index, columns)
        in_row = min(columns, count - row * columns)
        left = area.x + _even((area.width - in_row * tile_width - (in_row - 1) * space) / 2)
        tiles.append(
            Rect(left + column * (tile_width + space), top + row * (tile_height + space), tile_width, tile_height)
        )
    return tuple(tiles)


def _cell(columns: int, rows: int, area: Rect, space: int) -> tuple[int, int, int]:
    """(columns, width, height) of the largest 16:9 tile for a division; 0 where none fits."""
    width = (area.width - (columns + 1) * space) / columns
    height = (area.height - (rows + 1) * space) / rows
    if width < 2 or height < 2:
        return columns, 0, 0
    across, down = TILE_ASPECT
    width, height = min(width, height * across / down), min(height, width * down / across)
    return columns, max(2, _even(width)), max(2, _even(height))


def _beside(width: int, height: int) -> bool:
    return width * 3 >= height * 4


def _strip_tile(width: int, height: int) -> tuple[int, int]:
    across, down = TILE_ASPECT
    if _beside(width, height):
        tile_width = width / _STRIP_SHARE
        return _even(tile_width), _even(min(tile_width * down / across, height / 2))
    two_side_by_side = (width - 3 * gap(width, height)) / 2
    tile_width = min(height / _STRIP_SHARE * across / down, two_side_by_side)
    return _even(tile_width), _even(tile_width * down / across)


def _even(value: float) -> int:
    return int(value) & ~1


def _nearest_even(value: float) -> int:
    return 2 * round(value / 2)
