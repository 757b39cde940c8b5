"""A room with its media: peers of a few lines publish and receive in it."""

from __future__ import annotations

import gc
import itertools
import json
import weakref

import pytest

from headwater.errors import LimitReached
from headwater.events import ParticipantLeft
from headwater.meetings.rooms.open_room import OpenRoom
from headwater.meetings.rooms.settings import RoomSettings
from headwater.protocols.rtp import rtcp
from headwater.rooms import Permissions
from headwater.webrtc.media import NotServed
from headwater.webrtc.resources import Refused
from tests.unit.meetings.rooms.support import (
    DELTA,
    FakeAcceptor,
    FakePeer,
    Hands,
    Heard,
    admission,
    packet,
    packet_sent,
)


class Meeting:
    """An open room, and shorthand for what people do in it."""

    def __init__(self, **settings: int) -> None:
        self.hands, self.heard, self.acceptor = Hands(), Heard(), FakeAcceptor()
        ids = (f"id-{number}" for number in itertools.count(1))
        limits = RoomSettings(**settings)  # type: ignore[arg-type]
        self.open = OpenRoom(
            "meeting", "session", self.acceptor, self.heard, limits, self.hands.clock, lambda: next(ids)
        )

    def publish(self, name: str, offer: str = "audio video", source: str = "camera") -> FakePeer:
        self.open.publish(admission(name), source, offer)  # type: ignore[arg-type]
        self.acceptor.peers[-1].connect()
        return self.acceptor.peers[-1]

    def receive(self, name: str, of: str, source: str = "camera") -> FakePeer:
        self.open.subscribe(admission(name), of, source, "audio video")  # type: ignore[arg-type]
        self.acceptor.peers[-1].connect()
        return self.acceptor.peers[-1]

    def pass_time(self, seconds: float) -> None:
        self.hands.s += seconds
        self.open.tick()

    def state(self, name: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.open.state(self.open.room.participants[name]))
        return found

    @property
    def left(self) -> list[tuple[str, str]]:
        return [(each.participant_id, each.reason) for each in self.heard.events if isinstance(each, ParticipantLeft)]


def send(peer: FakePeer, number: int, payload: bytes | None = None) -> None:
    peer.receive("video", packet(number, number * 3000, ssrc=2001, **({"payload": payload} if payload else {})))


class TestPublishing:
    def test_what_one_publishes_another_receives_from_a_key_frame_on(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        assert anna.keyframes, "a key frame is asked for when somebody joins"
        send(anna, 1, DELTA)
        send(anna, 2)
        anna.receive("audio", packet(50, ssrc=1001, payload=b"opus", pt=111))
        assert [(each.ssrc, each.payload_type) for each in bert.sent] == [(4002, 102), (3002, 111)]

    def test_state_tells_who_is_inside_and_what_they_send(self) -> None:
        meeting = Meeting()
        meeting.publish("anna")
        meeting.receive("bert", "anna")
        state = meeting.state("bert")
        assert state["title"] == "Weekly sync"
        assert state["me"]["id"] == "bert"  # type: ignore[index]
        assert [each["id"] for each in state["participants"]] == ["anna", "bert"]  # type: ignore[attr-defined]
        assert state["participants"][0]["sources"] == {  # type: ignore[index]
            "camera": {"audio": True, "video": True, "stream": 1}
        }

    def test_a_source_is_seen_once_it_is_connected(self) -> None:
        meeting = Meeting()
        meeting.open.publish(admission("anna"), "camera", "audio")
        assert meeting.state("anna")["participants"][0]["sources"] == {}  # type: ignore[index]
        meeting.acceptor.peers[-1].connect()
        camera = meeting.state("anna")["participants"][0]["sources"]["camera"]  # type: ignore[index]
        assert (camera["audio"], camera["video"]) == (True, False)

    def test_there_must_be_something_to_receive(self) -> None:
        meeting = Meeting()
        meeting.publish("anna")
        for participant, source in (("cleo", "camera"), ("anna", "screen")):
            with pytest.raises(Refused) as refused:
                meeting.open.subscribe(admission("bert"), participant, source, "audio")  # type: ignore[arg-type]
            assert refused.value.status == 404

    def test_an_offer_that_is_not_served_lets_nobody_in(self) -> None:
        meeting = Meeting()
        with pytest.raises(NotServed):
            meeting.open.publish(admission("anna"), "camera", "nothing")
        assert not meeting.open.room.participants

    def test_who_may_publish_nothing_is_refused_and_who_may_speak_only_sends_sound(self) -> None:
        meeting = Meeting()
        mute = admission("anna", permissions=Permissions(False, False, False, False, False, False))
        with pytest.raises(Refused) as refused:
            meeting.open.publish(mute, "camera", "audio video")
        assert refused.value.status == 403
        voice = admission("anna", permissions=Permissions(False, False, False, True, False, False))
        peer = meeting.open.publish(voice, "camera", "audio video")
        assert [section.kind for section in peer.sections] == ["audio"]

    def test_muted_media_goes_nowhere_and_unmuted_media_starts_at_a_key_frame(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        send(anna, 1)
        meeting.open.room.set_mute(meeting.open.room.participants["anna"], audio=None, video=False)
        meeting.open.sync()
        send(anna, 2)
        assert len(bert.sent) == 1
        anna.keyframes.clear()
        meeting.open.room.set_mute(meeting.open.room.participants["anna"], audio=None, video=True)
        meeting.open.sync()
        meeting.pass_time(0.04)
        assert anna.keyframes
        send(anna, 3, DELTA)
        send(anna, 4)
        assert [each.sequence - bert.sent[0].sequence for each in bert.sent] == [0, 1]

    def test_of_several_attempts_the_newest_counts(self) -> None:
        meeting = Meeting()
        for _ in range(3):
            meeting.open.publish(admission("anna"), "camera", "audio video")
        assert [peer.closed_for is None for peer in meeting.acceptor.peers] == [False, False, True]
        meeting.acceptor.peers[-1].connect()
        meeting.pass_time(30)
        assert meeting.left == []

    def test_who_comes_muted_stays_muted(self) -> None:
        meeting = Meeting()
        meeting.publish("anna", source="screen")
        meeting.open.room.set_mute(meeting.open.room.participants["anna"], audio=False, video=False)
        anna = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        send(anna, 1)
        assert bert.sent == []


class TestRestarts:
    def test_a_new_connection_takes_over_before_the_same_receivers(self) -> None:
        meeting = Meeting()
        first = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        send(first, 1)
        second = meeting.publish("anna")
        assert first.closed_for is not None
        second.receive("video", packet(900, 5, ssrc=2003))
        assert [each.sequence - bert.sent[0].sequence for each in bert.sent] == [0, 1]
        assert meeting.left == []
        assert meeting.open.room.participants["anna"].sources["camera"].stream == 1

    def test_after_other_codecs_receivers_have_to_ask_anew(self) -> None:
        meeting = Meeting()
        meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        meeting.publish("anna", "audio vp8")
        assert bert.closed_for is not None and "ask again" in bert.closed_for
        assert meeting.open.room.participants["anna"].sources["camera"].stream == 2

    def test_receivers_keep_their_place_for_a_while(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        page = meeting.open.listen(admission("anna"), lambda: None)
        bert = meeting.receive("bert", "anna")
        anna.delete()
        assert meeting.state("bert")["participants"][0]["sources"] == {}  # type: ignore[index]
        meeting.pass_time(5)
        assert bert.closed_for is None
        meeting.pass_time(6)
        assert bert.closed_for == "its publisher has stopped"
        assert page.goodbye is None


class TestLeaving:
    def test_who_deletes_their_only_stream_leaves(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        anna.delete()
        assert meeting.left == [("anna", "LEFT")]

    def test_who_is_not_heard_any_more_is_gone_at_once_even_with_a_page_that_seems_open(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        page = meeting.open.listen(admission("anna"), lambda: None)
        meeting.pass_time(9)
        anna.vanish()
        assert meeting.left == [("anna", "LOST")]
        assert page.goodbye == "LOST"

    def test_who_reloaded_the_page_stays_when_its_old_stream_is_given_up(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        old = meeting.open.listen(admission("anna"), lambda: None)
        meeting.pass_time(30)
        meeting.open.forget(old)
        meeting.open.listen(admission("anna"), lambda: None)
        meeting.pass_time(8)
        anna.vanish()
        meeting.pass_time(30)
        assert meeting.left == []

    def test_who_never_got_through_or_was_ended_by_us_has_time_to_try_again(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        anna.end("it did not connect within 20 s")
        meeting.pass_time(4)
        assert meeting.left == []
        meeting.pass_time(2)
        assert meeting.left == [("anna", "LOST")]

    def test_who_leaves_takes_everything_along(self) -> None:
        meeting = Meeting()
        camera, screen = meeting.publish("anna"), meeting.publish("anna", source="screen")
        meeting.open.listen(admission("bert"), lambda: None)
        bert = meeting.receive("bert", "anna")
        meeting.publish("bert")
        anna = meeting.receive("anna", "bert")
        meeting.open.leave(meeting.open.room.participants["anna"], "KICKED")
        assert all(peer.closed_for is not None for peer in (camera, screen, bert, anna))
        assert list(meeting.open.room.participants) == ["bert"]
        meeting.pass_time(30)
        assert meeting.left == [("anna", "KICKED")]

    def test_who_looks_at_themselves_leaves_like_everybody(self) -> None:
        meeting = Meeting()
        meeting.publish("anna")
        mirror = meeting.receive("anna", "anna")
        meeting.open.leave(meeting.open.room.participants["anna"], "LEFT")
        assert mirror.closed_for == "LEFT"
        assert meeting.left == [("anna", "LEFT")]

    def test_a_receiver_without_a_page_has_time_to_find_something_else(self) -> None:
        meeting = Meeting()
        meeting.publish("anna")
        meeting.receive("bert", "anna")
        meeting.open.leave(meeting.open.room.participants["anna"], "LEFT")
        meeting.pass_time(4)
        assert meeting.left == [("anna", "LEFT")]
        meeting.pass_time(2)
        assert meeting.left == [("anna", "LEFT"), ("bert", "LOST")]

    def test_pages_and_streams_have_limits(self) -> None:
        meeting = Meeting(max_event_streams=1, max_subscriptions=1)
        meeting.publish("anna")
        meeting.open.listen(admission("bert"), lambda: None)
        with pytest.raises(LimitReached):
            meeting.open.listen(admission("bert"), lambda: None)
        meeting.receive("bert", "anna")
        with pytest.raises(LimitReached):
            meeting.receive("bert", "anna")


class TestFeedback:
    def test_a_receiver_that_misses_packets_gets_them_again(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        for number in range(1, 6):
            send(anna, number)
        missed = (bert.sent[1].sequence, bert.sent[3].sequence)
        bert.handler.rtcp(bert, rtcp.build(rtcp.Nack(1, bert.sent[0].ssrc, missed)))
        assert [each.sequence for each in bert.resent] == list(missed)

    def test_a_publisher_is_asked_for_what_is_missing(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        send(anna, 1)
        send(anna, 4)
        asked = [each for compound in anna.compounds for each in rtcp.parse(compound) if isinstance(each, rtcp.Nack)]
        assert [(each.media_ssrc, each.sequences) for each in asked] == [(2001, (2, 3))]
        meeting.pass_time(0.06)
        assert sum(isinstance(each, rtcp.Nack) for data in anna.compounds for each in rtcp.parse(data)) == 2

    def test_a_receiver_that_wants_a_picture_gets_its_wish_passed_on(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        ssrc = next(section.ssrc for section in bert.sections if section.kind == "video")
        assert ssrc is not None
        anna.keyframes.clear()
        bert.handler.rtcp(bert, rtcp.build(rtcp.Pli(1, ssrc)))
        bert.handler.rtcp(bert, rtcp.build(rtcp.Fir(1, ((ssrc, 3),))))
        bert.handler.rtcp(bert, rtcp.build(rtcp.Pli(1, 999)))
        bert.handler.rtcp(bert, b"garbage")
        assert len(anna.keyframes) == 2

    def test_the_weakest_receiver_bounds_the_publisher_but_not_below_the_least(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        receivers = [meeting.receive(name, "anna") for name in ("bert", "cleo")]
        send(anna, 1)

        numbers = itertools.count(2)

        def limit(*estimates: int) -> int:
            """What the publisher is told after a second in which some 1 Mbit was sent on."""
            for number in itertools.islice(numbers, 100):
                send(anna, number, bytes((5, 0x88)) + bytes(1250))
            for receiver, bitrate in zip(receivers, estimates, strict=False):
                receiver.handler.rtcp(receiver, rtcp.build(rtcp.Remb(1, bitrate, ())))
            meeting.pass_time(1.01)
            found = [each for each in rtcp.parse(anna.compounds[-1]) if isinstance(each, rtcp.Remb)]
            return round(found[0].bitrate, -3)

        assert limit() == 1_800_000
        assert limit(2_000_000, 800_000) == 1_800_000, "of what came so far; nobody complains"
        assert limit(900_000, 700_000) == 700_000
        assert limit(900_000, 30_000) == 250_000

    def test_a_queue_before_the_publishers_link_is_noticed_and_told_at_once(self) -> None:
        """It sends 1 Mbit/s into a link that takes less: packets wait ever longer."""
        meeting = Meeting()
        anna = meeting.publish("anna")
        payload = bytes((5, 0x88)) + bytes(1240)
        begin = meeting.hands.s
        for number in range(300):  # one each 10 ms leaves, and arrives each 15 ms
            meeting.hands.s = begin + number * 0.015
            anna.receive("video", packet_sent(number, number * 0.01, payload))
            meeting.open.tick()
        told = [each.bitrate for data in anna.compounds for each in rtcp.parse(data) if isinstance(each, rtcp.Remb)]
        assert told[0] == 1_800_000
        assert 400_000 < told[-1] < 700_000, "less than the link takes, so that the queue empties"

    def test_receivers_are_told_our_clock_and_publishers_how_they_arrive(self) -> None:
        meeting = Meeting()
        anna = meeting.publish("anna")
        bert = meeting.receive("bert", "anna")
        send(anna, 1)
        anna.handler.rtcp(anna, rtcp.build(rtcp.SenderReport(2001, 1 << 40, 3000, 1, 1)))
        meeting.pass_time(1.01)
        report = rtcp.parse(anna.compounds[-1])[0]
        assert isinstance(report, rtcp.ReceiverReport)
        assert [block.ssrc for block in report.blocks] == [2001]
        sender = rtcp.parse(bert.compounds[-1])[0]
        assert isinstance(sender, rtcp.SenderReport)
        assert (sender.ntp, sender.timestamp - bert.sent[0].timestamp) == (meeting.hands.ntp(), 90_899)


class TestMemory:
    def test_what_is_over_is_freed_without_the_collector(self) -> None:
        """The server's collector runs seldom; a publication keeps a megabyte of packets."""
        meeting = Meeting()
        anna = meeting.publish("anna")
        meeting.receive("bert", "anna")
        send(anna, 1)
        stream = next(iter(meeting.open.streams()))
        assert stream.publication is not None
        watched = [weakref.ref(each) for each in (stream, stream.publication, *stream.subscriptions)]
        del stream
        gc.disable()
        try:
            meeting.open.leave(meeting.open.room.participants["anna"], "LEFT")
            meeting.acceptor.peers.clear()
            del anna
            assert [each() for each in watched] == [None] * len(watched)
        finally:
            gc.enable()
