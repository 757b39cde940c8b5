"""Who is shown where."""

from __future__ import annotations

from headwater.meetings.compositor import layout
from headwater.meetings.compositor.scene import arrange
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceView

ON, OFF, MUTED = SourceView(True, True), SourceView(False, False), SourceView(False, True)


def room(*people: ParticipantView, speaking: str | None = None) -> RoomSnapshot:
    return RoomSnapshot("Weekly", people, speaking)


def crowd(count: int, camera: SourceView = ON) -> list[ParticipantView]:
    return [ParticipantView(f"p{i}", f"Person {i}", camera) for i in range(count)]


def test_nobody_is_a_slate_with_the_title() -> None:
    scene = arrange(room(), 1280, 720)
    assert (scene.title, scene.tiles) == ("Weekly", ())


def test_tiles_keep_the_order_of_joining() -> None:
    scene = arrange(room(*crowd(4)), 1280, 720)
    assert [tile.participant.id for tile in scene.tiles if tile.participant] == ["p0", "p1", "p2", "p3"]
    assert tuple(tile.rect for tile in scene.tiles) == layout.grid(4, 1280, 720).tiles


def test_mutes_show() -> None:
    off, muted = ParticipantView("a", "A", OFF), ParticipantView("b", "B", MUTED)
    first, second = arrange(room(off, muted), 1280, 720).tiles
    assert (first.video, first.muted) == (False, True)
    assert (second.video, second.muted) == (True, True)


def test_the_speaker_is_marked_unless_alone() -> None:
    people = crowd(2)
    assert [tile.speaking for tile in arrange(room(*people, speaking="p1"), 1280, 720).tiles] == [False, True]
    assert not arrange(room(people[0], speaking="p0"), 1280, 720).tiles[0].speaking


def test_a_screen_takes_the_stage() -> None:
    people = [*crowd(2), ParticipantView("s", "Sharer", ON, screen=SourceView(False, True))]
    scene = arrange(room(*people), 1280, 720)
    assert [tile.source for tile in scene.tiles] == ["screen", "camera", "camera", "camera"]
    assert scene.tiles[0].rect == layout.stage(3, 1280, 720).stage


def test_more_than_fit_are_counted_and_the_speaker_is_among_the_shown() -> None:
    people = crowd(30)
    scene = arrange(room(*people, speaking="p29"), 1280, 720)
    assert len(scene.tiles) == layout.MAX_TILES
    assert scene.tiles[-1].more == 6
    assert [tile.participant.id for tile in scene.tiles if tile.speaking and tile.participant] == ["p29"]


def test_cameras_come_before_initials_where_not_all_fit() -> None:
    people = [*crowd(20, OFF), *[ParticipantView(f"c{i}", "C", ON) for i in range(20)]]
    shown = [tile.participant.id for tile in arrange(room(*people), 1280, 720).tiles if tile.participant]
    assert set(shown) >= {f"c{i}" for i in range(20)}


def test_a_strip_says_how_many_more() -> None:
    people = [*crowd(9), ParticipantView("s", "Sharer", ON, screen=SourceView(False, True))]
    scene = arrange(room(*people), 1280, 720)
    strip = scene.tiles[1:]
    assert len(strip) == layout.strip_room(1280, 720)
    assert strip[-1].more == len(people) - len(strip) + 1
