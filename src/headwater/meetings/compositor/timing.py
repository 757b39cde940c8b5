"""From RTP timestamps to one time line: our monotonic clock. Pure: arrival times are arguments, in seconds.

A sender's report (RFC 3550, 6.4.1) says which instant of the sender's wall clock an RTP timestamp stands for; with it
picture and sound of one sender share a time line, before the first one each has its own. What is between that time
line and ours is taken from the packets that came fastest: those that waited nowhere. The playout delay is added by
who plays.

    RTP timestamp ──report──► sender's seconds ──Transit──► our seconds
"""

from __future__ import annotations

from headwater.protocols.rtp.packet import Unwrapper

WINDOW_S = 1.0
"""The fastest packet of the last one to two seconds counts: a second has fifty packets of sound."""

JUMP_S = 0.1
"""The way got slower, or the sender's clock was set: followed at once, once a whole window says so."""

SLEW = 0.0005
"""Seconds per second by which the time line follows what got slower: faster than crystals drift, and inaudible."""

_NTP_SECOND = 1 << 32


class Transit:
    """How far our clock is ahead of a sender's time line, packets' fastest way included."""

    __slots__ = ("_current", "_last_s", "_previous", "_window_end_s", "offset_s")

    def __init__(self) -> None:
        self.offset_s: float | None = None
        self._current = self._previous = float("inf")
        self._window_end_s = self._last_s = 0.0

    def observe(self, media_s: float, arrival_s: float) -> float:
        """Take a packet's two times; returns our time for `media_s`."""
        delay = arrival_s - media_s
        if self.offset_s is None:
            self.offset_s, self._window_end_s, self._last_s = delay, arrival_s + WINDOW_S, arrival_s
        if arrival_s >= self._window_end_s:
            self._previous, self._current, self._window_end_s = self._current, float("inf"), arrival_s + WINDOW_S
        self._current = min(self._current, delay)
        slowest = min(self._previous, self._current)
        if delay < self.offset_s:
            self.offset_s = delay
        elif self._previous != float("inf") and slowest > self.offset_s + JUMP_S:
            self.offset_s = slowest
        elif slowest > self.offset_s:
            self.offset_s = min(slowest, self.offset_s + SLEW * max(0.0, arrival_s - self._last_s))
        self._last_s = arrival_s
        return media_s + self.offset_s


class TrackClock:
    """One RTP stream's timestamps. Made by `SenderClock.track`."""

    def __init__(self, sender: SenderClock, clock_rate: int) -> None:
        self._sender = sender
        self._rate = clock_rate
        self._unwrapper = Unwrapper(32)
        self._own = Transit()
        self._report: tuple[float, int] | None = None

    def unwrap(self, timestamp: int) -> int:
        """The timestamp as a counter that does not wrap around."""
        return self._unwrapper.unwrap(timestamp)

    def report(self, ntp: int, timestamp: int) -> None:
        """A sender report of this stream: 64-bit NTP time and the timestamp of the same instant."""
        if ntp:
            self._report = ntp / _NTP_SECOND, self._unwrapper.unwrap(timestamp)

    def at(self, ticks: int, arrival_s: float) -> float:
        """Our time, in seconds, at which an unwrapped timestamp was sampled; of a packet that has just come."""
        if self._report is None:
            return self._own.observe(ticks / self._rate, arrival_s)
        ntp_s, reported = self._report
        return self._sender.transit.observe(ntp_s + (ticks - reported) / self._rate, arrival_s)


class SenderClock:
    """One peer's clock: what its streams share."""

    def __init__(self) -> None:
        self.transit = Transit()

    def track(self, clock_rate: int) -> TrackClock:
        return TrackClock(self, clock_rate)
