"""A publisher's clock on ours: what sender reports to receivers are made of (RFC 3550, 6.4.1).

Each publisher counts time from somewhere of its own. Its sender reports pair its wall clock with each track's RTP
timestamps; all its tracks are shifted to our wall clock by the same amount, so lips and voice stay together, and a
receiver that is handed from one publisher's connection to the next sees one clock throughout.
"""

from __future__ import annotations


class Clock:
    """How far a publisher's wall clock is from ours; one for all tracks of a connection."""

    __slots__ = ("_shift",)

    def __init__(self) -> None:
        self._shift: int | None = None

    def ours(self, ntp: int, now_ntp: int) -> int:
        """A publisher's NTP time on our clock; the first that comes is taken for now."""
        if self._shift is None:
            self._shift = now_ntp - ntp
        return ntp + self._shift


class Timebase:
    """Which RTP timestamp of a track is now."""

    __slots__ = ("_clock", "_ntp", "_rate", "_timestamp")

    def __init__(self, clock: Clock, clock_rate: int) -> None:
        self._clock = clock
        self._rate = clock_rate
        self._ntp: int | None = None
        self._timestamp = 0

    @property
    def unknown(self) -> bool:
        """Before the first packet."""
        return self._ntp is None

    def arrived(self, timestamp: int, now_ntp: int) -> None:
        """Note a packet: what is known until the first sender report, and all that is known where none ever comes."""
        if self._ntp is None:
            self._ntp, self._timestamp = now_ntp, timestamp

    def reported(self, ntp: int, timestamp: int, now_ntp: int) -> None:
        """Note a sender report."""
        self._ntp, self._timestamp = self._clock.ours(ntp, now_ntp), timestamp

    def restart(self) -> None:
        """The track's timestamps begin anew, with another source."""
        self._ntp = None

    def at(self, ntp: int) -> int | None:
        """The timestamp at a time of our clock; None while nothing is known."""
        if self._ntp is None:
            return None
        elapsed = (ntp - self._ntp) * self._rate >> 32
        return (self._timestamp + elapsed) & 0xFFFFFFFF
