"""RTP timestamps on our time line."""

from __future__ import annotations

import pytest

from headwater.meetings.compositor.timing import SLEW, SenderClock, Transit

NTP = 3_900_000_000
JITTER = (0.004, 0.011, 0.0, 0.007, 0.002)


def test_jitter_does_not_move_the_line() -> None:
    transit = Transit()
    for i in range(500):
        ours = transit.observe(i * 0.02, 100 + i * 0.02 + 0.05 + JITTER[i % 5])
    assert ours == pytest.approx(100 + 499 * 0.02 + 0.05, abs=1e-6)


def test_without_reports_each_stream_goes_by_its_arrival() -> None:
    sender = SenderClock()
    picture, sound = sender.track(90_000), sender.track(48_000)
    assert picture.at(picture.unwrap(900), 5.0) == 5.0
    assert sound.at(sound.unwrap(77), 6.0) == 6.0


def test_with_reports_picture_and_sound_of_one_instant_meet() -> None:
    """The picture comes 80 ms after its sound: it was coded longer. By arrival they would be 80 ms apart."""
    sender = SenderClock()
    picture, sound = sender.track(90_000), sender.track(48_000)
    picture.report(NTP << 32, picture.unwrap(1_000_000))
    sound.report((NTP + 1) << 32, sound.unwrap(5_000))
    for i in range(100):
        heard = sound.at(sound.unwrap(5_000 - 48_000 + i * 4800), 50 + i * 0.1)
        seen = picture.at(picture.unwrap(1_000_000 + i * 9000), 50 + i * 0.1 + 0.08)
    assert seen == pytest.approx(heard, abs=1e-6)


def test_timestamps_wrap_around() -> None:
    track = SenderClock().track(90_000)
    before = track.at(track.unwrap(0xFFFF_FFFF - 44_999), 10.0)
    after = track.at(track.unwrap(45_000), 11.0)
    assert after - before == pytest.approx(1.0)


def test_a_clock_that_runs_fast_is_followed() -> None:
    """100 ppm: after ten minutes, 60 ms."""
    transit, worst = Transit(), 0.0
    for i in range(30_000):
        arrival = i * 0.02
        ours = transit.observe(arrival * 0.9999, arrival + JITTER[i % 5])
        worst = max(worst, abs(ours - arrival) if i > 100 else 0)
    assert worst < 0.002


def test_a_way_that_got_slower_is_followed_within_two_seconds() -> None:
    transit = Transit()
    for i in range(200):
        ours = transit.observe(i * 0.02, i * 0.02 + (0.4 if i >= 100 else 0))
    assert ours == pytest.approx(199 * 0.02 + 0.4, abs=0.02)


def test_one_late_packet_does_not_matter() -> None:
    transit = Transit()
    transit.observe(0.0, 0.0)
    assert transit.observe(0.02, 0.9) == pytest.approx(0.02 + SLEW * 0.9, abs=1e-3)


def test_a_report_of_no_time_is_no_report() -> None:
    track = SenderClock().track(90_000)
    track.report(0, 100)
    assert track.at(track.unwrap(100), 7.0) == 7.0
