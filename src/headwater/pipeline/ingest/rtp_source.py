"""One source of a WebRTC publisher: from its RTP packets to access units in order, and what to tell it in return.

packet ─► Reception (counts) ─► JitterBuffer (order, NACK) ─► Depacketizer (units) ─► taken, with a time
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from headwater.errors import ProtocolError
from headwater.protocols.rtp.jitter import JitterBuffer
from headwater.protocols.rtp.packet import Packet, parse
from headwater.protocols.rtp.reception import Reception
from headwater.protocols.rtp.rtcp import ReportBlock, SenderReport
from headwater.protocols.rtp.timeline import Timeline, TrackClock
from headwater.protocols.rtp.unit import Unit
from headwater.protocols.rtp.uplink import Uplink

MAX_BROKEN_PACKETS = 50
"""Malformed packets that are skipped before the publisher is refused; one is a hiccup."""


class Depacketizer(Protocol):
    """Of any codec."""

    def push(self, packet: Packet) -> Sequence[Unit]: ...


class RtpSource:
    """The packets of one section.

    Attributes:
        bytes_received: Of its packets so far.
    """

    __slots__ = (
        "_broken",
        "_clock",
        "_clock_rate",
        "_depacketizer",
        "_jitter",
        "_new",
        "_reception",
        "_sent_at",
        "_ssrc",
        "_take",
        "_timeline",
        "_uplink",
        "bytes_received",
    )  # fmt: skip

    def __init__(
        self,
        timeline: Timeline,
        clock_rate: int,
        new_depacketizer: Callable[[], Depacketizer],
        take: Callable[[Depacketizer, Unit, float, float], None],
        *,
        uplink: Uplink | None = None,
        sent_at: int = 0,
    ) -> None:
        """Nothing has come yet.

        Args:
            take: Gets the depacketizer, a unit, its time on the timeline, and the time now, in milliseconds.
            uplink: The estimate of the publisher's network, which the packets of all of its sources make.
            sent_at: Number of the header extension element that says when a packet left; 0: there is none.
        """
        self._uplink, self._sent_at = uplink, sent_at
        self._timeline = timeline
        self._clock_rate = clock_rate
        self._clock: TrackClock = timeline.add(clock_rate)
        self._new = new_depacketizer
        self._take = take
        self._depacketizer = new_depacketizer()
        self._jitter = JitterBuffer()
        self._reception: Reception | None = None
        self._ssrc = -1
        self._broken = 0
        self.bytes_received = 0

    @property
    def waiting(self) -> bool:
        """Packets wait for others: `tick` and `wanted` are to be called every few milliseconds."""
        return self._jitter.held > 0

    @property
    def ssrc(self) -> int | None:
        """Of the newest packet; None before the first."""
        return self._ssrc if self._ssrc >= 0 else None

    def packet(self, data: bytes, now_ms: float) -> None:
        """A packet as it came. Hot.

        Raises:
            ProtocolError: too many were broken.
        """
        self.bytes_received += len(data)
        try:
            packet = parse(data)
        except ProtocolError as error:
            self._skip(error)
            return
        if packet.ssrc != self._ssrc:
            self._begin(packet.ssrc)
        assert self._reception is not None
        self._reception.packet(packet.sequence, packet.timestamp, now_ms)
        if self._uplink is not None:
            sent = packet.element(self._sent_at) if self._sent_at else None
            self._uplink.packet(len(data), sent, now_ms)
        ordered = self._jitter.push(packet, now_ms)
        if ordered:
            self._put_together(ordered, now_ms)

    def tick(self, now_ms: float) -> None:
        """Let time pass for packets that wait.

        Raises:
            ProtocolError: too many were broken.
        """
        self._put_together(self._jitter.tick(now_ms), now_ms)

    def wanted(self, now_ms: float, round_trip_ms: float | None) -> Sequence[int]:
        """The packets to ask for again now."""
        return self._jitter.wanted(now_ms, round_trip_ms)

    def sender_report(self, report: SenderReport, now_ms: float) -> None:
        """The source's own report."""
        if self._reception is not None and report.ssrc == self._ssrc:
            self._reception.sender_report(report, now_ms)
            self._timeline.sender_report(self._clock, report)

    def block(self, now_ms: float) -> ReportBlock | None:
        """What a receiver report says of it."""
        return self._reception.block(now_ms) if self._reception is not None else None

    def _begin(self, ssrc: int) -> None:
        """The first packet, or one of another source in the same section: nothing of the old one counts."""
        if self._ssrc >= 0:
            self._jitter = JitterBuffer()
            self._depacketizer = self._new()
            self._clock.restart()
        self._ssrc = ssrc
        self._reception = Reception(ssrc, self._clock_rate)

    def _put_together(self, packets: Iterable[Packet], now_ms: float) -> None:
        depacketizer = self._depacketizer
        for packet in packets:
            try:
                units = depacketizer.push(packet)
            except ProtocolError as error:
                self._skip(error)
                continue
            for unit in units:
                self._take(depacketizer, unit, self._clock.time(unit.timestamp, now_ms), now_ms)

    def _skip(self, error: ProtocolError) -> None:
        self._broken += 1
        if self._broken > MAX_BROKEN_PACKETS:
            raise error
