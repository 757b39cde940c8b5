"""One timeline for the tracks of a sender, in milliseconds, from RTP timestamps and sender reports.

The sound leads: its clock runs on from where its first packet arrived, evenly, as it was sampled. The picture is set
beside it by the sender reports of both (RFC 3550, 6.4.1), which tell what was sampled at the same time; until both
have come, by when it arrived. A correction is not a jump: the picture walks there, a tenth of the time that passes.
"""

from __future__ import annotations

from headwater.protocols.rtp.packet import Unwrapper
from headwater.protocols.rtp.rtcp import SenderReport, wall_ms_of

MAX_SKEW_MS = 3000
"""Sender reports that move a track further than this from when it arrived are wrong, and are not followed."""

MAX_AWAY_MS = 10_000
"""A clock this far from the arrival of its packets has begun anew: it is set again by arrival."""

WALK = 0.1
"""Of the time that passes, a correction takes this much."""


class TrackClock:
    """The clock of one source, as part of a `Timeline`."""

    __slots__ = ("_anchor_ms", "_anchor_ticks", "_last_ms", "_offset_ms", "_rate", "_stamps", "_target_ms", "report")

    def __init__(self, clock_rate: int) -> None:
        self._rate = clock_rate / 1000
        self._stamps = Unwrapper(32)
        self._anchor_ticks: int | None = None
        self._anchor_ms = 0.0
        self._offset_ms = self._target_ms = 0.0
        self._last_ms = 0.0
        self.report: tuple[int, float] | None = None
        """Of the newest sender report: its RTP time, unwrapped, and its wall time in milliseconds."""

    def time(self, timestamp: int, now_ms: float) -> float:
        """When the media of this timestamp is due, on the common timeline."""
        ticks = self._stamps.unwrap(timestamp)
        if self._anchor_ticks is None:
            self._set(ticks, now_ms)
        time_ms = self._raw(ticks)
        if abs(time_ms + self._offset_ms - now_ms) > MAX_AWAY_MS:
            self._set(ticks, now_ms)
            time_ms = now_ms
        if self._offset_ms != self._target_ms:
            self._walk(time_ms)
        self._last_ms = time_ms
        return time_ms + self._offset_ms

    def sender_report(self, report: SenderReport) -> None:
        """Remember what the source says of its clock; before its first packet it says nothing to us."""
        if self._anchor_ticks is not None:
            newest = self._stamps.newest
            ticks = self._stamps.unwrap(report.timestamp)
            self._stamps.newest = newest
            self.report = (ticks, wall_ms_of(report.ntp))

    def restart(self) -> None:
        """Another source follows on this track: its first packet sets the clock by its arrival."""
        self._stamps = Unwrapper(32)
        self._anchor_ticks = None
        self.report = None

    def wall_at_zero(self) -> float | None:
        """The sender's wall time at 0 of this clock, uncorrected; None before its sender report."""
        if self.report is None:
            return None
        ticks, wall_ms = self.report
        return wall_ms - self._raw(ticks)

    def lean(self, offset_ms: float) -> None:
        """Walk to this correction; one that cannot be true is ignored."""
        if abs(offset_ms) <= MAX_SKEW_MS:
            self._target_ms = offset_ms

    def _set(self, ticks: int, now_ms: float) -> None:
        self._anchor_ticks, self._anchor_ms = ticks, now_ms
        self._offset_ms = self._target_ms = 0.0
        self._last_ms = now_ms
        self.report = None

    def _raw(self, ticks: int) -> float:
        assert self._anchor_ticks is not None
        return self._anchor_ms + (ticks - self._anchor_ticks) / self._rate

    def _walk(self, time_ms: float) -> None:
        most = max(0.0, time_ms - self._last_ms) * WALK
        left = self._target_ms - self._offset_ms
        self._offset_ms += max(-most, min(most, left))


class Timeline:
    """The clocks of one sender's tracks, the leading one first."""

    def __init__(self) -> None:
        self._clocks: list[TrackClock] = []

    def add(self, clock_rate: int) -> TrackClock:
        """One more track; add the sound first, then it leads."""
        clock = TrackClock(clock_rate)
        self._clocks.append(clock)
        return clock

    def sender_report(self, clock: TrackClock, report: SenderReport) -> None:
        """A track's sender report: sets the others beside the leading one where both are known."""
        clock.sender_report(report)
        leader = self._clocks[0]
        zero = leader.wall_at_zero()
        if zero is None:
            return
        for other in self._clocks[1:]:
            own = other.wall_at_zero()
            if own is not None:
                other.lean(own - zero)
