"""How long segments are: fixed once, from the first GOP."""

from __future__ import annotations

from headwater.pipeline.packager.settings import PackagerSettings

_ROUNDS_DOWN_MS = 499
"""EXTINF, rounded to whole seconds, must not exceed TARGETDURATION (RFC 8216bis, 4.4.3.1)."""

_FOLLOWERS_MS = 130
"""Room for the other tracks' segments, which end up to a frame (an Opus packet: 120 ms) later than its."""

_ROOM_MS = _FOLLOWERS_MS + 50
"""A segment as planned, and a GOP some frames longer, must not be the longest that TARGETDURATION allows."""


class SegmentPlan:
    """Decides at which sync samples of the leading track segments end. Times are milliseconds.

    Attributes:
        target_duration_s: EXT-X-TARGETDURATION, 0 until `fix`.
        planned: Planned duration of segments.
    """

    __slots__ = ("_first_ms", "_max_gop_ms", "_target_ms", "planned_ms", "target_duration_s")

    def __init__(self, settings: PackagerSettings) -> None:
        self._target_ms = settings.segment_target_ms
        self._first_ms = settings.first_segment_ms
        self._max_gop_ms = settings.max_gop_ms
        self.target_duration_s = 0
        self.planned_ms = 0.0

    @property
    def longest_ms(self) -> int:
        """No segment of any track may last longer."""
        if self.target_duration_s:
            return self.target_duration_s * 1000 + _ROUNDS_DOWN_MS
        return self._max_gop_ms + _ROUNDS_DOWN_MS

    @property
    def longest_leading_ms(self) -> int:
        """No segment of the leading track may last longer."""
        return self.longest_ms - _FOLLOWERS_MS

    def ends(self, elapsed_ms: float, gop_ms: float) -> bool:
        """A segment of this duration ends at the sync sample that came `gop_ms` after the one before."""
        if elapsed_ms < self._first_ms:
            return False
        if not self.target_duration_s:
            return True
        # The nearest sync sample to the plan, and never one that the next would come too late for.
        return 2 * elapsed_ms + gop_ms > 2 * self.planned_ms or elapsed_ms + gop_ms > self.longest_leading_ms

    def fix(self, first_ms: float, gop_ms: float) -> None:
        """The first segment is complete: derive the plan. `gop_ms` is 0 where no second sync sample came."""
        if self.target_duration_s:
            return
        target_ms = self._target_ms
        self.planned_ms = gop_ms * max(1, round(target_ms / gop_ms)) if gop_ms > 0 else max(first_ms, target_ms)
        regular_ms = self.planned_ms + _ROOM_MS if gop_ms > 0 else target_ms
        self.target_duration_s = max(round_half_up(ms) for ms in (target_ms, regular_ms, first_ms + _FOLLOWERS_MS))


def round_half_up(milliseconds: float) -> int:
    """Whole seconds, as players round EXTINF; at least 1."""
    return max(1, int((milliseconds + 500) // 1000))
