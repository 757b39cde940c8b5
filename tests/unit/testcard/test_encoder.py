"""The test card as tags, without waiting: what it shows, when, and how it begins."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from headwater.errors import OperatorError
from headwater.testcard import barcode
from headwater.testcard.card import FLASH_MS, Card
from headwater.testcard.encoder import AUDIO_ENCODERS, VIDEO_ENCODERS, TestCard, TestCardSettings, with_size
from headwater.testcard.sound import SAMPLE_RATE, Beeper, one_second
from headwater.testcard.tags import AUDIO, VIDEO, Tag
from tests.unit.testcard.clocks import FastClock

SMALL = TestCardSettings(width=320, height=180, bitrate=300_000, duration_s=2)


def of(tags: list[Tag], type_id: int) -> list[Tag]:
    return [tag for tag in tags if tag.type_id == type_id and tag.setup is None]


def test_a_whole_number_of_frames_stands_on_the_grid_of_seconds() -> None:
    clock = FastClock()
    tags = list(TestCard(SMALL).tags(clock))
    pictures = of(tags, VIDEO)
    assert [tag.timestamp_ms for tag in pictures] == [round(i * 1000 / 30) for i in range(60)]
    assert [i for i, tag in enumerate(pictures) if tag.is_sync] == [0, 30]


def test_each_track_begins_with_its_configuration_and_sound_is_even() -> None:
    tags = list(TestCard(SMALL).tags(FastClock()))
    for type_id in (AUDIO, VIDEO):
        assert next(tag for tag in tags if tag.type_id == type_id).setup is not None
    times = [tag.timestamp_ms for tag in of(tags, AUDIO)]
    assert times[0] == 0
    assert {after - before for before, after in pairwise(times)} <= {21, 22}
    assert abs(times[-1] - 2000) < 100


@pytest.mark.parametrize("codec", VIDEO_ENCODERS)
def test_every_codec_encodes(codec: str) -> None:
    settings = TestCardSettings(width=320, height=180, codec=codec, audio_codec=None, duration_s=0.5)
    tags = list(TestCard(settings).tags(FastClock()))
    assert len(of(tags, VIDEO)) == 15
    assert of(tags, VIDEO)[0].is_sync


@pytest.mark.parametrize("codec", AUDIO_ENCODERS)
def test_every_audio_codec_encodes(codec: str) -> None:
    tags = list(TestCard(TestCardSettings(codec=None, audio_codec=codec, duration_s=1)).tags(FastClock()))
    assert 40 <= len(of(tags, AUDIO)) <= 56
    assert of(tags, VIDEO) == []


def test_a_sync_sample_comes_when_it_is_asked_for() -> None:
    card = TestCard(SMALL)
    pictures = []
    for tag in card.tags(FastClock()):
        pictures += of([tag], VIDEO)
        if len(pictures) == 10:
            card.request_sync()
    assert pictures[10].is_sync or pictures[11].is_sync


def test_a_machine_that_is_too_slow_leaves_frames_out_and_keeps_the_time() -> None:
    class SlowClock(FastClock):
        def wait_until(self, wall_ms: float) -> bool:
            super().wait_until(wall_ms)
            self.at_ms += 100
            return True

    card = TestCard(SMALL)
    pictures = of(list(card.tags(SlowClock())), VIDEO)
    assert card.skipped > 0
    assert len(pictures) + card.skipped >= 60
    assert len(pictures) < 60


@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9"])
def test_frames_that_are_left_out_make_no_gop_longer(codec: str) -> None:
    """Where the machine is too slow, sync samples still come with the first frame of each second."""

    class SlowClock(FastClock):
        def wait_until(self, wall_ms: float) -> bool:
            super().wait_until(wall_ms)
            self.at_ms += 70
            return True

    settings = replace(SMALL, codec=codec, audio_codec=None, duration_s=6)
    card = TestCard(settings)
    pictures = of(list(card.tags(SlowClock())), VIDEO)
    syncs = [tag.timestamp_ms for tag in pictures if tag.is_sync]
    assert card.skipped > 60
    assert len(syncs) == 6
    assert max(after - before for before, after in pairwise(syncs)) < 1500


def test_nothing_to_send_is_refused() -> None:
    with pytest.raises(OperatorError, match="nothing to send"):
        TestCard(TestCardSettings(codec=None, audio_codec=None))


@pytest.mark.parametrize("size", ["1280", "1281x720", "64x64", "9999x9999", "axb", "-2x4"])
def test_a_size_that_cannot_be_is_refused_in_words(size: str) -> None:
    with pytest.raises(ValueError, match=r"WIDTHxHEIGHT|even numbers"):
        with_size(SMALL, size)


@pytest.mark.parametrize("size", [(1280, 720), (360, 640), (426, 240), (128, 96), (1920, 1080)])
def test_the_card_shows_its_instant_in_any_shape(size: tuple[int, int]) -> None:
    card = Card(*size, Fraction(30))
    for wall_ms in (1_790_000_123_456, 1_790_000_124_000):
        card.paint(wall_ms, 7)
        assert barcode.read(card.y) == wall_ms


def test_the_flash_is_white_for_the_first_tenth_of_each_second() -> None:
    card = Card(640, 360, Fraction(30))
    for rest in (0, FLASH_MS - 1, FLASH_MS, 999):
        card.paint(1_790_000_123_000 + rest, 0)
        brightness = card.layout.flash.cut(card.y)[8:-8, 8:-8].mean()
        assert (brightness > 200) == (rest < FLASH_MS)


def test_painting_again_leaves_no_trace_of_the_instant_before() -> None:
    one, two = Card(640, 360, Fraction(30)), Card(640, 360, Fraction(30))
    one.paint(1_790_000_123_456, 1)
    one.paint(1_790_000_199_999, 999)
    two.paint(1_790_000_199_999, 999)
    assert np.array_equal(one.pixels, two.pixels)


def test_the_sound_is_cut_without_seams() -> None:
    beeper = Beeper(1_790_000_123_456 * 48)
    cut = np.concatenate([beeper.take(1024) for _ in range(100)])
    endless = np.tile(one_second(), 4)
    offset = 456 * 48
    assert np.array_equal(cut, endless[offset : offset + len(cut)])


def test_the_beep_is_one_kilohertz_for_a_tenth_of_a_second() -> None:
    sound = one_second()
    assert np.abs(sound[: SAMPLE_RATE // 10]).max() > 0.24
    assert not sound[SAMPLE_RATE // 10 :].any()
    assert np.argmax(np.abs(np.fft.rfft(sound[:4800]))) * 10 == 1000
