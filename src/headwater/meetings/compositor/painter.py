"""The picture of one instant: the scene of the newest snapshot, each tile with its newest frame that is due."""

from __future__ import annotations

import av
import av.error

from headwater.meetings.compositor.canvas import Canvas, TileView, paint_slate
from headwater.meetings.compositor.intake import Meeting, VideoKey
from headwater.meetings.compositor.labels import GROUND
from headwater.meetings.compositor.layout import Rect
from headwater.meetings.compositor.scene import Scene, Tile, arrange
from headwater.meetings.compositor.streams import VideoStream
from headwater.meetings.tap import RoomSnapshot


class Painter:
    """Keeps a canvas up to date.

    Attributes:
        canvas: The picture.
        repeated: Instants at which a tile with a picture had nothing new.
        late: Frames that were passed over for a newer one.
    """

    def __init__(self, meeting: Meeting, width: int, height: int) -> None:
        self.canvas = Canvas(width, height)
        self.repeated = self.late = 0
        self._meeting = meeting
        self._snapshot: RoomSnapshot | None = None
        self._scene: Scene | None = None
        self._views: dict[VideoKey | None, tuple[Tile, TileView]] = {}
        self._newest: dict[VideoKey, tuple[VideoStream, av.VideoFrame]] = {}

    def paint(self, due_s: float) -> None:
        """Bring the canvas to an instant, in seconds of our monotonic clock."""
        fresh = self._collect(due_s)
        snapshot = self._meeting.snapshot
        if snapshot is not self._snapshot:
            self._snapshot = snapshot
            self._rearrange(arrange(snapshot, self.canvas.width, self.canvas.height))
        for key, (tile, view) in self._views.items():
            if not tile.video or key is None:
                continue
            if key in fresh:
                self._paint(view, fresh[key])
            else:
                self.repeated += 1

    def shown(self) -> set[VideoKey]:
        """Whose pictures are on the canvas, or will be."""
        return {key for key, (tile, _) in self._views.items() if key is not None and tile.video}

    def complete(self) -> bool:
        """Every picture that belongs on the canvas is there."""
        return all(key in self._newest for key in self.shown())

    def forget(self) -> None:
        """Paint everything anew the next time: the canvas was not looked at for a while."""
        self._snapshot = self._scene = None
        self._views = {}

    def _collect(self, due_s: float) -> dict[VideoKey, av.VideoFrame]:
        """The newest frame that is due of each stream that has a new one."""
        videos = self._meeting.videos
        for key in [key for key, (stream, _) in self._newest.items() if videos.get(key) is not stream]:
            del self._newest[key]
        fresh = {}
        for key, stream in videos.items():
            frames = stream.frames
            taken = 0
            while frames and frames[0].at_s <= due_s:
                fresh[key] = frames.popleft().frame
                taken += 1
            if taken:
                self.late += taken - 1
                self._newest[key] = stream, fresh[key]
        return fresh

    def _rearrange(self, scene: Scene) -> None:
        before, self._scene = self._scene, scene
        if not scene.tiles:
            self._views = {}
            paint_slate(self.canvas, scene)
            return
        moved = before is None or _places(before) != _places(scene)
        if moved:
            self.canvas.fill(Rect(0, 0, self.canvas.width, self.canvas.height), GROUND)
        views: dict[VideoKey | None, tuple[Tile, TileView]] = {}
        for tile in scene.tiles:
            key = None if tile.participant is None else (tile.participant.id, tile.source)
            known = self._views.get(key)
            view = known[1] if known is not None else TileView(self.canvas)
            if moved or known is None or known[0] != tile:
                self._show(view, tile, key)
            views[key] = tile, view
        self._views = views

    def _show(self, view: TileView, tile: Tile, key: VideoKey | None) -> None:
        if key is not None and not tile.video:
            self._newest.pop(key, None)  # a camera that comes on again does not show what it last saw
        newest = self._newest.get(key) if key is not None else None
        try:
            view.show(tile, None if newest is None else newest[1])
        except (av.error.FFmpegError, ValueError):
            self._meeting.counters.decode_errors += 1
            view.show(tile, None)

    def _paint(self, view: TileView, frame: av.VideoFrame) -> None:
        try:
            view.paint(frame)
        except (av.error.FFmpegError, ValueError):  # a format that cannot be converted
            self._meeting.counters.decode_errors += 1


def _places(scene: Scene) -> list[tuple[Rect, str | None, str]]:
    return [(tile.rect, tile.participant.id if tile.participant else None, tile.source) for tile in scene.tiles]
