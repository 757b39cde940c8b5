"""From RTP to decoded pictures and to the mix; losses, hidden pictures, what is broken."""

from __future__ import annotations

import numpy as np
import pytest

from headwater.meetings.compositor import streams
from headwater.meetings.compositor.sound import SAMPLE_RATE, Mixer
from headwater.meetings.compositor.streams import AudioStream, Counters, VideoStream
from headwater.meetings.compositor.timing import SenderClock
from tests.unit.meetings.compositor.rtp_media import pictures, sounds

NOW = 1000.0


class Video:
    """A stream, and how often it asked for a key frame."""

    def __init__(self, codec: str = "H264") -> None:
        self.counters = Counters()
        self.asked = 0
        self.stream = VideoStream(codec, SenderClock().track(90_000), self.counters, self._ask)

    def _ask(self) -> None:
        self.asked += 1

    def push(self, at_s: float, packets: list[bytes]) -> None:
        for packet in packets:
            self.stream.push(packet, NOW + at_s)

    def shades(self) -> list[int]:
        """Mean luma of the decoded frames, which are taken."""
        found = []
        while self.stream.frames:
            frame = self.stream.frames.popleft().frame
            found.append(round(float(frame.to_ndarray()[: frame.height].mean())))
        return found


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_every_picture_is_decoded_at_its_time(codec: str) -> None:
    video = Video(codec)
    times = []
    for at_s, packets in pictures(codec, 10):
        video.push(at_s, packets)
        times += [shown.at_s - NOW for shown in video.stream.frames]
        assert video.shades() == [pytest.approx(120, abs=2)]
    assert times == pytest.approx([index / 30 for index in range(10)])
    assert video.asked == 0


@pytest.mark.parametrize("codec", ["H264", "VP8"])
def test_after_a_loss_the_last_picture_stays_until_a_key_frame(codec: str) -> None:
    video = Video(codec)
    for index, (at_s, packets) in enumerate(pictures(codec, 31)):
        if index == 5:
            continue
        video.push(at_s, packets)
        video.stream.tick(NOW + at_s)
        shown = len(video.shades())
        assert shown == (1 if index < 5 or index == 30 else 0), index
    assert video.asked >= 1
    assert video.counters.decode_errors == 0


def test_a_stream_that_begins_without_a_key_frame_asks_for_one_twice_a_second() -> None:
    video = Video()
    for index, (at_s, packets) in enumerate(pictures("H264", 30)):
        if index:
            video.push(at_s, packets)
            video.stream.tick(NOW + at_s)
    assert video.shades() == []
    assert video.asked == 2


def test_a_hidden_picture_is_not_decoded_and_there_at_once_when_shown() -> None:
    video = Video()
    video.stream.mode = "hide"
    for at_s, packets in pictures("H264", 40, gop=30):
        video.push(at_s, packets)
    assert video.shades() == []
    video.stream.mode = "show"
    decoded = 0
    for _ in range(10):
        video.stream.tick(NOW + 1.4)
        decoded += len(video.shades())
    assert decoded == 10, "from the last key frame on"
    assert video.asked == 0


def test_a_picture_hidden_for_long_keeps_a_bounded_past(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_GOP_UNITS", 20)
    video = Video()
    video.stream.mode = "hide"
    for at_s, packets in pictures("H264", 40, gop=1000):
        video.push(at_s, packets)
        video.stream.tick(NOW + at_s)
    assert video.counters.overflows == 1
    assert video.asked == 0, "nobody looks"
    video.stream.mode = "show"
    video.stream.tick(NOW + 2)
    assert video.asked == 1


def test_units_of_h264_are_there_to_be_passed_on() -> None:
    video = Video()
    for at_s, packets in pictures("H264", 4, width=640, height=360):
        video.push(at_s, packets)
    assert video.stream.size == (640, 360)
    assert [unit.record is not None for unit in video.stream.units] == [True, False, False, False]
    record = video.stream.units[0].record
    assert record is not None
    assert record[0] == 1


def test_vp8_cannot_be_passed_on() -> None:
    video = Video("VP8")
    for at_s, packets in pictures("VP8", 2):
        video.push(at_s, packets)
    assert not video.stream.units
    assert video.stream.size is None


def test_garbage_is_counted() -> None:
    video = Video()
    for data in (b"", b"\x80" * 11, b"\xff" * 40, bytes(100)):
        video.stream.push(data, NOW)
    assert video.counters.broken_packets == 4


def test_a_picture_that_is_too_large_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_PIXELS", 320 * 180 - 1)
    for codec in ("H264", "VP8"):
        video = Video(codec)
        for at_s, packets in pictures(codec, 3):
            video.push(at_s, packets)
        assert video.shades() == []
        assert video.asked == 1


def test_frames_that_nobody_takes_do_not_pile_up() -> None:
    video = Video()
    for at_s, packets in pictures("H264", 40):
        video.push(at_s, packets)
    assert len(video.stream.frames) == streams.MAX_FRAMES
    assert len(video.stream.units) <= streams.MAX_UNITS


def test_sound_gets_into_the_mix() -> None:
    mixer = Mixer()
    mixer.start(round(NOW * SAMPLE_RATE))
    stream = AudioStream("a", SenderClock().track(48_000), Counters(), mixer)
    for at_s, packet in sounds(50):
        stream.push(packet, NOW + at_s)
    sound = np.concatenate([mixer.take(1024) for _ in range(40)], axis=1)[0]
    window = sound[20_000:36_384] * np.hanning(16_384)
    spectrum = np.abs(np.fft.rfft(window)) / (16_384 / 4)
    assert spectrum[round(440 * 16_384 / 48_000)] == pytest.approx(0.4, rel=0.15)


def test_sound_that_cannot_be_decoded_is_counted_and_left_out() -> None:
    mixer, counters = Mixer(), Counters()
    mixer.start(round(NOW * SAMPLE_RATE))
    stream = AudioStream("a", SenderClock().track(48_000), counters, mixer)
    for index, (at_s, packet) in enumerate(sounds(20)):
        stream.push(packet[:12] + b"\xff" * 30 if index == 5 else packet, NOW + at_s)
    assert counters.decode_errors + counters.broken_packets == 1
