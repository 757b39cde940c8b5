"""A session of a meeting: it opens, people come, mute, vanish and leave, it closes."""

from __future__ import annotations

import itertools

import pytest

from headwater.errors import LimitReached
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomOpened
from headwater.meetings.rooms.room import Room
from headwater.meetings.rooms.settings import RoomSettings
from headwater.rooms import AdmissionRefused
from tests.unit.meetings.rooms.support import Hands, Heard, admission


class Session:
    """A room with a clock and an ear."""

    def __init__(self, **settings: float) -> None:
        self.hands, self.heard = Hands(), Heard()
        ids = (f"peer-{number}" for number in itertools.count(1))
        limits = RoomSettings(**settings)  # type: ignore[arg-type]
        self.room = Room("meeting", "session", limits, self.heard, lambda: next(ids), self.hands())

    def enter(self, name: str = "anna", link: object = "page") -> None:
        self.room.enter(admission(name), link, self.hands())

    def pass_time(self, seconds: float) -> None:
        self.hands.s += seconds
        self.room.tick(self.hands())


def test_a_session_opens_with_the_first_participant_and_ends_after_the_keep_alive_time() -> None:
    session = Session()
    session.enter("anna")
    anna = session.room.participants["anna"]
    session.room.unlink(anna, "page", session.hands(), regular=True)
    session.pass_time(59)
    assert not session.room.closed
    session.pass_time(2)
    assert session.room.closed
    at = session.heard.events[0].at_ms
    assert session.heard.events == [
        RoomOpened("meeting", "session", at),
        ParticipantJoined("meeting", "session", at, "peer-1", "anna", "custom-anna", "Anna", None, "host"),
        ParticipantLeft("meeting", "session", at, "peer-1", "anna", "LEFT"),
        RoomClosed("meeting", "session", at + 61_000, "ALL_PARTICIPANTS_LEFT"),
    ]


def test_who_comes_back_within_the_keep_alive_time_is_in_the_same_session_as_somebody_new() -> None:
    session = Session()
    session.enter()
    session.room.leave(session.room.participants["anna"], "LEFT", session.hands())
    session.pass_time(50)
    session.enter()
    session.pass_time(50)
    assert not session.room.closed
    assert session.room.participants["anna"].peer_id == "peer-2"


def test_a_page_that_reloads_does_not_leave_and_one_that_vanishes_does() -> None:
    session = Session()
    session.enter()
    anna = session.room.participants["anna"]
    session.room.unlink(anna, "page", session.hands(), regular=False)
    session.pass_time(4)
    session.enter(link="page again")
    session.pass_time(30)
    assert session.heard.names == ["RoomOpened", "ParticipantJoined"]
    session.room.unlink(anna, "page again", session.hands(), regular=False)
    session.pass_time(4)
    assert "anna" in session.room.participants
    session.pass_time(1.5)
    assert session.heard.events[-1] == ParticipantLeft(
        "meeting", "session", session.hands().ms, "peer-1", "anna", "LOST"
    )


def test_who_has_another_link_stays_inside() -> None:
    session = Session()
    session.enter(link="page")
    session.enter(link="stream")
    anna = session.room.participants["anna"]
    session.room.unlink(anna, "stream", session.hands(), regular=True)
    session.pass_time(30)
    assert session.room.participants["anna"] is anna


def test_ending_a_meeting_sends_everybody_away_once() -> None:
    session = Session()
    session.enter("anna")
    session.enter("bert")
    for _ in range(2):
        session.room.close("HOST_ENDED_MEETING", session.hands(), left="MEETING_ENDED")
    assert session.heard.names[-3:] == ["ParticipantLeft", "ParticipantLeft", "RoomClosed"]
    assert session.heard.names.count("RoomClosed") == 1
    session.pass_time(100)
    assert session.heard.names.count("RoomClosed") == 1


def test_a_full_room_takes_nobody_else_but_those_who_are_inside() -> None:
    session = Session(max_participants=2)
    session.enter("anna")
    session.enter("bert")
    with pytest.raises(LimitReached):
        session.enter("cleo")
    session.enter("anna", "another page")


def test_switches_are_for_the_camera_not_for_the_screen() -> None:
    session = Session()
    session.enter()
    anna = session.room.participants["anna"]
    session.room.publish(anna, "camera", audio=True, video=True, same=False)
    session.room.publish(anna, "screen", audio=False, video=True, same=False)
    session.room.set_mute(anna, audio=False, video=False)
    camera, screen = anna.sends("camera"), anna.sends("screen")
    assert camera is not None and (camera.audio, camera.video) == (False, False)
    assert screen is not None and screen.video
    session.room.set_mute(anna, audio=None, video=True)
    assert (anna.audio, anna.video) == (False, True)


def test_who_was_muted_for_good_cannot_speak_until_everybody_may_again() -> None:
    session = Session()
    session.enter()
    anna = session.room.participants["anna"]
    session.room.publish(anna, "screen", audio=True, video=True, same=False)
    session.room.mute_all(allow_unmute=False)
    with pytest.raises(AdmissionRefused) as refused:
        session.room.set_mute(anna, audio=True, video=None)
    assert refused.value.status == 403
    session.room.set_mute(anna, audio=None, video=False)
    screen = anna.sends("screen")
    assert screen is not None and (screen.audio, screen.video) == (False, True), "nor by a screen's sound"
    session.room.mute([anna], audio=True, video=False)
    assert not anna.may_unmute, "a host's mute of one does not lift it"
    session.room.leave(anna, "LEFT", session.hands())
    session.enter("anna")
    session.enter("bert")
    assert not any(each.audio or each.may_unmute for each in session.room.participants.values()), "nor coming anew"
    session.room.mute_all(allow_unmute=True)
    anna = session.room.participants["anna"]
    session.room.set_mute(anna, audio=True, video=None)
    assert anna.audio


def test_who_comes_and_goes_all_the_time_waits_a_minute() -> None:
    session = Session(max_joins_per_minute=3)
    for _ in range(3):
        session.enter("anna")
        session.room.leave(session.room.participants["anna"], "LEFT", session.hands())
    told = len(session.heard.events)
    with pytest.raises(LimitReached, match="max_joins_per_minute"):
        session.enter("anna")
    session.enter("bert")
    assert len(session.heard.events) == told + 1, "it is one participant's limit"
    session.pass_time(61)
    session.enter("anna")


def test_who_is_muted_does_not_speak() -> None:
    session = Session()
    session.enter()
    anna = session.room.participants["anna"]
    for _ in range(50):
        session.hands.s += 0.02
        session.room.heard(anna, -20, session.hands.s)
        session.room.tick(session.hands())
    assert session.room.speaking == "anna"
    session.room.set_mute(anna, audio=False, video=None)
    session.room.heard(anna, -20, session.hands.s)
    session.pass_time(0.05)
    assert session.room.speaking is None


def test_each_change_that_is_seen_counts_and_what_changes_nothing_does_not() -> None:
    session = Session()
    session.enter()
    anna = session.room.participants["anna"]
    version = session.room.version
    session.room.set_mute(anna, audio=True, video=None)
    session.room.livestream_changed(None)
    session.pass_time(1)
    assert session.room.version == version
    session.room.set_mute(anna, audio=False, video=None)
    session.room.livestream_changed("LIVE")
    assert session.room.version == version + 2


def test_a_stream_counts_up_only_where_its_codecs_change() -> None:
    session = Session()
    session.enter()
    anna = session.room.participants["anna"]
    streams = []
    for same in (False, True, False):
        session.room.publish(anna, "camera", audio=True, video=True, same=same)
        streams.append(anna.sources["camera"].stream)
        session.room.unpublish(anna, "camera")
    assert streams == [1, 1, 2]
