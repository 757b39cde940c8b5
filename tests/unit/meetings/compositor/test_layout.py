"""Where tiles stand, for every count on every canvas."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headwater.meetings.compositor import layout
from headwater.meetings.compositor.layout import Placement, Rect

WIDTHS = st.integers(layout.MIN_WIDTH // 2, layout.MAX_WIDTH // 2).map(lambda half: 2 * half)
HEIGHTS = st.integers(layout.MIN_HEIGHT // 2, layout.MAX_HEIGHT // 2).map(lambda half: 2 * half)
COUNTS = st.integers(0, layout.MAX_TILES)


def sound(placement: Placement, width: int, height: int) -> None:
    """Even, on the canvas, not empty, and none over another."""
    rects = [*placement.tiles, *([placement.stage] if placement.stage else [])]
    for rect in rects:
        assert all(value % 2 == 0 for value in rect), rect
        assert rect.x >= 0, rect
        assert rect.y >= 0, rect
        assert rect.right <= width, rect
        assert rect.bottom <= height, rect
        assert rect.width >= 2, rect
        assert rect.height >= 2, rect
    for i, one in enumerate(rects):
        for other in rects[i + 1 :]:
            apart_x = one.right <= other.x or other.right <= one.x
            assert apart_x or one.bottom <= other.y or other.bottom <= one.y, (one, other)


@given(COUNTS, WIDTHS, HEIGHTS)
def test_a_grid_is_sound(count: int, width: int, height: int) -> None:
    placement = layout.grid(count, width, height)
    assert len(placement.tiles) == count
    assert len({(tile.width, tile.height) for tile in placement.tiles}) <= 1, "all of one size"
    sound(placement, width, height)


@given(COUNTS, WIDTHS, HEIGHTS)
def test_a_stage_is_sound_and_the_largest(count: int, width: int, height: int) -> None:
    placement = layout.stage(count, width, height)
    assert len(placement.tiles) == min(count, layout.strip_room(width, height))
    sound(placement, width, height)
    assert placement.stage is not None
    area = placement.stage.width * placement.stage.height
    assert area * 2 > width * height
    assert all(tile.width * tile.height * 3 < area for tile in placement.tiles)


def test_one_tile_is_the_canvas() -> None:
    assert layout.grid(1, 1280, 720).tiles == (Rect(0, 0, 1280, 720),)


def test_two_stand_side_by_side_and_four_in_a_square() -> None:
    first, second = layout.grid(2, 1280, 720).tiles
    assert (first.y, first.width, first.height) == (second.y, 628, 352)
    assert first.right < second.x
    tiles = layout.grid(4, 1280, 720).tiles
    assert len({tile.x for tile in tiles}) == len({tile.y for tile in tiles}) == 2


def test_a_tall_canvas_stacks_two() -> None:
    first, second = layout.grid(2, 360, 640).tiles
    assert first.x == second.x
    assert first.bottom < second.y


def test_the_last_row_is_centred() -> None:
    tiles = layout.grid(5, 1280, 720).tiles
    last_row = [tile for tile in tiles if tile.y == tiles[-1].y]
    assert len(last_row) == 2
    assert abs(last_row[0].x - (1280 - last_row[-1].right)) <= 2


def test_gaps_hold_the_speakers_mark() -> None:
    space = layout.gap(1280, 720)
    one, other = layout.grid(2, 1280, 720).tiles
    assert other.x - one.right >= space
    assert one.x >= space


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 900), st.integers(1, 500))
def test_a_picture_is_fitted_without_distortion(width: int, height: int, half_w: int, half_h: int) -> None:
    into = Rect(10, 20, 2 * half_w, 2 * half_h)
    rect = layout.fitted(width, height, into)
    assert all(value % 2 == 0 for value in rect)
    assert into.x <= rect.x
    assert into.y <= rect.y
    assert rect.right <= into.right
    assert rect.bottom <= into.bottom
    assert rect.width == into.width or rect.height == into.height
    # Even sizes are at most one pixel away from the exact ones, but for pictures thinner than the two that must be.
    scale = min(into.width / width, into.height / height)
    assert abs(rect.width - max(2, width * scale)) <= 2
    assert abs(rect.height - max(2, height * scale)) <= 2


def test_a_picture_of_the_tiles_shape_fills_it() -> None:
    tile = layout.grid(4, 1280, 720).tiles[0]
    rect = layout.fitted(640, 360, tile)
    assert rect.width * rect.height > 0.99 * tile.width * tile.height
