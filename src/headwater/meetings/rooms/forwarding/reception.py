"""How a publisher's packets arrive, as receiver reports tell it (RFC 3550, 6.4.1, A.3, A.8)."""

from __future__ import annotations

from headwater.protocols.rtp.rtcp import ReportBlock, middle


class Reception:
    """Counts of one source. What came because it was sent again counts as lost: it tells how full the way is, and a
    publisher that does not hear of it sends ever more."""

    __slots__ = (
        "_base",
        "_clock_rate",
        "_expected_before",
        "_highest",
        "_jitter",
        "_last_sr",
        "_received",
        "_received_before",
        "_sr_at",
        "_transit",
    )

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._base = self._highest = -1
        self._received = self._received_before = self._expected_before = 0
        self._transit: float | None = None
        self._jitter = 0.0
        self._last_sr = 0
        self._sr_at = 0.0

    def arrived(self, number: int, timestamp: int, now: float, *, again: bool = False) -> None:
        """Note a packet: its unwrapped number, its timestamp on the wire, whether it was sent again. Hot."""
        if self._base < 0:
            self._base = self._highest = number
        elif number > self._highest:
            self._highest = number
            transit = now * self._clock_rate - timestamp
            if self._transit is not None:
                difference = abs(transit - self._transit)
                if difference < self._clock_rate:  # a wrap around, or a jump of the publisher's clock, is no jitter
                    self._jitter += (difference - self._jitter) / 16
            self._transit = transit
        if not again:
            self._received += 1

    def reported(self, ntp: int, now: float) -> None:
        """Note a sender report."""
        self._last_sr, self._sr_at = middle(ntp), now

    def report(self, ssrc: int, now: float) -> ReportBlock | None:
        """What to tell the publisher, since the last time; None before its first packet."""
        if self._base < 0:
            return None
        expected = self._highest - self._base + 1
        recent, arrived = expected - self._expected_before, self._received - self._received_before
        self._expected_before, self._received_before = expected, self._received
        lost = max(0, recent - arrived)
        return ReportBlock(
            ssrc=ssrc,
            fraction_lost=min(255, lost * 256 // recent) if recent > 0 else 0,
            lost=expected - self._received,
            highest_sequence=self._highest & 0xFFFFFFFF,
            jitter=int(self._jitter),
            last_sr=self._last_sr,
            delay=int((now - self._sr_at) * 65536) if self._last_sr else 0,
        )
