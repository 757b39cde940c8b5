"""How well a livestream's media arrives: a sample a second, and what the samples mean in words.

The pipeline takes the samples and the control plane stores them; both say what they mean by `advise`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10
from statistics import median

import msgspec

ADVICE_SAMPLES = 30
"""Samples that advice looks back on: long enough to be no hiccup, short enough to see that a change helped."""

LOUDNESS_SAMPLES = 20
"""Measured samples without which nothing is said of loudness: speakers pause."""

TIMESTAMPS_JUMP = "TIMESTAMPS_JUMP"


class HealthSample(msgspec.Struct, frozen=True, array_like=True):
    """One second of a session in which media arrived. Rates are per second of media, as the encoder meant them.

    Attributes:
        at_ms: Wall time of its end.
        video_bps: Bits per second of video; 0: none came.
        audio_bps: The same of audio.
        frame_rate: Video frames per second; 0: none came.
        keyframe_interval_ms: Between the last two key frames; 0: not known yet.
        dropped: Frames that are missing between those that came, and audio that came twice.
        jumps: How often time stamps jumped.
        late_ms: How late media arrives, against the earliest of this publisher: what its upload holds back.
        rtt_ms: Round-trip time to the publisher; None where the system does not tell.
        viewers: How many watched; None in samples of before this was kept.
        audio_peak_db, audio_rms_db: How loud the sound was where most of it is, in dBFS; None where it is not measured.
    """

    at_ms: int
    video_bps: int
    audio_bps: int
    frame_rate: float
    keyframe_interval_ms: int
    dropped: int
    jumps: int
    late_ms: int
    rtt_ms: float | None = None
    viewers: int | None = None
    audio_peak_db: float | None = None
    audio_rms_db: float | None = None


class Advice(msgspec.Struct, frozen=True):
    """What the publisher's owner should know: a code that stays, and a sentence that says what to do."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """From where on something is worth a sentence.

    Attributes:
        keyframe_interval_ms: Viewers start at key frames, and segments are cut there: 2 s and some tolerance.
        dropped_share: Of all frames; below that, nobody sees it.
        late_ms: Players keep about this much in hand.
        rtt_ms: Beyond it, TCP takes seconds to catch up after one loss.
        bitrate_spread: Of the highest to the median bitrate: a burst that viewers' lines have to carry.
        silent_db: An open microphone in a quiet room has more.
        full_scale_db: What is limited to full scale decodes to this and more.
        full_scale_share: Of the samples: music that is mastered loud reaches it now and then.
    """

    keyframe_interval_ms: int = 2_500
    dropped_share: float = 0.02
    late_ms: int = 1_000
    rtt_ms: float = 300.0
    bitrate_spread: float = 3.0
    silent_db: float = -60.0
    full_scale_db: float = -0.2
    full_scale_share: float = 0.5


def advise(samples: Sequence[HealthSample], limits: Limits | None = None) -> list[Advice]:
    """What the last samples, in order, give reason to say; nothing where all is well."""
    lately = samples[-ADVICE_SAMPLES:]
    return list(_advise(lately, limits or Limits())) if len(lately) >= 3 else []


def _advise(lately: Sequence[HealthSample], limits: Limits) -> Iterator[Advice]:
    newest = lately[-1]
    if newest.keyframe_interval_ms > limits.keyframe_interval_ms and newest.video_bps:
        yield Advice(
            "KEYFRAMES_FAR_APART",
            f"keyframes every {newest.keyframe_interval_ms / 1000:.3g} s: viewers start slowly; "
            "set 2 s in your encoder",
        )
    yield from _stopped(lately)
    yield from _loudness(lately, limits)
    frames = sum(sample.frame_rate for sample in lately)
    dropped = sum(sample.dropped for sample in lately)
    if dropped > limits.dropped_share * (frames + dropped):
        yield Advice(
            "FRAMES_MISSING",
            f"{dropped / (frames + dropped):.0%} of the frames are missing: the encoder's machine cannot keep up; "
            "lower its resolution, frame rate or preset",
        )
    late_ms = median(sample.late_ms for sample in lately)
    if late_ms > limits.late_ms:
        yield Advice(
            "UPLOAD_TOO_SLOW",
            f"media arrives {late_ms / 1000:.1f} s late: the upload is too slow for "
            f"{_megabits(lately)} Mbit/s; lower the bitrate",
        )
    rtts = [sample.rtt_ms for sample in lately if sample.rtt_ms is not None]
    if rtts and median(rtts) > limits.rtt_ms:
        yield Advice(
            "FAR_AWAY",
            f"the round trip to the publisher takes {median(rtts):.0f} ms: a lost packet holds the upload up; "
            "publish to a server that is nearer",
        )
    rates = [sample.video_bps for sample in lately if sample.video_bps]
    if len(rates) >= ADVICE_SAMPLES // 2 and max(rates) > limits.bitrate_spread * median(rates):
        yield Advice(
            "BITRATE_UNEVEN",
            f"the video's bitrate goes up to {max(rates) / 1e6:.1f} Mbit/s from {median(rates) / 1e6:.1f}: "
            "set a constant bitrate (CBR) in your encoder",
        )
    jumps = sum(sample.jumps for sample in lately)
    if jumps:
        yield Advice(TIMESTAMPS_JUMP, f"time stamps jumped {jumps} times within {len(lately)} s: see the encoder's log")


def _stopped(lately: Sequence[HealthSample]) -> Iterator[Advice]:
    """A kind of media that came and comes no more, while the other goes on."""
    last = lately[-3:]
    if not any(sample.audio_bps for sample in last) and any(sample.audio_bps for sample in lately):
        yield Advice("AUDIO_STOPPED", "the sound has stopped: check the encoder's audio device")
    if not any(sample.video_bps for sample in last) and any(sample.video_bps for sample in lately):
        yield Advice(
            "VIDEO_STOPPED", "the picture has stopped while the sound goes on: check the encoder's video source"
        )


def _loudness(lately: Sequence[HealthSample], limits: Limits) -> Iterator[Advice]:
    """Sound that nobody hears, or that is distorted; not before there is enough of it."""
    peaks = [sample.audio_peak_db for sample in lately if sample.audio_peak_db is not None]
    if len(peaks) < LOUDNESS_SAMPLES or not lately[-1].audio_bps:
        return
    if max(peaks) < limits.silent_db:
        yield Advice(
            "AUDIO_SILENT",
            f"the sound has been silent for {len(peaks)} s: check that the right audio device is chosen and not muted",
        )
    full = sum(peak >= limits.full_scale_db for peak in peaks)
    if full >= limits.full_scale_share * len(peaks):
        yield Advice(
            "AUDIO_CLIPS",
            f"the sound is at full scale ({max(peaks):+.1f} dB at most) and distorted: lower its level in your encoder "
            "by 6 dB or more",
        )


def _megabits(lately: Sequence[HealthSample]) -> str:
    return f"{median(sample.video_bps + sample.audio_bps for sample in lately) / 1e6:.1f}"


def thin(samples: Sequence[HealthSample], most: int) -> list[HealthSample]:
    """At most `most` samples in place of many: means of rates and of energy, the worst of delays, sums of counts, the
    most viewers.

    Each stands at the end of the samples that it is made of.
    """
    each = -(-len(samples) // most) if samples else 1
    if each <= 1:
        return list(samples)
    return [_merged(samples[first : first + each]) for first in range(0, len(samples), each)]


def _merged(group: Sequence[HealthSample]) -> HealthSample:
    count = len(group)
    rtts = [sample.rtt_ms for sample in group if sample.rtt_ms is not None]
    viewers = [sample.viewers for sample in group if sample.viewers is not None]
    peaks = [sample.audio_peak_db for sample in group if sample.audio_peak_db is not None]
    means = [sample.audio_rms_db for sample in group if sample.audio_rms_db is not None]
    return HealthSample(
        at_ms=group[-1].at_ms,
        video_bps=sum(sample.video_bps for sample in group) // count,
        audio_bps=sum(sample.audio_bps for sample in group) // count,
        frame_rate=round(sum(sample.frame_rate for sample in group) / count, 2),
        keyframe_interval_ms=max(sample.keyframe_interval_ms for sample in group),
        dropped=sum(sample.dropped for sample in group),
        jumps=sum(sample.jumps for sample in group),
        late_ms=max(sample.late_ms for sample in group),
        rtt_ms=max(rtts) if rtts else None,
        viewers=max(viewers) if viewers else None,
        audio_peak_db=max(peaks) if peaks else None,
        audio_rms_db=round(10 * log10(sum(10 ** (db / 10) for db in means) / len(means)), 1) if means else None,
    )
