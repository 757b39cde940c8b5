"""What samples of a stream's health give reason to say, and what becomes of many of them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from headwater.health import ADVICE_SAMPLES, HealthSample, advise, thin

GOOD = HealthSample(1000, 3_000_000, 128_000, 30.0, 2000, 0, 0, 20, 15.0)


def stream(count: int = ADVICE_SAMPLES, **changes: object) -> list[HealthSample]:
    return [replace(GOOD, at_ms=1000 * (k + 1), **changes) for k in range(count)]


def codes(samples: list[HealthSample]) -> list[str]:
    return [advice.code for advice in advise(samples)]


def test_a_good_stream_gives_no_reason() -> None:
    assert codes(stream()) == []
    assert codes(stream(audio_bps=0)) == [], "a stream without sound is one"
    assert codes(stream(video_bps=0, frame_rate=0.0, keyframe_interval_ms=0)) == []


@pytest.mark.parametrize(
    "changes,code,words",
    [
        ({"keyframe_interval_ms": 8000}, "KEYFRAMES_FAR_APART", "keyframes every 8 s: viewers start slowly; set 2 s"),
        ({"dropped": 3, "frame_rate": 27.0}, "FRAMES_MISSING", "10% of the frames are missing"),
        ({"late_ms": 2300}, "UPLOAD_TOO_SLOW", "media arrives 2.3 s late: the upload is too slow for 3.1 Mbit/s"),
        ({"rtt_ms": 450.0}, "FAR_AWAY", "450 ms"),
        ({"jumps": 1}, "TIMESTAMPS_JUMP", "30 times"),
    ],
)
def test_each_trouble_is_named_with_what_to_do(changes: dict[str, object], code: str, words: str) -> None:
    (advice,) = advise(stream(**changes))
    assert advice.code == code and words in advice.message


def test_what_stops_is_named_while_the_rest_goes_on() -> None:
    assert codes(stream(20) + stream(3, audio_bps=0)) == ["AUDIO_STOPPED"]
    assert codes(stream(20) + stream(3, video_bps=0, frame_rate=0.0)) == ["VIDEO_STOPPED"]


def test_sound_that_nobody_hears_and_sound_that_is_distorted() -> None:
    (advice,) = advise(stream(audio_peak_db=-71.5, audio_rms_db=-90.0))
    assert advice.code == "AUDIO_SILENT" and "silent for 30 s: check that the right audio device" in advice.message
    (advice,) = advise(stream(audio_peak_db=0.4, audio_rms_db=-6.0))
    assert advice.code == "AUDIO_CLIPS" and "full scale (+0.4 dB at most)" in advice.message
    assert codes(stream(audio_peak_db=-3.0, audio_rms_db=-18.0)) == []
    assert codes(stream(15, audio_peak_db=-71.5)) == [], "too early to say"
    assert codes(stream(29, audio_peak_db=-71.5) + stream(1, audio_peak_db=-20.0)) == [], "somebody speaks"
    assert codes(stream(20, audio_peak_db=-12.0) + stream(10, audio_peak_db=0.2)) == [], "a loud passage"


def test_thinning_keeps_peaks_and_adds_up_energy() -> None:
    loud = replace(GOOD, audio_peak_db=-1.0, audio_rms_db=-10.0)
    samples = [*stream(2, audio_peak_db=-6.0, audio_rms_db=-20.0), loud]
    (merged,) = thin([*samples, GOOD], 1)
    assert merged.audio_peak_db == -1.0 and merged.audio_rms_db == -14.0
    assert thin([GOOD, GOOD], 1)[0].audio_rms_db is None


def test_a_bitrate_with_peaks_is_uneven() -> None:
    samples = stream()
    samples[7] = replace(samples[7], video_bps=12_000_000)
    (advice,) = advise(samples)
    assert advice.code == "BITRATE_UNEVEN" and "up to 12.0 Mbit/s from 3.0" in advice.message


def test_what_is_over_is_not_said_any_more() -> None:
    assert codes(stream(40, keyframe_interval_ms=8000) + stream()) == []


@given(st.integers(0, 5000), st.integers(1, 400))
def test_thinning_loses_no_trouble(count: int, most: int) -> None:
    samples = stream(count, dropped=1)
    if samples:
        samples[count // 2] = replace(samples[count // 2], late_ms=9000, viewers=7)
    thinned = thin(samples, most)
    assert len(thinned) <= most
    assert sum(sample.dropped for sample in thinned) == count
    assert not samples or (max(sample.late_ms for sample in thinned) == 9000 and thinned[-1].at_ms == samples[-1].at_ms)
    assert max((sample.viewers or 0 for sample in thinned), default=0) == (7 if samples else 0)


def test_samples_of_before_viewers_were_kept_are_read() -> None:
    old = msgspec.msgpack.encode([1000, 1, 2, 30.0, 2000, 0, 0, 20, None])
    assert msgspec.msgpack.decode(old, type=HealthSample).viewers is None
