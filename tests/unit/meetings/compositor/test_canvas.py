"""What is painted, and that only what is new is."""

from __future__ import annotations

import av
import numpy as np
import pytest

from headwater.meetings.compositor import labels, pixels
from headwater.meetings.compositor.canvas import Canvas, TileView, paint_slate
from headwater.meetings.compositor.layout import Rect, fitted
from headwater.meetings.compositor.scene import Scene, Tile
from headwater.meetings.tap import ParticipantView

ADA = ParticipantView("a", "Ada")


def plain(colour: pixels.Colour, width: int = 320, height: int = 180) -> av.VideoFrame:
    """A frame of one colour."""
    return Canvas_of(colour, width, height).frame


def Canvas_of(colour: pixels.Colour, width: int, height: int) -> Canvas:
    canvas = Canvas(width, height)
    canvas.fill(Rect(0, 0, width, height), colour)
    return canvas


def colour_at(canvas: Canvas, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(plane[y >> shift, x >> shift]) for plane, shift in zip(canvas.planes, (0, 1, 1), strict=True))


def tile(rect: Rect, *, video: bool = True, speaking: bool = False, muted: bool = False) -> Tile:
    return Tile(rect, ADA, video=video, speaking=speaking, muted=muted)


RED, GREEN = (220, 30, 30), (30, 200, 60)


def test_a_frame_is_fitted_into_its_tile_and_nothing_else_changes() -> None:
    canvas, rect = Canvas(640, 360), Rect(100, 60, 320, 180)
    view = TileView(canvas)
    view.show(tile(rect), plain(RED, 160, 180))
    inside = fitted(160, 180, rect)
    assert colour_at(canvas, inside.x + 2, inside.y + 2) == pixels.yuv(RED)
    assert colour_at(canvas, inside.right - 1, inside.y + 2) == pixels.yuv(RED)
    assert colour_at(canvas, inside.x - 2, inside.y + 2) == pixels.yuv(labels.TILE)
    assert colour_at(canvas, 2, 2) == pixels.yuv(labels.GROUND)


def test_a_frame_of_the_tiles_size_is_copied_not_scaled() -> None:
    canvas = Canvas(640, 360)
    view = TileView(canvas)
    view.show(tile(Rect(0, 0, 320, 180)), plain(RED))
    view.paint(plain(GREEN))
    assert canvas.scaled == 0
    view.paint(plain(GREEN, 640, 360))
    assert canvas.scaled == 1


def test_a_label_over_bars_does_not_get_darker_with_each_frame() -> None:
    canvas = Canvas(640, 360)
    view = TileView(canvas)
    view.show(tile(Rect(0, 0, 640, 360), muted=True), plain(RED, 90, 180))
    before = [plane.copy() for plane in canvas.planes]
    for _ in range(10):
        view.paint(plain(RED, 90, 180))
    assert all(np.array_equal(one, other) for one, other in zip(before, canvas.planes, strict=True))


def test_initials_where_no_camera_is_on() -> None:
    canvas = Canvas(640, 360)
    view = TileView(canvas)
    view.show(tile(Rect(0, 0, 640, 360), video=False), plain(RED))
    assert colour_at(canvas, 10, 10) == pixels.yuv(labels.TILE)
    assert canvas.planes[0][100:240, 250:390].max() > 200


def test_the_speaker_has_a_frame_around_the_tile_until_silent() -> None:
    canvas, rect = Canvas(640, 360), Rect(100, 60, 320, 180)
    view = TileView(canvas)
    view.show(tile(rect, speaking=True), plain(RED))
    assert colour_at(canvas, rect.x - 1, rect.y + 20) == pixels.yuv(labels.SPEAKING)
    assert colour_at(canvas, rect.x + 2, rect.y + 2) == pixels.yuv(RED)
    view.show(tile(rect), plain(RED))
    assert colour_at(canvas, rect.x - 1, rect.y + 20) == pixels.yuv(labels.GROUND)


@pytest.mark.parametrize("odd", [(321, 181), (2, 2), (1, 1), (3840, 64)])
def test_odd_sizes_are_painted(odd: tuple[int, int]) -> None:
    canvas = Canvas(640, 360)
    frame = av.VideoFrame.from_ndarray(np.full((odd[1], odd[0], 3), 200, np.uint8), "rgb24").reformat(format="yuv420p")
    TileView(canvas).show(tile(Rect(0, 0, 640, 360)), frame)


def test_colours_of_hd_and_of_full_range_become_the_canvass() -> None:
    """A frame that says BT.709 or full range looks as it does elsewhere: red stays red."""
    rgb = np.full((180, 320, 3), RED, np.uint8)
    for colours, colour_range in (("ITU709", "MPEG"), ("ITU601", "JPEG")):
        frame = av.VideoFrame.from_ndarray(rgb, "rgb24").reformat(
            format="yuv420p", dst_colorspace=colours, dst_color_range=colour_range
        )
        frame.colorspace = 1 if colours == "ITU709" else 6
        frame.color_range = 2 if colour_range == "JPEG" else 1
        canvas = Canvas(320, 180)
        TileView(canvas).show(tile(Rect(0, 0, 320, 180)), frame)
        seen = colour_at(canvas, 100, 50)
        assert max(abs(one - other) for one, other in zip(seen, pixels.yuv(RED), strict=True)) <= 4, colours


def test_a_slate_covers_everything() -> None:
    canvas = Canvas_of(RED, 640, 360)
    paint_slate(canvas, Scene("Title", ()))
    assert colour_at(canvas, 1, 1) == colour_at(canvas, 638, 358) == pixels.yuv(labels.GROUND)
