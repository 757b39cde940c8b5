"""Who is shown where: a room's snapshot in, a scene out. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from headwater.meetings.compositor import layout
from headwater.meetings.compositor.layout import Rect
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceName


@dataclass(frozen=True, slots=True)
class Tile:
    """One place on the canvas.

    Attributes:
        rect: Where.
        participant: Who; None: the tile that says how many more there are.
        source: Which of their sources.
        video: A picture may come; without one, their initials are shown.
        muted: The microphone is off.
        speaking: To be marked.
        more: How many are not shown; only where `participant` is None.
    """

    rect: Rect
    participant: ParticipantView | None
    source: SourceName = "camera"
    video: bool = False
    muted: bool = False
    speaking: bool = False
    more: int = 0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a canvas shows.

    Attributes:
        title: Shown as a slate where there is no tile.
        tiles: In painting order; they do not overlap.
    """

    title: str
    tiles: tuple[Tile, ...]


def arrange(snapshot: RoomSnapshot, width: int, height: int) -> Scene:
    """The scene of a room. The first who shares a screen gets the stage; all others' cameras stand in the strip."""
    people = snapshot.participants
    sharing = next((one for one in people if one.screen.video), None)
    if sharing is None:
        shown, more = _chosen(people, snapshot.speaking, layout.MAX_TILES)
        placement = layout.grid(len(shown) + bool(more), width, height)
    else:
        shown, more = _chosen(people, snapshot.speaking, layout.strip_room(width, height))
        placement = layout.stage(len(shown) + bool(more), width, height)
    alone = sharing is None and len(people) == 1
    tiles = [
        Tile(
            rect,
            one,
            video=one.camera.video,
            muted=not one.camera.audio,
            speaking=one.id == snapshot.speaking and not alone,
        )
        for rect, one in zip(placement.tiles, shown, strict=False)
    ]
    if more:
        tiles.append(Tile(placement.tiles[-1], None, more=more))
    if sharing is not None:
        assert placement.stage is not None
        tiles.insert(0, Tile(placement.stage, sharing, source="screen", video=True))
    return Scene(snapshot.title, tuple(tiles))


def _chosen(
    people: tuple[ParticipantView, ...], speaking: str | None, room: int
) -> tuple[tuple[ParticipantView, ...], int]:
    """Who is shown, in the order of joining, and how many are not: the speaker first, then cameras, then the rest."""
    if len(people) <= room:
        return people, 0
    by_weight = sorted(range(len(people)), key=lambda i: (people[i].id != speaking, not people[i].camera.video, i))
    kept = sorted(by_weight[: room - 1])
    return tuple(people[i] for i in kept), len(people) - len(kept)
