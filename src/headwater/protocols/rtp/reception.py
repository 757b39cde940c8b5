"""The receiver's side of one source: what a receiver report says of it (RFC 3550, A.3 and A.8)."""

from __future__ import annotations

from headwater.protocols.rtp.packet import Unwrapper
from headwater.protocols.rtp.rtcp import ReportBlock, SenderReport, middle


class Reception:
    """Counts what comes of one source. Feed it every packet, retransmissions apart.

    Attributes:
        received: Packets so far.
    """

    __slots__ = (
        "_base", "_clock_rate", "_jitter", "_last_expected", "_last_received", "_report", "_sequences", "_transit",
        "received", "ssrc",
    )  # fmt: skip

    def __init__(self, ssrc: int, clock_rate: int) -> None:
        self.ssrc = ssrc
        self.received = 0
        self._clock_rate = clock_rate
        self._sequences = Unwrapper(16)
        self._base: int | None = None
        self._transit = 0
        self._jitter = 0.0
        self._last_expected = self._last_received = 0
        self._report: tuple[int, float] | None = None

    def packet(self, sequence: int, timestamp: int, now_ms: float) -> None:
        """A packet came. Hot."""
        number = self._sequences.unwrap(sequence)
        if self._base is None:
            self._base = number
        self.received += 1
        transit = (int(now_ms * self._clock_rate / 1000) - timestamp) & 0xFFFFFFFF
        if self.received > 1:
            change = (transit - self._transit) & 0xFFFFFFFF
            if change >= 0x80000000:
                change = 0x100000000 - change
            self._jitter += (change - self._jitter) / 16
        self._transit = transit

    def sender_report(self, report: SenderReport, now_ms: float) -> None:
        """The source's own report came; receiver reports name it, so that the source can measure the round trip."""
        self._report = (middle(report.ntp), now_ms)

    def block(self, now_ms: float) -> ReportBlock | None:
        """What to report now, with the losses since the last time; None before the first packet."""
        if self._base is None:
            return None
        newest = self._sequences.newest or 0
        expected = newest - self._base + 1
        expected_now, received_now = expected - self._last_expected, self.received - self._last_received
        self._last_expected, self._last_received = expected, self.received
        lost_now = expected_now - received_now
        fraction = min(255, (lost_now << 8) // expected_now) if expected_now > 0 and lost_now > 0 else 0
        last_sr, since_ms = self._report or (0, now_ms)
        return ReportBlock(
            self.ssrc,
            fraction,
            expected - self.received,
            newest & 0xFFFFFFFF,
            int(self._jitter),
            last_sr,
            int((now_ms - since_ms) * 65.536),
        )
