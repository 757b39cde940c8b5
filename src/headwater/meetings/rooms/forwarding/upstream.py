"""One track as its publisher sends it, and everything that is sent on of it."""

from __future__ import annotations

import struct
from collections.abc import Callable

from headwater.meetings.rooms.forwarding.downstream import Downstream
from headwater.meetings.rooms.forwarding.gaps import Gaps
from headwater.meetings.rooms.forwarding.history import AUDIO_PACKETS, VIDEO_PACKETS, History, Kept
from headwater.meetings.rooms.forwarding.keyframe import STARTS
from headwater.meetings.rooms.forwarding.reception import Reception
from headwater.meetings.rooms.forwarding.timebase import Clock, Timebase
from headwater.protocols.rtp.packet import HEADER_BYTES, Unwrapper, rewrite
from headwater.protocols.rtp.rtcp import ReportBlock, SenderReport
from headwater.protocols.sdp.media import Codec

_FIELDS = struct.Struct(">BHII")

WAKE_S = 1.0
"""Whoever still waits for a key frame after this asks for another one."""


class Upstream:
    """One track of one publisher.

    Attributes:
        downstreams: Where it goes.
        paused: Packets are counted, and not sent on: the publisher is muted.
        ssrc: The source's number at its publisher; None before the first packet.
    """

    __slots__ = (
        "_clock",
        "_numbers",
        "_starts",
        "_wished_at",
        "codec",
        "downstreams",
        "gaps",
        "history",
        "paused",
        "reception",
        "ssrc",
        "timebase",
    )

    def __init__(self, codec: Codec, clock: Clock) -> None:
        self.codec = codec
        self.downstreams: list[Downstream] = []
        self.paused = False
        self.ssrc: int | None = None
        self.timebase = Timebase(clock, codec.clock_rate)
        self._starts = STARTS.get(codec.name)
        self._wished_at = float("-inf")
        self._begin()

    def _begin(self) -> None:
        self._numbers = Unwrapper(16)
        self.gaps = Gaps()
        self.reception = Reception(self.codec.clock_rate)
        self.history = History(VIDEO_PACKETS if self.codec.kind == "video" else AUDIO_PACKETS)
        self.timebase.restart()
        for downstream in self.downstreams:
            downstream.attach(self.history)

    def attach(self, downstream: Downstream) -> None:
        """Send this track there from its next start on."""
        downstream.attach(self.history)
        self._wished_at = float("-inf")
        self.downstreams.append(downstream)

    def detach(self, downstream: Downstream) -> None:
        if downstream in self.downstreams:
            self.downstreams.remove(downstream)

    def pause(self, paused: bool) -> None:
        """Stop sending on, or go on at the next packet at which one can start."""
        self.paused = paused
        self._wished_at = float("-inf")
        for downstream in self.downstreams:
            downstream.waiting = True

    def push(self, packet: bytes, now: float, ntp: Callable[[], int]) -> bool:
        """Take a packet and send it on. Hot.

        Returns:
            Whether packets before it are missing: ask for them now.

        Raises:
            ProtocolError: it is broken.
        """
        bare = rewrite(packet, payload_type=0, sequence=0, timestamp=0, ssrc=0)
        second, sequence, timestamp, ssrc = _FIELDS.unpack_from(packet, 1)
        if ssrc != self.ssrc:
            if self.ssrc is not None:
                self._begin()
            self.ssrc = ssrc
        number = self._numbers.unwrap(sequence)
        kept = (bare[0], second & 0x80, timestamp, bytes(bare[HEADER_BYTES:]))
        if not self.history.put(number, kept, now):
            return False
        again = bool(self.gaps) and self.gaps.asked_for(number)
        self.reception.arrived(number, timestamp, now, again=again)
        if self.timebase.unknown:
            self.timebase.arrived(timestamp, ntp())
        gap = self.gaps.arrived(number, now)
        if not self.paused:
            self._send_on(number, kept, now)
        return gap

    def _send_on(self, number: int, packet: Kept, now: float) -> None:
        starts: bool | None = None
        for downstream in self.downstreams:
            if downstream.waiting:
                if starts is None:
                    starts = self._starts is None or self._starts(packet[3])
                if not starts:
                    continue
                downstream.start(number, packet[2], now)
            downstream.forward(number, packet, now)

    def reported(self, report: SenderReport, now: float, ntp: int) -> None:
        """The publisher's clock."""
        self.timebase.reported(report.ntp, report.timestamp, ntp)
        self.reception.reported(report.ntp, now)

    def report(self, now: float) -> ReportBlock | None:
        """How it arrives, since the last time."""
        return None if self.ssrc is None else self.reception.report(self.ssrc, now)

    def wants_keyframe(self, now: float) -> bool:
        """Whether to ask the publisher for one: somebody waits, or packets are lost for good. True once a second."""
        if self._starts is None or self.paused or self.ssrc is None:
            return False
        if not self.gaps.lost and not any(downstream.waiting for downstream in self.downstreams):
            return False
        if now - self._wished_at < WAKE_S:
            return False
        self._wished_at = now
        self.gaps.lost = 0
        return True
