"""The canvas: one picture in planar YUV 4:2:0 that stays, painted only where something is new.

A tile's picture is scaled when a new frame comes for it, and at no other time. Whatever a participant sends becomes
this canvas's kind of pixels here; what cannot (an odd format) raises FFmpegError or ValueError.
"""

from __future__ import annotations

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from headwater.meetings.compositor import labels, layout, pixels
from headwater.meetings.compositor.layout import Rect
from headwater.meetings.compositor.pixels import Overlay, Plane, Planes
from headwater.meetings.compositor.scene import Scene, Tile

_BT709 = 1  # AVCOL_SPC_BT709
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_FULL_RANGE_FORMAT = "yuvj420p"


class Canvas:
    """A picture that is painted on.

    Attributes:
        frame: A frame over the canvas's own memory, for the encoder; it changes with every call.
        scaled: Frames that were scaled so far.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self._pixels: Plane = np.empty((height * 3 // 2, width), np.uint8)
        self.planes = pixels.split(self._pixels, width, height)
        self.frame = av.VideoFrame.from_numpy_buffer(self._pixels, "yuv420p")
        self.scaled = 0
        self.fill(Rect(0, 0, width, height), labels.GROUND)

    def fill(self, rect: Rect, colour: pixels.Colour) -> None:
        """One colour (RGB) all over a rectangle."""
        for plane, value, shift in zip(self.planes, pixels.yuv(colour), (0, 1, 1), strict=True):
            _cut(plane, rect, shift)[:] = value

    def put(self, planes: Planes, x: int, y: int) -> None:
        """Copy a picture to a place; it must fit."""
        for plane, source, shift in zip(self.planes, planes, (0, 1, 1), strict=True):
            height, width = source.shape
            plane[y >> shift : (y >> shift) + height, x >> shift : (x >> shift) + width] = source

    def blend(self, overlay: Overlay, x: int, y: int) -> None:
        """Lay an overlay over what is there."""
        rect = Rect(x, y, *overlay.size)
        for plane, colour, rest, shift in zip(self.planes, overlay.colour, overlay.rest, (0, 1, 1), strict=True):
            ground = _cut(plane, rect, shift)
            mixed = ground * rest
            mixed += colour
            mixed >>= 8
            ground[:] = mixed

    def frame_around(self, rect: Rect, thickness: int, colour: pixels.Colour) -> None:
        """A frame of `thickness` pixels (even) outside a rectangle, cut off where the canvas ends."""
        outer = rect.grown(thickness)
        for side in (
            Rect(outer.x, outer.y, outer.width, thickness),
            Rect(outer.x, rect.bottom, outer.width, thickness),
            Rect(outer.x, rect.y, thickness, rect.height),
            Rect(rect.right, rect.y, thickness, rect.height),
        ):
            left, top = max(0, side.x), max(0, side.y)
            right, bottom = min(self.width, side.right), min(self.height, side.bottom)
            if right > left and bottom > top:
                self.fill(Rect(left, top, right - left, bottom - top), colour)


class TileView:
    """One tile on the canvas: knows what it has painted, and where its label lies."""

    def __init__(self, canvas: Canvas) -> None:
        self._canvas = canvas
        self._reformatter = VideoReformatter()
        self._tile: Tile | None = None
        self._picture: Rect | None = None
        self._overlay: Overlay | None = None
        self._label = Rect(0, 0, 0, 0)

    def show(self, tile: Tile, frame: av.VideoFrame | None) -> None:
        """Paint the whole tile: after a change of the scene."""
        self._tile = tile
        self._picture = None
        rect = tile.rect
        self._mark(tile)
        self._place_label(tile)
        if frame is not None and tile.video:
            self.paint(frame)
            return
        self._canvas.fill(rect, labels.TILE)
        if tile.participant is None:
            self._put_disc("", f"+{tile.more}")
            return
        self._put_disc(tile.participant.id, labels.initials(tile.participant.name))
        self._blend_label()

    def paint(self, frame: av.VideoFrame) -> None:
        """Paint a new frame of the tile's source.

        Raises:
            av.FFmpegError, ValueError: it cannot be converted.
        """
        assert self._tile is not None, "shown before"
        rect = layout.fitted(frame.width, frame.height, self._tile.rect)
        picture = self._scale(frame, rect)
        if rect != self._picture:
            self._canvas.fill(self._tile.rect, labels.TILE)
            self._picture = rect
        elif self._overlay is not None and not _within(self._label, rect):
            self._canvas.fill(self._label, labels.TILE)  # else each frame would darken the ground a little more
        self._canvas.put(_planes_of(picture), rect.x, rect.y)
        self._blend_label()

    def _scale(self, frame: av.VideoFrame, rect: Rect) -> av.VideoFrame:
        full = frame.color_range == _FULL_RANGE or frame.format.name == _FULL_RANGE_FORMAT
        hd_colours = frame.colorspace == _BT709
        same = frame.format.name == "yuv420p" and not full and not hd_colours
        if same and (frame.width, frame.height) == (rect.width, rect.height):
            return frame
        self._canvas.scaled += 1
        screen = self._tile is not None and self._tile.source == "screen"
        return self._reformatter.reformat(
            frame,
            width=rect.width,
            height=rect.height,
            format="yuv420p",
            src_colorspace=Colorspace.ITU709 if hd_colours else Colorspace.ITU601,
            dst_colorspace=Colorspace.ITU601,
            src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            dst_color_range=ColorRange.MPEG,
            # Text on a shared screen stays sharp; faces do not need it.
            interpolation=Interpolation.BICUBIC if screen else Interpolation.BILINEAR,
            threads=1,
        )

    def _put_disc(self, key: str, text: str) -> None:
        assert self._tile is not None
        rect = self._tile.rect
        size = labels.disc_size(rect.width, rect.height)
        x, y = rect.x + (rect.width - size) // 2, rect.y + round(rect.height * 0.47 - size / 2)
        self._canvas.blend(labels.disc(key, text, size), x & ~1, max(rect.y, y & ~1))

    def _mark(self, tile: Tile) -> None:
        canvas = self._canvas
        thickness = max(2, layout.gap(canvas.width, canvas.height) // 2 & ~1)
        canvas.frame_around(tile.rect, thickness, labels.SPEAKING if tile.speaking else labels.GROUND)

    def _place_label(self, tile: Tile) -> None:
        self._overlay = None
        if tile.participant is None:
            return
        rect = tile.rect
        size = labels.font_size(rect.height, self._canvas.height)
        inset = max(2, size // 2 & ~1)
        name = tile.participant.name
        if tile.source == "screen":
            name = f"{labels.clean(name)}: screen"
        self._overlay = labels.label(name, rect.width - 2 * inset, size, tile.muted)
        if self._overlay is not None:
            width, height = self._overlay.size
            if height + 2 * inset > rect.height or width + 2 * inset > rect.width:
                self._overlay = None
                return
            self._label = Rect(rect.x + inset, rect.bottom - inset - height, width, height)

    def _blend_label(self) -> None:
        if self._overlay is not None:
            self._canvas.blend(self._overlay, self._label.x, self._label.y)


def paint_slate(canvas: Canvas, scene: Scene) -> None:
    """The whole canvas, while nobody is there."""
    canvas.fill(Rect(0, 0, canvas.width, canvas.height), labels.GROUND)
    for line in labels.slate(scene.title, canvas.width, canvas.height):
        canvas.put(line.planes, line.x, max(0, line.y))


def _cut(plane: Plane, rect: Rect, shift: int) -> Plane:
    return plane[rect.y >> shift : rect.bottom >> shift, rect.x >> shift : rect.right >> shift]


def _within(inner: Rect, outer: Rect) -> bool:
    return inner.x >= outer.x and inner.y >= outer.y and inner.right <= outer.right and inner.bottom <= outer.bottom


def _planes_of(frame: av.VideoFrame) -> Planes:
    y, u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
        for plane in frame.planes
    )
    return y, u, v
