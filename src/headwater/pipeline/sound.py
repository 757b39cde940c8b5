"""What travels to and from the process that decodes sound: a window of each livestream, and how loud it is."""

from __future__ import annotations

import msgspec

FLOOR_DB = -120.0
"""Quieter is told as this: digital silence has no level in decibels."""

UNSETTLED_FRAMES = {"aac": 1, "opus": 4, "mp3": 2}
"""First frames of a window that are not measured: they sound of what was before them, which the decoder does not know.

AAC's overlap with the one before; MP3's take bits from those before; Opus' loudness is told as a difference, and what
is left of the error after four frames is 0.4 dB.
"""

MEASURED_FRAMES = 3
"""Of a window: some 60 ms."""


class Window(msgspec.Struct, frozen=True, array_like=True):
    """The last frames of an audio track.

    Attributes:
        codec: `headwater.media.track.Codec`.
        record: As `AudioConfig.record`.
        frames: Access units that follow one another.
    """

    codec: str
    record: bytes
    frames: list[bytes]


class Level(msgspec.Struct, frozen=True, array_like=True):
    """How loud a window is, in decibels against full scale (dBFS): the loudest sample, and the mean of all channels.

    A sine at full scale has a peak of 0 and an RMS of -3. Lossy codecs decode to somewhat more than full scale.
    """

    peak_db: float
    rms_db: float
