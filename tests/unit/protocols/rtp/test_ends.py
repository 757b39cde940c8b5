"""What the two ends of a stream keep: sender's numbers and history, receiver's counts, the common timeline."""

from __future__ import annotations

from itertools import pairwise

from headwater.protocols.rtp import packet as rtp
from headwater.protocols.rtp.reception import Reception
from headwater.protocols.rtp.rtcp import SenderReport, middle, ntp_of
from headwater.protocols.rtp.sending import History, Source
from headwater.protocols.rtp.timeline import MAX_AWAY_MS, MAX_SKEW_MS, Timeline, TrackClock


def test_a_source_numbers_its_packets_over_the_wrap() -> None:
    source = Source(7, 96, 90_000, first_sequence=65535, first_timestamp=0xFFFFFFFF)
    assert not source.has_sent
    packets = [rtp.parse(packet) for packet in source.packets([b"a", b"bc"], 2)]
    assert [(one.sequence, one.timestamp, one.marker, one.payload_type, one.ssrc) for one in packets] == [
        (65535, 1, False, 96, 7),
        (0, 1, True, 96, 7),
    ]
    assert source.report(0, 5) == SenderReport(7, ntp_of(0), 4, packets=2, octets=3) and source.has_sent


def test_a_history_is_bounded_and_sends_again_in_its_own_stream() -> None:
    source, history = Source(7, 96, 90_000, first_sequence=65530, first_timestamp=0), History(4, first_rtx_sequence=9)
    packets = source.packets([b"%d" % index for index in range(10)], 0)
    for packet in packets:
        history.keep(packet)
    assert len(history) == 4 and history.find(65530) is None
    again = history.again(3, payload_type=97, ssrc=8)
    assert again is not None and rtp.parse(again).sequence == 10
    assert rtp.from_rtx(again, payload_type=96, ssrc=7) == packets[9] == history.again(3, payload_type=None, ssrc=None)
    assert history.again(4, payload_type=97, ssrc=8) is None


def test_a_receiver_counts_losses_since_the_last_report() -> None:
    """RFC 3550, A.3: over the wrap of the numbers."""
    reception = Reception(7, 90_000)
    assert reception.block(0) is None
    for sequence in (65534, 65535, 1, 2):
        reception.packet(sequence, 0, 0)
    block = reception.block(0)
    assert block is not None
    assert (block.lost, block.fraction_lost, block.highest_sequence, block.last_sr) == (1, 256 // 5, 65538, 0)
    report = SenderReport(7, ntp_of(1e12), 0, 0, 0)
    reception.sender_report(report, 1000)
    reception.packet(3, 0, 0)
    block = reception.block(1500)
    assert block is not None
    assert (block.lost, block.fraction_lost, block.last_sr, block.delay) == (1, 0, middle(report.ntp), 32768)


def test_the_jitter_is_of_the_arrival_beside_the_timestamps() -> None:
    """RFC 3550, A.8; the timestamp wraps on the way."""
    even, uneven = Reception(1, 90_000), Reception(1, 90_000)
    for index in range(400):
        timestamp = (0xFFFFF000 + index * 900) & 0xFFFFFFFF
        even.packet(index, timestamp, index * 10)
        uneven.packet(index, timestamp, index * 10 + (4 if index % 2 else 0))
    even_block, uneven_block = even.block(0), uneven.block(0)
    assert even_block is not None and uneven_block is not None
    assert even_block.jitter == 0 and abs(uneven_block.jitter - 360) <= 2


def two_tracks(picture_late_ms: float) -> tuple[Timeline, TrackClock, TrackClock]:
    """Sound and picture sampled at the same time, of which the picture arrives later."""
    timeline = Timeline()
    sound, picture = timeline.add(48_000), timeline.add(90_000)
    assert sound.time(1000, 5000) == 5000
    assert picture.time(0xFFFFFFFF - 900, 5000 + picture_late_ms) == 5000 + picture_late_ms
    return timeline, sound, picture


def play(clock: TrackClock, first: int, rate: int, first_ms: float, seconds: int, step_ms: float = 20) -> list[float]:
    times = []
    for index in range(1, int(seconds * 1000 / step_ms)):
        at = index * step_ms
        times.append(clock.time(int(first + at * rate / 1000) & 0xFFFFFFFF, first_ms + at) - at)
    return times


def test_the_picture_walks_to_the_sound_when_both_have_reported() -> None:
    timeline, sound, picture = two_tracks(120)
    timeline.sender_report(picture, SenderReport(2, ntp_of(1e12), (0xFFFFFFFF - 900) & 0xFFFFFFFF, 1, 1))
    assert play(picture, 0xFFFFFFFF - 900, 90_000, 5120, 1)[-1] == 5120  # one report alone says nothing
    timeline.sender_report(sound, SenderReport(1, ntp_of(1e12), 1000, 1, 1))
    times = play(picture, 0xFFFFFFFF - 900 + 90_000, 90_000, 6120, 4)
    assert abs(times[-1] - 6000) < 0.1
    assert all(abs(after - before) <= 2.1 for before, after in pairwise(times))  # no jump
    assert play(sound, 1000, 48_000, 5000, 1)[-1] == 5000  # the sound stays


def test_reports_that_cannot_be_true_are_not_followed() -> None:
    timeline, sound, picture = two_tracks(0)
    timeline.sender_report(sound, SenderReport(1, ntp_of(1e12), 1000, 1, 1))
    timeline.sender_report(picture, SenderReport(2, ntp_of(1e12 + MAX_SKEW_MS + 1), 0xFFFFFFFF - 900, 1, 1))
    assert play(picture, 0xFFFFFFFF - 900, 90_000, 5000, 2)[-1] == 5000


def test_a_clock_that_begins_anew_is_set_by_arrival() -> None:
    _, sound, _ = two_tracks(0)
    assert sound.time(1000 + 48_000 * 3600, 5020) == 5020
    assert sound.time(1000 + 48_000 * 3600 + 960, 5040) == 5040
    assert sound.time(1000 + 48_000 * 3600 + 960, 5040 + MAX_AWAY_MS + 1) == 5040 + MAX_AWAY_MS + 1
