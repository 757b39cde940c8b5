"""The sound of the test card: a beep at each whole second of the wall clock, exactly while the flash is white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headwater.testcard.picture import FLASH_MS

BEEP_HZ = 1000
LEVEL = 0.25
FADE_MS = 2
"""A beep that starts at full level clicks; two milliseconds do not move its onset by a frame."""


def beep(first_sample: int, count: int, sample_rate: int, phase_ms: int) -> NDArray[np.float32]:
    """Samples of the test sound.

    Args:
        first_sample: Index of the first sample since the card's start.
        count: How many.
        sample_rate: Samples per second.
        phase_ms: Where within a wall-clock second the card's start lies, 0 to 999.

    Returns:
        Mono, shape (count,), -1 to 1.
    """
    at = (first_sample + np.arange(count, dtype=np.int64) + phase_ms * sample_rate // 1000) % sample_rate
    length, fade = FLASH_MS * sample_rate // 1000, FADE_MS * sample_rate // 1000
    envelope = np.clip(np.minimum(at, length - at) / fade, 0, 1)
    tone: NDArray[np.float32] = (LEVEL * envelope * np.sin(2 * np.pi * BEEP_HZ * at / sample_rate)).astype(np.float32)
    return tone
