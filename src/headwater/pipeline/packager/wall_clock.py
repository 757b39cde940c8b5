"""EXT-X-PROGRAM-DATE-TIME: media time to wall time, by the receive clock."""

from __future__ import annotations

_SLEW = 100
"""The wall time of media moves by at most 1/100 of the media time that passed: players take dates for steady."""

_REBASE_MS = 3000
"""Further off than this, media paused or jumped, and the dates start anew."""


class WallClock:
    """Maps media time (90 kHz) to Unix milliseconds; steady, slewed, never in the future."""

    __slots__ = ("_media", "_started", "_wall_ms")

    def __init__(self) -> None:
        self._started = False
        self._media = self._wall_ms = 0

    def restart(self) -> None:
        """The next observation counts as it is (after a discontinuity)."""
        self._started = False

    def observe(self, media: int, now_ms: int) -> None:
        """Media of this time has arrived now: lean towards it."""
        passed_ms = (media - self._media) // 90
        expected_ms = self._wall_ms + passed_ms
        error_ms = now_ms - expected_ms
        if self._started and error_ms <= _REBASE_MS:
            most_ms = max(1, passed_ms // _SLEW)
            expected_ms = min(now_ms, expected_ms + min(most_ms, error_ms))
        else:
            expected_ms = now_ms
        self._started = True
        self._media, self._wall_ms = media, expected_ms

    def at(self, media: int, now_ms: int) -> int:
        """Wall time of a media time near the one last observed."""
        return min(now_ms, self._wall_ms + (media - self._media) // 90)
