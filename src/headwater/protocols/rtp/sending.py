"""The sender's side of one source: numbers on packets, what a sender report says, what can be sent again."""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Sequence

from headwater.protocols.rtp.packet import HEADER_BYTES, to_rtx
from headwater.protocols.rtp.rtcp import SenderReport, ntp_of

HISTORY_PACKETS = 1024
"""Packets kept to be sent again: 2 s at 5 Mbit/s; what is older comes too late for the receiver."""

_HEADER = struct.Struct(">BBHII")


class Source:
    """Numbers the packets of one stream (RFC 3550, 5.1).

    Attributes:
        ssrc: Of this source.
        payload_type: On its packets.
        sequence: Of the next packet.
    """

    __slots__ = ("_clock_rate", "_first_timestamp", "_octets", "_packets", "payload_type", "sequence", "ssrc")

    def __init__(
        self, ssrc: int, payload_type: int, clock_rate: int, *, first_sequence: int, first_timestamp: int
    ) -> None:
        """The first sequence number and timestamp should be random."""
        self.ssrc = ssrc
        self.payload_type = payload_type
        self.sequence = first_sequence & 0xFFFF
        self._clock_rate = clock_rate
        self._first_timestamp = first_timestamp
        self._packets = self._octets = 0

    def timestamp(self, ticks: int) -> int:
        """The timestamp of media time `ticks` (of the clock rate)."""
        return (self._first_timestamp + ticks) & 0xFFFFFFFF

    def packets(self, payloads: Sequence[bytes], ticks: int, *, marker: bool = True) -> list[bytes]:
        """The packets of one access unit; the marker is on the last of them."""
        stamp, sequence, kind = self.timestamp(ticks), self.sequence, self.payload_type
        last = len(payloads) - 1
        out = [
            _HEADER.pack(
                0x80,
                kind | (0x80 if marker and index == last else 0),
                sequence + index & 0xFFFF,
                stamp,
                self.ssrc,
            )
            + payload
            for index, payload in enumerate(payloads)
        ]
        self.sequence = sequence + len(payloads) & 0xFFFF
        self.count(out)
        return out

    def count(self, packets: Iterable[bytes | bytearray]) -> None:
        """These were sent (RFC 3550, 6.4.1); `packets` has called it already."""
        for packet in packets:
            self._packets += 1
            self._octets += len(packet) - HEADER_BYTES

    @property
    def has_sent(self) -> bool:
        return self._packets > 0

    def report(self, wall_ms: float, ticks: float) -> SenderReport:
        """A sender report: the media time `ticks` is played at `wall_ms` (since the Unix epoch)."""
        return SenderReport(self.ssrc, ntp_of(wall_ms), self.timestamp(int(ticks)), self._packets, self._octets)


class History:
    """The last packets of one source, to be sent again when a receiver misses some. Bounded in number."""

    __slots__ = ("_order", "_packets", "_rtx_sequence", "_size")

    def __init__(self, size: int = HISTORY_PACKETS, *, first_rtx_sequence: int = 0) -> None:
        self._size = size
        self._packets: dict[int, bytes | bytearray] = {}
        self._order: deque[int] = deque()
        self._rtx_sequence = first_rtx_sequence

    def keep(self, packet: bytes | bytearray) -> None:
        """Remember a packet that was sent. Hot."""
        number = packet[2] << 8 | packet[3]
        if number not in self._packets:
            self._order.append(number)
            if len(self._order) > self._size:
                del self._packets[self._order.popleft()]
        self._packets[number] = packet

    def find(self, sequence: int) -> bytes | bytearray | None:
        """The packet of this number as it was sent; None: it is too old, or never was."""
        return self._packets.get(sequence)

    def again(self, sequence: int, *, payload_type: int | None, ssrc: int | None) -> bytes | None:
        """The packet as it is sent again: in the retransmission stream (RFC 4588), or as it was without one."""
        packet = self._packets.get(sequence)
        if packet is None:
            return None
        if payload_type is None or ssrc is None:
            return bytes(packet)
        self._rtx_sequence = self._rtx_sequence + 1 & 0xFFFF
        return to_rtx(bytes(packet), payload_type=payload_type, sequence=self._rtx_sequence, ssrc=ssrc)

    def __len__(self) -> int:
        return len(self._packets)
