"""Source timestamps in, evenly running output times out.

RTMP's milliseconds make 29.97 frames per second 33, 34, 33 ms long, and 1024 samples of AAC 21 or 22. A clock turns
them back into what the encoder meant: it runs on at the nominal duration as long as the source agrees within
quantisation, leans slowly towards the source where the two drift apart, and follows it where it really moves.

Times inside are ticks in fixed point, so that 1501.5 ticks a frame (59.94 Hz) add up exactly.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from statistics import median_low

POINT = 8
"""Bits behind the point."""

VIDEO_TIMESCALE = 90_000

JUMP_MS = 3000
"""A source time further ahead than this is a new beginning of its clock, not a pause."""

BACKWARD_JUMP_MS = 500
"""A source time further back than this is a new beginning of its clock, not a disorder."""

SLOWEST_RATE, FASTEST_RATE = Fraction(1, 2), Fraction(1000)
"""Frames per second that are believed; a slower measurement is a pause or a broken clock."""

JUMPED = -1
"""Answer of a clock: the source jumped; `realign` and ask again."""

SKIPPED = -2
"""Answer of a clock: this unit lies before what is already there."""

_QUANTISATION_MS = Fraction(7, 4)  # both ends of a difference are rounded to 1 ms; some encoders cut off instead
_VIDEO_DRIFT_MS = Fraction(2, 3)  # the mean of rounding errors stays below this
_RELEARN_FRAMES = 12  # so many irregular frames in a row have another nominal duration
_REFINE_FRAMES = 60  # a run this long tells 29.97 from 30: two milliseconds apart, one of them quantisation
_VARIABLE_FRAMES = 30  # a track is variable for this many frames after an irregular one

# Numerators and denominators of rates that cameras and encoders use; a measured rate snaps to the nearest.
_USUAL_RATES = tuple(
    sorted(
        [Fraction(rate) for rate in (1, 2, 5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 240)]
        + [Fraction(rate * 1000, 1001) for rate in (15, 24, 30, 60, 120)]
    )
)
_SNAP = Fraction(1, 500)  # within 0.2 % of a usual rate


class SourceClock:
    """The part that both kinds share: where the source's zero is."""

    __slots__ = ("_base", "_divisor", "_factor", "_jump_ahead", "_jump_back", "_source", "timescale")

    def __init__(self, source_timescale: int, timescale: int) -> None:
        self.timescale = timescale
        self._factor = timescale << POINT
        self._divisor = source_timescale
        self._source = 0
        self._base = 0
        self._jump_ahead = self._fixed_ms(JUMP_MS)
        self._jump_back = -self._fixed_ms(BACKWARD_JUMP_MS)

    @property
    def source(self) -> int:
        """The source time that stands at the base."""
        return self._source

    @property
    def base(self) -> int:
        """Output ticks at which `source` stands."""
        return self._base >> POINT

    def anchor(self, source: int, base: int) -> None:
        """Let the source time `source` be the output time `base`, from now on; nothing came yet."""
        self._source, self._base = source, base << POINT

    def align(self, source: int) -> None:
        """Let the source time `source` be the base; what came already stays."""
        self._source = source

    def where(self, source: int) -> int:
        """Output ticks of a source time, as the anchor alone says."""
        return self._raw(source) >> POINT

    def _fixed_ms(self, milliseconds: int | Fraction) -> int:
        return int(milliseconds * self.timescale * (1 << POINT) / 1000)

    def _raw(self, source: int) -> int:
        return (source - self._source) * self._factor // self._divisor + self._base

    def _to_source(self, fixed: int) -> int:
        return fixed * self._divisor // self._factor


class VideoClock(SourceClock):
    """Decode times of a video track.

    Attributes:
        frame: Nominal duration of a frame, in ticks, rounded.
        missing: Frames that did not come: where the next one is later by a whole number of them.
    """

    __slots__ = (
        "_deltas", "_drift", "_drift_limit", "_even_raw", "_even_since", "_frames", "_irregular_at", "_last",
        "_nominal", "_started", "_tolerance",
        "frame", "missing",
    )  # fmt: skip

    def __init__(self, source_timescale: int, rate: Fraction) -> None:
        super().__init__(source_timescale, VIDEO_TIMESCALE)
        self._tolerance = self._fixed_ms(_QUANTISATION_MS)
        self._drift_limit = self._fixed_ms(_VIDEO_DRIFT_MS)
        self._frames = self.missing = 0
        self._irregular_at = -_VARIABLE_FRAMES
        self._deltas: list[int] = []
        self._started = False
        self._last = self._drift = self._even_since = self._even_raw = 0
        self.set_rate(rate)

    def set_rate(self, rate: Fraction) -> None:
        """Expect this many frames per second, as far as they can be believed."""
        rate = min(max(rate, SLOWEST_RATE), FASTEST_RATE)
        self._set_nominal(int((VIDEO_TIMESCALE << POINT) / rate))

    def _set_nominal(self, nominal: int) -> None:
        self._nominal = nominal
        self.frame = max(1, (nominal + (1 << POINT - 1)) >> POINT)

    @property
    def variable(self) -> bool:
        """The frame rate varied lately."""
        return self._frames - self._irregular_at < _VARIABLE_FRAMES

    def anchor(self, source: int, base: int) -> None:
        super().anchor(source, base)
        self._started = False

    def time(self, source: int) -> int:
        """Output ticks of a source decode time; always later than the one before. Or `JUMPED`."""
        raw = (source - self._source) * self._factor // self._divisor + self._base
        predicted = self._last + self._nominal
        error = raw - predicted
        self._frames += 1
        if not -self._tolerance <= error <= self._tolerance or not self._started:
            return self._irregular(raw, error)
        drift = self._drift = self._drift + (error - self._drift >> 3)
        if not -self._drift_limit <= drift <= self._drift_limit:
            predicted += self._lean(raw, drift)
        self._last = predicted
        return predicted >> POINT

    def _lean(self, raw: int, drift: int) -> int:
        """Where to move towards the source; and if it went on evenly for long, the frame rate was taken for another.

        29.97 and 30 frames per second differ by a millisecond in a second: at the start they cannot be told apart.
        """
        frames = self._frames - self._even_since
        if frames >= _REFINE_FRAMES and raw > self._even_raw:
            self.set_rate(usual_rate(Fraction(self._factor * frames, raw - self._even_raw)))
        self._drift = 0
        return drift

    def _irregular(self, raw: int, error: int) -> int:
        self._even_since, self._even_raw = self._frames, raw
        if not self._started:
            self._started = True
            self._last, self._drift = max(0, raw), 0
            return self._last >> POINT
        if not self._jump_back <= error <= self._jump_ahead:
            return JUMPED
        if self._irregular_at != self._frames - 1:
            self._deltas.clear()
        self._irregular_at = self._frames
        delta = raw - self._last
        whole = (delta + (self._nominal >> 1)) // self._nominal
        if whole > 1 and abs(delta - whole * self._nominal) <= self._tolerance:
            self.missing += whole - 1
        # Repeated and backward times are pressed into half steps until the source is ahead again.
        self._last = max(raw, self._last + (self._nominal >> 1))
        self._drift = 0
        if delta > 0:
            self._deltas.append(delta)
            if len(self._deltas) >= _RELEARN_FRAMES:
                self.set_rate(usual_rate(Fraction(self._factor, median_low(self._deltas))))
                self._deltas.clear()
        return self._last >> POINT

    @property
    def started(self) -> bool:
        return self._started

    def follow(self, source: int) -> int:
        """After a jump that is true: go where the source is, never back."""
        self._last = max(self._raw(source), self._last + (self._nominal >> 1))
        self._even_since, self._even_raw = self._frames, self._last
        self._drift = 0
        return self._last >> POINT

    def realign(self, source: int) -> None:
        """Close the hole that a jump left: `source` is what was expected next."""
        predicted = self._last + self._nominal
        self._even_since, self._even_raw = self._frames, predicted
        self._source = source - self._to_source(predicted - self._base)
        self._drift = 0


class AudioClock(SourceClock):
    """Times of an audio track: it counts samples.

    Attributes:
        frame: Duration of an access unit, in ticks, rounded.
    """

    __slots__ = ("_drift", "_drift_limit", "_duration", "_gap", "_next", "_off", "_skipping", "_started", "frame")

    def __init__(self, source_timescale: int, timescale: int, frame_samples: int, sample_rate: int) -> None:
        super().__init__(source_timescale, timescale)
        self._drift_limit = self._fixed_ms(_AUDIO_DRIFT_MS)
        self._started = self._skipping = False
        self._next = self._drift = self._off = 0
        self.set_frame(frame_samples, sample_rate)

    def set_frame(self, samples: int, sample_rate: int) -> None:
        self._duration = samples * self._factor // sample_rate
        self.frame = max(1, self._duration >> POINT)
        self._gap = max(self._fixed_ms(_AUDIO_GAP_MS), self._duration + self._duration // 2)

    def anchor(self, source: int, base: int) -> None:
        super().anchor(source, base)
        self._started = self._skipping = False

    def time(self, source: int) -> int:
        """Output ticks of a source time; or `JUMPED`, or `SKIPPED`: it lies before what is there."""
        raw = (source - self._source) * self._factor // self._divisor + self._base
        error = raw - self._next
        if not -self._gap <= error <= self._gap or self._skipping or not self._started:
            answer = self._irregular(raw, error)
            if answer is not None:
                return answer
        else:
            self._off = 0
            drift = self._drift = self._drift + (error - self._drift >> 5)
            if not -self._drift_limit <= drift <= self._drift_limit:
                self._lean(drift)
        time = self._next
        self._next = time + self._duration
        return time >> POINT

    def _lean(self, drift: int) -> None:
        """Move by at most 1/256 of a frame: 4 samples in 1024, which nobody hears."""
        most = self._duration >> 8
        self._next += max(-most, min(most, drift >> 4))

    def _irregular(self, raw: int, error: int) -> int | None:
        """A unit that is not where it should be; None: it is taken, at `_next`."""
        if not self._started:
            if raw < self._base - (self._duration >> 1):
                return SKIPPED  # before the first picture
            self._started = True
            self._next, self._drift, self._off = max(raw, self._base), 0, 0
            return None
        if not self._jump_back <= error <= self._jump_ahead:
            return JUMPED
        self._off += 1
        if self._off < _AUDIO_OFF_FRAMES and not self._skipping:
            return None  # a disordered time stamp, or a gap: the next ones will tell
        if error >= -(self._duration >> 1):
            self._skipping = False
            self._next, self._drift, self._off = max(raw, self._next), 0, 0
            return None
        self._skipping = True
        return SKIPPED

    @property
    def started(self) -> bool:
        return self._started

    def follow(self, source: int) -> int:
        """After a jump that is true: go where the source is; `SKIPPED` where that is back."""
        raw = self._raw(source)
        self._drift = self._off = 0
        self._skipping = raw < self._next - (self._duration >> 1)
        if self._skipping:
            return SKIPPED
        time = max(raw, self._next)
        self._next = time + self._duration
        return time >> POINT

    def realign(self, source: int) -> None:
        """Close the hole that a jump left: `source` is what was expected next."""
        self._source = source - self._to_source(self._next - self._base)
        self._drift = 0


_AUDIO_DRIFT_MS = 5  # above what encoders jitter around their mean
_AUDIO_GAP_MS = 30  # A/V offset must stay within 40 ms
_AUDIO_OFF_FRAMES = 3  # so many units in a row must agree that there is a gap


def usual_rate(rate: Fraction) -> Fraction:
    """The usual frame rate nearest to a measured one, or the measured one where none is near."""
    nearest = min(_USUAL_RATES, key=lambda usual: abs(usual - rate))
    return nearest if abs(nearest - rate) <= nearest * _SNAP else rate


def measured_rate(times: list[int], timescale: int, stated: Fraction | None) -> Fraction | None:
    """The frame rate of the first decode times of a track.

    What the bitstream states wins where the measurement agrees within its error; None: neither tells.
    """
    deltas = sorted(later - earlier for earlier, later in pairwise(times) if later > earlier)
    if not deltas:
        return stated
    typical = deltas[len(deltas) // 2]
    # A mean over the typical ones alone: a pause or a burst at the start must not count.
    slack = max(1, timescale * 2 // 1000)
    alike = [delta for delta in deltas if abs(delta - typical) <= slack]
    rate = Fraction(timescale * len(alike), sum(alike))
    error = Fraction(slack, sum(alike))
    if stated is not None and abs(stated - rate) <= rate * max(error, _SNAP):
        return stated
    nearest = min(_USUAL_RATES, key=lambda usual: abs(usual - rate))
    return nearest if abs(nearest - rate) <= rate * max(error, _SNAP) else rate
