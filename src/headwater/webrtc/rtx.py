"""Retransmissions as streams of their own (RFC 4588, 4): the packet, its sequence number before its payload."""

from __future__ import annotations

import struct

_FIXED_BYTES = 12
_HEADER = struct.Struct("!BBHII")


def header_bytes(packet: bytes | bytearray) -> int:
    """Where an RTP packet's payload begins: behind CSRCs and extension (RFC 3550, 5.1); its end if it is cut short."""
    end = _FIXED_BYTES + 4 * (packet[0] & 0x0F)
    if packet[0] & 0x10:
        end += 4 + 4 * int.from_bytes(packet[end + 2 : end + 4], "big")
    return min(end, len(packet))


def unwrap(packet: bytes, payload_type: int, ssrc: int) -> bytes | None:
    """The packet that a retransmission repeats, or None: it only pads (senders probe bandwidth so).

    Args:
        packet: Decrypted; at least a whole header (libsrtp has seen to it).
        payload_type: Of the repeated packet.
        ssrc: Likewise.
    """
    start = header_bytes(packet)
    padding = packet[-1] if packet[0] & 0x20 else 0
    if len(packet) - start - padding < 2:
        return None
    flags, mark_type, _, timestamp, _ = _HEADER.unpack_from(packet)
    sequence = int.from_bytes(packet[start : start + 2], "big")
    head = _HEADER.pack(flags, (mark_type & 0x80) | payload_type, sequence, timestamp, ssrc)
    return head + packet[_FIXED_BYTES:start] + packet[start + 2 :]


def wrap(packet: bytes | bytearray, payload_type: int, ssrc: int, sequence: int) -> bytes:
    """The retransmission of a packet.

    Args:
        payload_type: Of retransmissions.
        ssrc: Likewise.
        sequence: The next of that source.
    """
    start = header_bytes(packet)
    flags, mark_type, original, timestamp, _ = _HEADER.unpack_from(packet)
    head = _HEADER.pack(flags, (mark_type & 0x80) | payload_type, sequence, timestamp, ssrc)
    return b"".join((head, packet[_FIXED_BYTES:start], original.to_bytes(2, "big"), packet[start:]))
