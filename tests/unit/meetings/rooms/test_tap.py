"""A meeting as a broadcast hears and sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from headwater.meetings.rooms.rooms import OpenRooms
from headwater.meetings.tap import ParticipantView, RoomSnapshot, SourceView
from headwater.protocols.rtp import rtcp
from headwater.rooms import NoLivestreams
from tests.unit.meetings.rooms.support import FakeAcceptor, FakePeer, Heard, admission, packet


class Meeting:
    """A meeting on a server, and shorthand for what people do in it."""

    def __init__(self) -> None:
        self.acceptor = FakeAcceptor()
        self.rooms = OpenRooms(self.acceptor, NoLivestreams(), Heard())
        self.tap = self.rooms.tap("meeting")
        self.listener = Listener()

    def publish(self, name: str, source: str = "camera") -> FakePeer:
        self.rooms.open("meeting").publish(admission(name), source, "audio video")  # type: ignore[arg-type]
        self.acceptor.peers[-1].connect()
        return self.acceptor.peers[-1]

    @property
    def names(self) -> list[str]:
        return [each.id for each in self.listener.states[-1].participants]


@pytest.fixture
async def meeting() -> AsyncIterator[Meeting]:
    meeting = Meeting()
    yield meeting
    await meeting.rooms.stop()


def send(peer: FakePeer, number: int) -> None:
    peer.receive("video", packet(number, number * 3000, ssrc=2001))


async def test_a_broadcast_hears_and_sees_the_room(meeting: Meeting) -> None:
    anna = meeting.publish("anna")
    end = meeting.tap.subscribe(meeting.listener)
    assert meeting.listener.states[-1] == RoomSnapshot(
        "Weekly sync", (ParticipantView("anna", "Anna", camera=SourceView(True, True)),), None
    )
    bert = meeting.publish("bert", "screen")
    send(anna, 1)
    bert.receive("video", packet(1, ssrc=2002))
    anna.handler.rtcp(anna, rtcp.build(rtcp.SenderReport(2001, 1, 1, 1, 1)))
    assert [each[:4] for each in meeting.listener.packets] == [
        ("anna", "camera", "video", "H264"),
        ("bert", "screen", "video", "H264"),
    ]
    assert [each[:2] for each in meeting.listener.compounds] == [("anna", "camera")]
    anna.keyframes.clear()
    meeting.tap.request_keyframe("anna", "camera")
    meeting.tap.request_keyframe("nobody", "camera")
    assert len(anna.keyframes) == 1
    await meeting.rooms.kick("meeting", ["anna"], "KICKED")
    assert meeting.names == ["bert"]
    end()
    end()
    states = len(meeting.listener.states)
    bert.receive("video", packet(2, ssrc=2002))
    meeting.publish("cleo")
    assert len(meeting.listener.packets) == 2 and len(meeting.listener.states) == states


async def test_it_hears_nothing_of_who_is_muted(meeting: Meeting) -> None:
    anna = meeting.publish("anna")
    meeting.tap.subscribe(meeting.listener)
    meeting.rooms.mute("meeting", ["anna"], audio=False, video=True)
    send(anna, 1)
    assert meeting.listener.packets == []
    assert meeting.listener.states[-1].participants[0].camera == SourceView(True, False)


async def test_it_begins_before_anybody_is_there_and_follows_from_one_session_to_the_next(meeting: Meeting) -> None:
    meeting.tap.subscribe(meeting.listener)
    assert meeting.listener.states == [RoomSnapshot()]
    send(meeting.publish("anna"), 1)
    assert meeting.names == ["anna"]
    await meeting.rooms.kick_all("meeting", "MEETING_ENDED")
    assert meeting.listener.states[-1] == RoomSnapshot("Weekly sync")
    send(meeting.publish("bert"), 1)
    assert meeting.names == ["bert"]
    assert [each[0] for each in meeting.listener.packets] == ["anna", "bert"]


async def test_after_a_publishers_reload_it_hears_on(meeting: Meeting) -> None:
    meeting.publish("anna")
    meeting.tap.subscribe(meeting.listener)
    send(meeting.publish("anna"), 1)
    assert len(meeting.listener.packets) == 1


class Listener:
    def __init__(self) -> None:
        self.states: list[RoomSnapshot] = []
        self.packets: list[tuple[str, str, str, str, bytes]] = []
        self.compounds: list[tuple[str, str, bytes]] = []

    def state(self, snapshot: RoomSnapshot) -> None:
        self.states.append(snapshot)

    def rtp(self, participant_id: str, source: str, kind: str, codec: object, packet: bytes) -> None:
        self.packets.append((participant_id, source, kind, codec.name, packet))  # type: ignore[attr-defined]

    def rtcp(self, participant_id: str, source: str, compound: bytes) -> None:
        self.compounds.append((participant_id, source, compound))
