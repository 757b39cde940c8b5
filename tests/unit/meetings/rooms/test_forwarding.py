"""Packets from one publisher to many receivers: what each receiver sees is one stream without seams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.errors import ProtocolError
from headwater.meetings.rooms.forwarding.downstream import RESENT_PER_S, Downstream
from headwater.meetings.rooms.forwarding.gaps import GIVE_UP_S, MAX_ASKS, MAX_MISSING, Gaps
from headwater.meetings.rooms.forwarding.history import MAX_AGE_S, History
from headwater.meetings.rooms.forwarding.keyframe import starts_h264, starts_vp8
from headwater.meetings.rooms.forwarding.reception import Reception
from headwater.meetings.rooms.forwarding.timebase import Clock, Timebase
from headwater.meetings.rooms.forwarding.upstream import Upstream
from headwater.protocols.rtp.packet import Packet, parse
from headwater.protocols.rtp.rtcp import SenderReport, middle
from tests.unit.meetings.rooms.support import DELTA, H264, KEY, OPUS, packet

SECOND = 1 << 32


def ntp() -> int:
    return 5000 * SECOND


class Receiver:
    """A receiver of one track."""

    def __init__(self, first: int = 100) -> None:
        self.packets: list[Packet] = []
        self.track = Downstream(payload_type=98, ssrc=77, clock_rate=90_000, first=first, send=self.take)

    def take(self, data: bytes) -> bool:
        self.packets.append(parse(data))
        return True

    @property
    def sequences(self) -> list[int]:
        return [each.sequence for each in self.packets]


def upstream(*receivers: Receiver) -> Upstream:
    track = Upstream(H264, Clock())
    for receiver in receivers:
        track.attach(receiver.track)
    return track


class TestForwarding:
    def test_a_receiver_starts_at_a_key_frame_and_sees_numbers_of_its_own(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        for number, payload in ((10, DELTA), (11, KEY), (12, DELTA)):
            track.push(packet(number, number * 3000, payload=payload), 1.0, ntp)
        assert receiver.sequences == [100, 101]
        assert [each.payload for each in receiver.packets] == [KEY, DELTA]
        assert {(each.ssrc, each.payload_type) for each in receiver.packets} == {(77, 98)}
        assert [each.timestamp for each in receiver.packets] == [33_000, 36_000]

    def test_header_extensions_stay_behind(self) -> None:
        """The publisher's ids mean something else to the receiver; a `mid` would lead its packets astray."""
        receiver = Receiver()
        upstream(receiver).push(packet(1, level=9), 1.0, ntp)
        assert receiver.packets[0].extension == b""
        assert receiver.packets[0].payload == KEY

    def test_who_comes_later_waits_for_the_next_key_frame(self) -> None:
        early, late = Receiver(), Receiver()
        track = upstream(early)
        track.push(packet(1), 1.0, ntp)
        track.attach(late.track)
        track.push(packet(2, payload=DELTA), 1.0, ntp)
        track.push(packet(3), 1.0, ntp)
        assert early.sequences == [100, 101, 102]
        assert late.sequences == [100]

    def test_a_gap_of_the_publisher_stays_a_gap_and_is_filled_by_what_comes_late(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        assert not track.push(packet(1), 1.0, ntp)
        assert track.push(packet(3, payload=DELTA), 1.0, ntp)
        assert not track.push(packet(2, payload=DELTA), 1.1, ntp)
        assert receiver.sequences == [100, 102, 101]

    def test_a_packet_that_comes_twice_goes_out_once(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        for number in (1, 2, 2, 1):
            track.push(packet(number), 1.0, ntp)
        assert receiver.sequences == [100, 101]

    def test_while_paused_nothing_goes_out_and_the_numbers_go_on_after(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        track.push(packet(1, 3000), 1.0, ntp)
        track.pause(True)
        track.push(packet(2, 6000), 1.1, ntp)
        track.pause(False)
        track.push(packet(3, 9000, payload=DELTA), 1.2, ntp)
        track.push(packet(4, 12_000), 1.3, ntp)
        assert receiver.sequences == [100, 101]
        assert receiver.packets[1].timestamp == 12_000

    def test_sound_goes_on_at_any_packet(self) -> None:
        receiver = Receiver()
        track = Upstream(OPUS, Clock())
        track.attach(receiver.track)
        track.push(packet(9, payload=b"opus"), 1.0, ntp)
        assert receiver.sequences == [100]

    def test_another_connection_of_the_publisher_goes_on_in_numbers_and_time(self) -> None:
        receiver = Receiver()
        upstream(receiver).push(packet(500, 3000), 1.0, ntp)
        again = upstream(receiver)
        again.push(packet(40_000, 1_000_000, ssrc=8), 3.0, ntp)
        assert receiver.sequences == [100, 101]
        assert receiver.packets[1].timestamp == 3000 + 2 * 90_000

    def test_another_source_in_the_same_connection_goes_on_too(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        track.push(packet(500, 3000), 1.0, ntp)
        track.push(packet(9, 77, ssrc=8, payload=DELTA), 1.5, ntp)
        track.push(packet(10, 3077, ssrc=8), 2.0, ntp)
        assert receiver.sequences == [100, 101]
        assert receiver.packets[1].timestamp == 3000 + 90_000

    def test_a_broken_packet_is_an_error_and_moves_nothing(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        track.push(packet(1), 1.0, ntp)
        with pytest.raises(ProtocolError):
            track.push(b"\x90\x66\x00\x02", 1.0, ntp)
        track.push(packet(2), 1.0, ntp)
        assert receiver.sequences == [100, 101]

    @given(st.lists(st.tuples(st.sampled_from(["next", "lose", "pause", "resume", "restart"]), st.booleans())))
    def test_numbers_of_a_receiver_never_go_back_or_jump_where_nothing_was_lost(
        self, steps: list[tuple[str, bool]]
    ) -> None:
        receiver = Receiver()
        track, number, now, lost = upstream(receiver), 65_500, 1.0, 0
        for step, key in steps:
            now += 0.03
            number += 1
            match step:
                case "next":
                    track.push(packet(number, round(now * 90_000), payload=KEY if key else DELTA), now, ntp)
                case "lose":
                    lost += 1
                case "pause" | "resume":
                    track.pause(step == "pause")
                case "restart":
                    track, number = upstream(receiver), 7 if key else 65_535
        jumps = [after - before for before, after in zip(receiver.sequences, receiver.sequences[1:], strict=False)]
        assert all(1 <= jump <= 1 + lost for jump in jumps)
        times = [each.timestamp for each in receiver.packets]
        assert times == sorted(set(times))


class TestRetransmission:
    def test_a_missed_packet_comes_as_it_was_sent(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        for number in range(10, 20):
            track.push(packet(number, number), 1.0, ntp)
        again = receiver.track.missed(103, 1.1)
        assert again is not None
        assert parse(again) == receiver.packets[3]

    def test_what_was_sent_before_a_pause_can_still_be_had(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        track.push(packet(1, 1), 1.0, ntp)
        track.pause(True)
        track.push(packet(2, 2), 1.0, ntp)
        track.pause(False)
        track.push(packet(3, 3), 1.0, ntp)
        for index in (0, 1):
            again = receiver.track.missed(100 + index, 1.1)
            assert again is not None and parse(again) == receiver.packets[index]

    def test_what_is_old_unknown_or_was_just_sent_again_does_not(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        track.push(packet(1), 1.0, ntp)
        assert receiver.track.missed(99, 1.1) is None
        assert receiver.track.missed(101, 1.1) is None
        assert receiver.track.missed(100, 1.1) is not None
        assert receiver.track.missed(100, 1.101) is None
        assert receiver.track.missed(100, 1.1 + MAX_AGE_S) is None

    def test_asking_has_a_limit(self) -> None:
        receiver = Receiver()
        track = upstream(receiver)
        for number in range(256):
            track.push(packet(number), 1.0, ntp)
        times = [1.1 + 0.02 * turn for turn in range(5)]
        found = [receiver.track.missed(100 + number, now) for now in times for number in range(256)]
        assert sum(each is not None for each in found) <= RESENT_PER_S + 0.1 * RESENT_PER_S

    def test_after_another_connection_the_old_packets_are_gone(self) -> None:
        receiver = Receiver()
        upstream(receiver).push(packet(1), 1.0, ntp)
        upstream(receiver).push(packet(1), 1.0, ntp)
        assert receiver.track.missed(100, 1.1) is None
        assert receiver.track.missed(101, 1.1) is not None


class TestHistory:
    def test_a_later_packet_takes_the_place_of_an_old_one(self) -> None:
        history = History(4)
        assert all(history.put(number, (0x80, 0, number, b""), 0.0) for number in range(6))
        assert history.get(1, 0.0) is None
        assert history.get(5, 0.0) == (0x80, 0, 5, b"")
        assert not history.put(1, (0x80, 0, 1, b""), 0.0)
        assert not history.put(-3, (0x80, 0, 3, b""), 0.0)


class TestGaps:
    def test_missing_packets_are_asked_for_at_once_and_again(self) -> None:
        gaps = Gaps()
        assert not gaps.arrived(65_534, 0.0)
        assert gaps.arrived(65_538, 0.0)
        assert gaps.due(0.0, 0.05) == [65_535, 0, 1]
        assert gaps.due(0.03, 0.05) == []
        gaps.arrived(65_536, 0.05)
        assert gaps.due(0.07, 0.05) == [65_535, 1]

    def test_they_are_given_up(self) -> None:
        gaps = Gaps()
        gaps.arrived(1, 0.0)
        gaps.arrived(3, 0.0)
        asked = [gaps.due(turn * 0.06, 0.05) for turn in range(40)]
        assert sum(map(len, asked)) <= MAX_ASKS
        assert gaps.lost == 1 and not gaps
        gaps.arrived(5, 10.0)
        assert gaps.due(10.0 + GIVE_UP_S + 0.1, 0.0) == []
        assert gaps.lost == 2

    def test_a_long_gap_is_not_asked_for(self) -> None:
        gaps = Gaps()
        gaps.arrived(1, 0.0)
        assert not gaps.arrived(3 + MAX_MISSING, 0.0)
        assert gaps.lost == MAX_MISSING + 1 and not gaps

    @given(st.lists(st.integers(0, 3000), max_size=200))
    def test_never_more_than_the_limit_and_never_what_has_come(self, numbers: list[int]) -> None:
        gaps, seen = Gaps(), set()
        for number in numbers:
            gaps.arrived(number, 0.0)
            seen.add(number)
        due = gaps.due(0.0, 0.0)
        assert len(due) <= MAX_MISSING
        assert not seen & set(due)


class TestKeyframes:
    @pytest.mark.parametrize(
        ("payload", "starts"),
        [
            (b"\x67\x42\xc0\x1f", True),  # SPS
            (b"\x68\xce", False),  # PPS
            (b"\x65\x88\x80", True),  # IDR, first_mb_in_slice 0
            (b"\x65\x40\x80", False),  # IDR, a later slice
            (b"\x61\x88", False),
            (b"\x78\x00\x02\x67\x42\x00\x02\x68\xce", True),  # STAP-A of SPS and PPS
            (b"\x78\x00\x02\x68\xce", False),
            (b"\x7c\x85\x88", True),  # FU-A, start of an IDR
            (b"\x7c\x05\x88", False),  # FU-A, its middle
            (b"\x7c\x81\x88", False),
            (b"", False),
            (b"\x78\x00", False),
        ],
    )
    def test_h264(self, payload: bytes, starts: bool) -> None:
        assert starts_h264(payload) is starts

    @pytest.mark.parametrize(
        ("payload", "starts"),
        [
            (b"\x10\x50\x9d", True),
            (b"\x10\x51\x9d", False),  # an inter frame
            (b"\x00\x50", False),  # not the start of a partition
            (b"\x11\x50", False),  # of partition 1
            (b"\x90\x80\x80\x01\x50", True),  # picture id of 15 bits
            (b"\x90\x80\x01\x51", False),
            (b"\x90\xf0\x81\x01\x05\x20\x50", True),  # picture id, TL0PICIDX, TID
            (b"\x90", False),
            (b"\x90\x80", False),
            (b"", False),
        ],
    )
    def test_vp8(self, payload: bytes, starts: bool) -> None:
        assert starts_vp8(payload) is starts

    @given(st.binary(max_size=64))
    def test_garbage_is_looked_at_without_harm(self, payload: bytes) -> None:
        assert starts_h264(payload) in (True, False)
        assert starts_vp8(payload) in (True, False)

    def test_one_is_wanted_while_somebody_waits_and_once_a_second(self) -> None:
        receiver = Receiver()
        track = upstream()
        track.push(packet(1), 1.0, ntp)
        assert not track.wants_keyframe(1.0)
        track.attach(receiver.track)
        assert track.wants_keyframe(1.0)
        assert not track.wants_keyframe(1.5)
        assert track.wants_keyframe(2.1)
        track.push(packet(2), 2.2, ntp)
        assert not track.wants_keyframe(9.0)

    def test_one_is_wanted_when_packets_are_lost_for_good(self) -> None:
        track = upstream(Receiver())
        track.push(packet(1), 1.0, ntp)
        track.push(packet(3 + MAX_MISSING, payload=DELTA), 1.0, ntp)
        assert track.wants_keyframe(1.0)


class TestReports:
    def test_losses_and_jitter_as_rfc_3550_counts_them(self) -> None:
        reception = Reception(90_000)
        for number in (10, 11, 13):
            reception.arrived(number, number * 3000, number * 3000 / 90_000)
        reception.reported(ntp(), 0.5)
        block = reception.report(7, 1.5)
        assert block is not None
        assert (block.lost, block.fraction_lost, block.highest_sequence, block.jitter) == (1, 64, 13, 0)
        assert (block.last_sr, block.delay) == (middle(ntp()), 65_536)
        reception.arrived(14, 14 * 3000 - 1600, 14 * 3000 / 90_000)
        after = reception.report(7, 1.5)
        assert after is not None
        assert (after.lost, after.fraction_lost, after.jitter) == (1, 0, 100)

    def test_what_had_to_be_sent_again_was_lost(self) -> None:
        """Else a publisher on a full way never hears that it is full."""
        track = upstream()
        for number in (1, 2, 4, 3, 7):
            track.push(packet(number), 1.0, ntp)
            if number == 4:
                assert track.gaps.due(1.0, 0.05) == [3]
        track.push(packet(6), 1.01, ntp)  # out of order, and not asked for yet
        block = track.report(1.1)
        assert block is not None
        assert (block.lost, block.fraction_lost) == (2, 2 * 256 // 7)

    def test_lips_and_voice_stay_together_on_our_clock(self) -> None:
        clock = Clock()
        sound, picture = Timebase(clock, 48_000), Timebase(clock, 90_000)
        theirs, now = 77 * SECOND, 5000 * SECOND
        sound.reported(theirs, 1000, now)
        picture.reported(theirs + SECOND // 2, 9000, now + SECOND // 2 + SECOND // 10)  # late by 100 ms on the way
        assert sound.at(now + SECOND) == 1000 + 48_000
        assert picture.at(now + SECOND) == 9000 + 45_000

    def test_a_receiver_is_told_its_own_timestamps(self) -> None:
        receiver = Receiver()
        upstream(receiver).push(packet(1, 3000), 1.0, ntp)
        track = upstream(receiver)
        assert receiver.track.sender_report(5, ntp()) is None
        track.push(packet(1, 1_000_000, ssrc=9), 2.0, ntp)
        track.reported(SenderReport(9, 1, 1_000_000, 0, 0), 2.0, ntp())
        report = receiver.track.sender_report(track.timebase.at(ntp() + SECOND), ntp() + SECOND)
        assert report == SenderReport(77, ntp() + SECOND, 3000 + 90_000 + 90_000, 2, 2 * len(KEY))
