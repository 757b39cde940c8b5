"""Where the test card's flash and beep are in decoded media: the A/V offset, measured."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

FLASH_SHARE = (0.82, 0.89, 0.10, 0.22)
"""Left, right, top, bottom of the middle of the flash in the picture (see headwater.testcard.card)."""

DARK, BRIGHT = 80, 160
BEEP_SHARE = 0.1
"""Of the loudest sample: where a beep is taken to begin."""


def flashes(path: Path) -> list[float]:
    """Presentation times at which the flash begins, seconds."""
    found, before = [], None
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            luma = frame.to_ndarray(format="gray")
            height, width = luma.shape
            left, right, top, bottom = FLASH_SHARE
            area = luma[int(top * height) : int(bottom * height), int(left * width) : int(right * width)]
            level = float(area.mean())
            if before is not None and before < DARK and level > BRIGHT:
                assert frame.time is not None
                found.append(frame.time)
            before = level
    return found


def beeps(path: Path) -> list[float]:
    """Times at which the beep begins, seconds, with 300 ms of silence before; each frame counts at its own time."""
    found, quiet_since = [], -1.0
    with av.open(str(path)) as container:
        frames = [(frame.time, frame.sample_rate, _level(frame)) for frame in container.decode(audio=0)]
    loudest = max(float(level.max()) for _, _, level in frames)
    for at, rate, level in frames:
        assert at is not None
        for index in np.flatnonzero(level > BEEP_SHARE * loudest).tolist():
            time = at + index / rate
            if time - quiet_since > 0.3:
                found.append(time)
            quiet_since = time
    return found


def _level(frame: av.AudioFrame) -> NDArray[np.float32]:
    samples: NDArray[np.float32] = np.abs(frame.to_ndarray().astype(np.float32)).max(axis=0)
    return samples


def offsets_ms(path: Path, sound: Path | None = None) -> list[float]:
    """Beep minus flash for each pair that is found, milliseconds; positive: the sound is late."""
    sounds = beeps(sound or path)
    pairs = [(flash, min(sounds, key=lambda beep: abs(beep - flash))) for flash in flashes(path)] if sounds else []
    return [1000 * (beep - flash) for flash, beep in pairs if abs(beep - flash) < 0.5]
