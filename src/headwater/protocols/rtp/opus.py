"""Opus in RTP (RFC 7587): one Opus packet in each; the clock runs at 48 kHz whatever the sound's rate is."""

from __future__ import annotations

from collections.abc import Sequence

from headwater.errors import ProtocolError
from headwater.media.opus import packet_samples
from headwater.protocols.rtp.packet import Packet
from headwater.protocols.rtp.unit import Continuity, Unit

CLOCK_RATE = 48_000

MAX_PACKET_BYTES = 1500
"""Longest Opus packet: 120 ms at 100 kbit/s; RFC 6716 allows 1275 a frame, one network packet holds this."""


class Depacketizer:
    """Packets in order (behind a `JitterBuffer`) in, Opus packets out."""

    __slots__ = ("_continuity",)

    def __init__(self) -> None:
        self._continuity = Continuity()

    def push(self, packet: Packet) -> Sequence[Unit]:
        """Take the next packet; returns its Opus packet, or nothing where it is empty.

        Raises:
            ProtocolError: it is broken.
        """
        lost = self._continuity.lost_before(packet.sequence)
        payload = packet.payload
        if not payload:
            return ()
        if len(payload) > MAX_PACKET_BYTES or not packet_samples(payload):
            raise ProtocolError(f"broken Opus packet of {len(payload)} bytes")
        return (Unit(packet.timestamp, True, True, lost, payload),)


def packetize(payload: bytes) -> list[bytes]:
    """The payload of one Opus packet's packet; the marker stays off but after silence (RFC 7587, 4.1)."""
    return [payload]


def stereo(payload: bytes) -> bool:
    """Whether an Opus packet is coded in stereo (RFC 6716, 3.1)."""
    return bool(payload) and bool(payload[0] & 4)
