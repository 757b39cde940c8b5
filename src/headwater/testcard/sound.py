"""A beep at each whole second of the wall clock. Pure, except that numpy computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 48_000
BEEP_HZ = 1000
BEEP_MS = 100
AMPLITUDE = 0.25
"""-12 dBFS: clear, and no shock in headphones."""


def one_second() -> NDArray[np.float32]:
    """The sound of a second that starts with the beep: SAMPLE_RATE samples, mono, -1 to 1.

    The tone starts at full strength at the zero crossing, so that its start is sharp to a sample; its end fades over
    5 ms against a click.
    """
    sound = np.zeros(SAMPLE_RATE, np.float32)
    length = SAMPLE_RATE * BEEP_MS // 1000
    tone = AMPLITUDE * np.sin(2 * np.pi * BEEP_HZ * np.arange(length) / SAMPLE_RATE)
    fade = SAMPLE_RATE * 5 // 1000
    tone[-fade:] *= np.linspace(1, 0, fade)
    sound[:length] = tone
    return sound


class Beeper:
    """Cuts the endless sound into frames.

    Args:
        start_sample: Samples since the Unix epoch at the first sample: milliseconds * 48.
    """

    def __init__(self, start_sample: int) -> None:
        self._second = one_second()
        self._at = start_sample % SAMPLE_RATE

    def take(self, count: int) -> NDArray[np.float32]:
        """The next `count` samples, at most a second."""
        end = self._at + count
        piece = self._second[self._at : min(end, SAMPLE_RATE)]
        self._at = end % SAMPLE_RATE
        if end <= SAMPLE_RATE:
            return piece
        return np.concatenate([piece, self._second[: end - SAMPLE_RATE]])
