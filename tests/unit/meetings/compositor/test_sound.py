"""The mix: what goes in comes out where it belongs, and never too loud."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.meetings.compositor.sound import BLOCK, CEILING, RING, SAMPLE_RATE, Limiter, Mixer, Samples

PACKET = 960
START = 48_000 * 100


def tone(hertz: float, first: int, count: int, level: float = 0.3) -> Samples:
    wave = level * np.sin(2 * np.pi * hertz * np.arange(first, first + count) / SAMPLE_RATE)
    return np.stack([wave, wave]).astype(np.float32)


def play(mixer: Mixer, seconds: float, voices: dict[str, tuple[float, float]], ratio: float = 1.0) -> Samples:
    """Packets of each voice (hertz, level), 200 ms before they are due, as the output clock takes them."""
    out, sent = [], 0
    for taken in range(0, int(seconds * SAMPLE_RATE), 1024):
        while sent <= taken + SAMPLE_RATE // 5:
            for key, (hertz, level) in voices.items():
                at = START + round(sent * ratio)
                mixer.put(key, tone(hertz, sent, PACKET, level), sent, at)
            sent += PACKET
        out.append(mixer.take(1024))
    return np.concatenate(out, axis=1)


def started() -> Mixer:
    mixer = Mixer()
    mixer.start(START - BLOCK)
    return mixer


def level_at(sound: Samples, hertz: float) -> float:
    """Amplitude of a tone in the last second."""
    window = sound[0, -SAMPLE_RATE:] * np.hanning(SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(window)) / (SAMPLE_RATE / 4)
    return float(spectrum[round(hertz) - 1 : round(hertz) + 2].max())


def test_one_talker_comes_out_unchanged_and_in_place() -> None:
    sound = play(started(), 2, {"a": (440, 0.5)})
    expected = tone(440, 0, sound.shape[1], 0.5)
    # `started` begins a block early; the limiter's block is made up for by the mixer, which reads that much ahead.
    assert np.array_equal(sound[:, BLOCK + 120 :], expected[:, 120:-BLOCK])


def test_every_voice_is_in_the_mix() -> None:
    sound = play(started(), 2, {"a": (440, 0.2), "b": (1000, 0.2), "c": (2500, 0.2), "d": (3300, 0.2)})
    for hertz in (440, 1000, 2500, 3300):
        assert level_at(sound, hertz) == pytest.approx(0.2, rel=0.02)


def test_silence_where_nothing_comes() -> None:
    assert not started().take(4096).any()


@given(st.lists(st.tuples(st.floats(50, 8000), st.floats(0.1, 1.0)), min_size=2, max_size=9))
@settings(max_examples=15, deadline=None)
def test_many_loud_voices_never_clip(voices: list[tuple[float, float]]) -> None:
    sound = play(started(), 0.5, {str(i): voice for i, voice in enumerate(voices)})
    assert np.abs(sound).max() <= CEILING + 1e-4


def test_the_limiter_lets_go_again() -> None:
    limiter = Limiter()
    loud, quiet = tone(500, 0, 4096, 3.0), tone(500, 0, SAMPLE_RATE // BLOCK * BLOCK, 0.5)
    limiter.process(loud)
    assert np.abs(limiter.process(quiet))[:, -4096:].max() == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("ratio", [1.0003, 0.9997])
def test_a_drifting_clock_is_corrected_without_gaps(ratio: float) -> None:
    """300 ppm for 20 s are 6 ms; the voice stays within its tolerance, is put once, and its tone stays a tone."""
    mixer = started()
    sound = play(mixer, 20, {"a": (440, 0.5)}, ratio)
    totals = mixer.totals()
    assert totals["placed"] == 1
    assert 150 < totals["stretched_samples"] < 500
    assert np.abs(np.diff(sound[0, 4096:])).max() < 0.05, "no click"
    assert level_at(sound, 440) > 0.45


def test_a_lost_packet_is_silence_of_its_length() -> None:
    mixer = started()
    for i in range(5):
        if i != 2:
            mixer.put("a", np.full((2, PACKET), 0.5, np.float32), i * PACKET, START + i * PACKET)
    sound = mixer.take(20 * BLOCK)[0, BLOCK:]
    assert sound[PACKET] == pytest.approx(0.5)
    assert not sound[2 * PACKET + 1 : 3 * PACKET - 1].any()
    assert sound[3 * PACKET + 200] == pytest.approx(0.5)
    assert mixer.totals()["placed"] == 1


def test_a_jump_is_put_anew() -> None:
    mixer = started()
    mixer.put("a", tone(440, 0, PACKET), 0, START)
    mixer.put("a", tone(440, 0, PACKET), PACKET, START + PACKET + 9600)
    assert mixer.totals()["placed"] == 2


def test_what_comes_too_late_is_counted_and_not_heard() -> None:
    mixer = started()
    mixer.take(9 * 1024)
    mixer.put("a", np.full((2, PACKET), 0.5, np.float32), 0, START)
    assert not mixer.take(4096).any()
    assert mixer.totals()["late_samples"] == PACKET


def test_what_comes_absurdly_early_is_left_out() -> None:
    mixer = started()
    mixer.put("a", np.full((2, PACKET), 0.5, np.float32), 0, START + 10 * RING)
    assert not mixer.take(RING // 1024 * 1024).any()


def test_a_packet_twice_is_heard_once() -> None:
    mixer = started()
    for _ in range(2):
        mixer.put("a", np.full((2, PACKET), 0.5, np.float32), 0, START + 1000)
    assert mixer.take(4096).max() == pytest.approx(0.5)


def test_muted_voices_fade_and_come_back() -> None:
    mixer = started()
    for i in range(20):
        mixer.put("a", np.full((2, PACKET), 0.5, np.float32), i * PACKET, START + i * PACKET)
    assert mixer.take(2048)[0, -1] == pytest.approx(0.5)
    fading = mixer.take(2048, frozenset({"a"}))
    assert np.abs(np.diff(fading[0])).max() < 0.01
    assert not mixer.take(2048, frozenset({"a"}))[0, BLOCK:].any()
    mixer.take(2048)
    assert mixer.take(2048)[0, -1] == pytest.approx(0.5)


def test_a_voice_that_left_is_gone() -> None:
    mixer = started()
    mixer.put("a", np.full((2, PACKET), 0.5, np.float32), 0, START)
    mixer.remove("a")
    mixer.remove("a")
    assert not mixer.take(2048).any()
