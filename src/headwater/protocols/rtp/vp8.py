"""VP8 in RTP (RFC 7741): a payload descriptor, then a piece of one frame.

         0 1 2 3 4 5 6 7
        |X|R|N|S|R| PID |   S: the first packet of a partition
    X:  |I|L|T|K| RSV   |
    I:  |M| PictureID   |   M: one more byte of it
    L:  |   TL0PICIDX   |
    T/K:|TID|Y| KEYIDX  |

A unit's payload is the frame as decoders take it.
"""

from __future__ import annotations

from collections.abc import Sequence

from headwater.errors import ProtocolError
from headwater.protocols.rtp.packet import Packet
from headwater.protocols.rtp.unit import Continuity, Unit

CLOCK_RATE = 90_000

MAX_FRAME_BYTES = 4 * 1024 * 1024
"""Longest frame put together: a key frame of 4K at 60 Mbit/s is about 2 MB."""

_KEY_FRAME_HEADER = 10


class Depacketizer:
    """Packets in order (behind a `JitterBuffer`) in, frames out."""

    __slots__ = ("_continuity", "_damaged", "_lost", "_parts", "_size", "_stamp")

    def __init__(self) -> None:
        self._continuity = Continuity()
        self._stamp = -1
        self._parts: list[bytes] = []
        self._size = 0
        self._damaged = self._lost = False

    def push(self, packet: Packet) -> Sequence[Unit]:
        """Take the next packet; returns the frames that it ends: none or one, rarely two.

        Raises:
            ProtocolError: the packet is broken; what it belongs to will come as incomplete, the next may be pushed.
        """
        lost = self._continuity.lost_before(packet.sequence)
        ended: tuple[Unit, ...] = ()
        if packet.timestamp != self._stamp:
            ended = self._finish(whole=not lost)
            self._stamp = packet.timestamp
        elif lost:
            self._damaged = True
        self._lost = self._lost or lost
        try:
            if packet.payload:
                self._take(packet.payload)
        except ProtocolError:
            self._damaged = True
            raise
        return (*ended, *self._finish(whole=True)) if packet.marker else ended

    def _take(self, payload: bytes) -> None:
        size = descriptor_bytes(payload)
        begins = payload[0] & 0x17 == 0x10  # S, and partition 0
        if begins != (not self._parts):
            self._damaged = True  # its start is lost, or a marker was
        self._size += len(payload) - size
        if self._size > MAX_FRAME_BYTES:
            raise ProtocolError(f"VP8 frame of more than {MAX_FRAME_BYTES} bytes")
        self._parts.append(payload[size:])

    def _finish(self, *, whole: bool) -> tuple[Unit, ...]:
        parts, damaged, lost = self._parts, self._damaged or not whole, self._lost
        self._damaged = False
        if not parts:
            self._lost = lost or damaged
            return ()
        self._parts, self._size = [], 0
        frame = b"".join(parts)
        self._lost = damaged
        key = is_key_frame(frame) and not damaged
        return (Unit(self._stamp, key, not damaged, lost or damaged, frame),)


class Packetizer:
    """Frames in, payloads of packets out; the last one is to carry the marker."""

    __slots__ = ("_max_payload", "_picture")

    def __init__(self, max_payload: int = 1200, first_picture: int = 0) -> None:
        """`first_picture`: number of the first frame; should be random (4.2)."""
        self._max_payload = max_payload
        self._picture = first_picture & 0x7FFF

    def packetize(self, frame: bytes) -> list[bytes]:
        """The payloads of one frame, of about the same size each and within `max_payload`."""
        picture = (0x8000 | self._picture).to_bytes(2, "big")
        self._picture = (self._picture + 1) & 0x7FFF
        count = max(1, -(-len(frame) // (self._max_payload - 4)))
        size = max(1, -(-len(frame) // count))
        return [
            b"%c\x80%b%b" % (0x90 if at == 0 else 0x80, picture, frame[at : at + size])
            for at in range(0, max(1, len(frame)), size)
        ]


def descriptor_bytes(payload: bytes) -> int:
    """How long the payload descriptor is.

    Raises:
        ProtocolError: it is broken, or nothing follows it.
    """
    size, available = 1, len(payload)
    if payload[:1] and payload[0] & 0x80:
        flags = payload[1] if available > 1 else 0
        size = 2
        if flags & 0x80:
            size += 2 if available > 2 and payload[2] & 0x80 else 1
        size += (1 if flags & 0x40 else 0) + (1 if flags & 0x30 else 0)
    if size >= available:
        raise ProtocolError("VP8 packet ends within its payload descriptor")
    return size


def is_key_frame(frame: bytes) -> bool:
    """RFC 6386, 9.1: the lowest bit of the first byte is 0, and the start code follows the frame tag."""
    return len(frame) >= _KEY_FRAME_HEADER and not frame[0] & 1 and frame[3:6] == b"\x9d\x01\x2a"


def key_frame_size(frame: bytes) -> tuple[int, int]:
    """Width and height of a key frame (RFC 6386, 9.1).

    Raises:
        ProtocolError: it is no key frame.
    """
    if not is_key_frame(frame):
        raise ProtocolError("VP8 frame that is no key frame")
    return int.from_bytes(frame[6:8], "little") & 0x3FFF, int.from_bytes(frame[8:10], "little") & 0x3FFF
