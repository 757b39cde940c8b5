"""The sound: a ring for each voice, the mix, and a limiter. 48 kHz, stereo, float. No I/O, no clock.

Positions are samples of our monotonic clock: second 2 is position 96,000. A voice writes where its packets belong, the
mixer reads on; where nobody wrote there is silence. A voice whose clock runs fast or slow is stretched by up to one
per cent, which nobody hears; one that jumps is put anew.
"""

from __future__ import annotations

import threading
from collections.abc import Set

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 48_000
Samples = NDArray[np.float32]
"""Shape (2, n)."""

RING = 2 * SAMPLE_RATE
"""What may wait to be played: ten times the playout delay."""

MAX_DRIFT = SAMPLE_RATE * 30 // 1000
"""Further from where it belongs than 30 ms, a voice is put anew."""

SETTLING, SETTLING_DRIFT = SAMPLE_RATE, SAMPLE_RATE * 5 // 1000
"""In its first second 5 ms are enough: it is not known yet how fast its packets can be."""

TOLERANCE = SAMPLE_RATE // 1000
"""Within 1 ms nothing is corrected: reports are not more exact."""

MAX_STRETCH_SHARE = 100
"""At most one sample in 100 is added or left out: a sixth of a semitone, for as long as it takes."""

_SMOOTHING = 0.05
_FADE = 120  # 2.5 ms: a gap does not click

BLOCK = 256
"""The limiter's step, and how far it looks ahead: 5 ms."""

CEILING = 0.98
"""Peaks stay below; AAC's rounding must not clip either."""

_RELEASE = BLOCK / (0.25 * SAMPLE_RATE)  # from silence back to full gain in a quarter of a second


class Voice:
    """One stream of sound on its way into the mix.

    Attributes:
        late: Samples that came after their time.
        placed: How often the voice was put anew.
        stretched: Samples added and left out.
        gain: What it is mixed with; changes are ramped.
    """

    def __init__(self) -> None:
        self.late = self.placed = self.stretched = 0
        self.gain = 1.0
        self._mixed_gain = 1.0
        self._ring: Samples = np.zeros((2, RING), np.float32)
        self._end = self._begun = 0
        self._next_ticks: int | None = None
        self._drift = 0.0

    def put(self, samples: Samples, ticks: int, at: int, playing: int) -> None:
        """Take a packet's sound.

        Args:
            samples: Shape (2, n), n below a second.
            ticks: Its unwrapped RTP timestamp, in samples.
            at: The position where it belongs by the clock.
            playing: The mixer's position: what is before it has gone.
        """
        gap = 0 if self._next_ticks is None else ticks - self._next_ticks
        if self._next_ticks is not None and gap < 0:
            return  # twice, or out of order: its time was filled
        self._next_ticks = ticks + samples.shape[1]
        off = at - (self._end + gap)
        if self._end == 0:
            self._begun = at
        allowed = SETTLING_DRIFT if at - self._begun < SETTLING else MAX_DRIFT
        if self._end == 0 or abs(off) > allowed:
            self.placed += 1
            self._fade_out(playing)
            self._end, self._drift, gap = at, 0.0, 0
            samples = _faded_in(samples)
        elif gap:
            self._fade_out(playing)
            self._end += gap
            samples = _faded_in(samples)
        else:
            samples = self._stretched(samples, off)
        self._write(samples, playing)

    def add_to(self, mix: Samples, position: int, heard: bool) -> None:
        """Add what belongs to `position` on, and forget it."""
        count = mix.shape[1]
        at = position % RING
        first = min(count, RING - at)
        gain = self.gain if heard else 0.0
        ramp: float | Samples = gain
        if gain != self._mixed_gain:
            ramp = np.linspace(self._mixed_gain, gain, count, dtype=np.float32)
            self._mixed_gain = gain
        for source, target in (
            (slice(at, at + first), slice(0, first)),
            (slice(0, count - first), slice(first, count)),
        ):
            piece = self._ring[:, source]
            if isinstance(ramp, float):
                if ramp == 1.0:
                    mix[:, target] += piece
                elif ramp:
                    mix[:, target] += piece * np.float32(ramp)
            else:
                mix[:, target] += piece * ramp[target]
            piece[:] = 0

    def forget(self, position: int, count: int) -> None:
        """Drop what belongs to `count` samples from `position` on."""
        at = position % RING
        self._ring[:, at : at + count] = 0
        self._ring[:, : max(0, at + min(count, RING) - RING)] = 0

    def _stretched(self, samples: Samples, off: int) -> Samples:
        self._drift += (off - self._drift) * _SMOOTHING
        if abs(self._drift) <= TOLERANCE:
            return samples
        count = samples.shape[1]
        most = max(1, count // MAX_STRETCH_SHARE)
        change = max(-most, min(most, round(self._drift)))
        self._drift -= change
        self.stretched += abs(change)
        places = np.linspace(0, count - 1, count + change)
        known = np.arange(count)
        return np.stack([np.interp(places, known, channel) for channel in samples]).astype(np.float32)

    def _write(self, samples: Samples, playing: int) -> None:
        start, count = self._end, samples.shape[1]
        self._end = start + count
        late = min(count, max(0, playing - start))
        if late:
            self.late += late
            samples, start, count = samples[:, late:], start + late, count - late
        if count and start + count <= playing + RING:
            at = start % RING
            first = min(count, RING - at)
            self._ring[:, at : at + first] = samples[:, :first]
            self._ring[:, : count - first] = samples[:, first:]

    def _fade_out(self, playing: int) -> None:
        """Let what was written last end softly, if it has not been played yet."""
        start = self._end - _FADE
        if self._end and playing <= start < playing + RING:
            where = np.arange(start, self._end) % RING
            self._ring[:, where] *= np.linspace(1, 0, _FADE, dtype=np.float32)


class Limiter:
    """Takes peaks above CEILING back, looking a block ahead; what is below passes unchanged."""

    def __init__(self) -> None:
        self._waiting: Samples = np.zeros((2, BLOCK), np.float32)
        self._allowed = 1.0
        self._gain = 1.0

    def process(self, mix: Samples) -> Samples:
        """Limit a mix of whole blocks; what comes out is one BLOCK later than what went in."""
        out = np.empty_like(mix)
        for start in range(0, mix.shape[1], BLOCK):
            block = mix[:, start : start + BLOCK]
            peak = float(np.abs(block).max())
            allowed = min(1.0, CEILING / peak) if peak else 1.0
            # At the border of two blocks the gain is what both allow; a line between two such borders is below both.
            gain = min(self._allowed, allowed, self._gain + _RELEASE)
            if gain == self._gain == 1.0:
                out[:, start : start + BLOCK] = self._waiting
            else:
                ramp = np.linspace(self._gain, gain, BLOCK, dtype=np.float32)
                np.multiply(self._waiting, ramp, out=out[:, start : start + BLOCK])
            self._waiting, self._allowed, self._gain = block.copy(), allowed, gain
        return out


class Mixer:
    """All voices; written to by who decodes, read by the output clock."""

    def __init__(self) -> None:
        self.position = 0
        self._voices: dict[object, Voice] = {}
        self._limiter = Limiter()
        self._lock = threading.Lock()

    def start(self, position: int) -> None:
        """Where `take` begins."""
        with self._lock:
            self.position = position + BLOCK

    def put(self, key: object, samples: Samples, ticks: int, at: int) -> None:
        """Sound of a stream; the first makes its voice. See `Voice.put`."""
        with self._lock:
            voice = self._voices.get(key)
            if voice is None:
                voice = self._voices[key] = Voice()
            voice.put(samples, ticks, at, self.position)

    def remove(self, key: object) -> None:
        """A stream that has ended; idempotent."""
        with self._lock:
            self._voices.pop(key, None)

    def take(self, count: int, silent: Set[object] = frozenset()) -> Samples:
        """The next `count` samples, whole blocks.

        Args:
            silent: Keys of the streams that are not to be heard.
        """
        assert count % BLOCK == 0, count
        mix: Samples = np.zeros((2, count), np.float32)
        with self._lock:
            for key, voice in self._voices.items():
                voice.add_to(mix, self.position, key not in silent)
            self.position += count
        return self._limiter.process(mix)

    def skip(self, count: int) -> None:
        """Leave `count` samples out: nobody was there to take them."""
        with self._lock:
            for voice in self._voices.values():
                voice.forget(self.position, count)
            self.position += count

    def totals(self) -> dict[str, int]:
        """Late samples, placements and corrections of the voices there are."""
        with self._lock:
            voices = list(self._voices.values())
        return {
            "late_samples": sum(voice.late for voice in voices),
            "placed": sum(voice.placed for voice in voices),
            "stretched_samples": sum(voice.stretched for voice in voices),
        }


def _faded_in(samples: Samples) -> Samples:
    count = min(_FADE, samples.shape[1])
    faded = samples.copy()
    faded[:, :count] *= np.linspace(0, 1, count, dtype=np.float32)
    return faded
