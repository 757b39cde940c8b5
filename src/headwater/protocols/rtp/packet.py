"""RTP packets (RFC 3550, 5.1), their header extensions (RFC 8285), and retransmissions (RFC 4588).

     0                   1                   2                   3
     0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
    |V=2|P|X|  CC   |M|     PT      |            sequence           |
    |                           timestamp                           |
    |                             SSRC                              |
    |                       CSRC, CC times                          |
    |   profile of the extension    |  its length in 32-bit words   |  if X
    |                             payload                           |
    |                      padding, its last byte says how much     |  if P

A packet that is forwarded is not parsed to objects: `rewrite` copies it once, behind a new header. Sequence numbers
and timestamps wrap around; `Unwrapper` makes counters of them.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass

from headwater.errors import ProtocolError

HEADER_BYTES = 12

MAX_PACKET_BYTES = 2048
"""Longest packet taken: what a path with an MTU of 1500 carries, and some jumbled tunnels beyond it."""

MAX_EXTENSION_ELEMENTS = 32
"""Header extension elements looked at in a packet: browsers send five or so."""

URI_AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
URI_MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
URI_RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
URI_ABS_SEND_TIME = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"
URI_TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

ONE_BYTE, TWO_BYTE = 0xBEDE, 0x1000
"""The profiles of RFC 8285, 4.2 and 4.3; the latter's lowest four bits are free."""

_HEADER = struct.Struct(">BBHII")
_EXTENSION = struct.Struct(">HH")


@dataclass(slots=True)
class Packet:
    """One RTP packet, taken apart. Not frozen: one is made per packet that comes, on the hot path.

    Attributes:
        marker: Mostly the last packet of an access unit.
        payload_type: 0 to 127.
        sequence: 0 to 65535; wraps around.
        timestamp: 0 to 2^32 - 1, in the payload's clock rate; wraps around.
        ssrc: The source.
        payload: Without padding; may be empty.
        extension: What stands in the header extension, behind profile and length; empty where there is none.
        profile: The extension's profile; 0 where there is none.
    """

    marker: bool
    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    extension: bytes = b""
    profile: int = 0

    def element(self, number: int) -> bytes | None:
        """The data of a header extension element; None where it has none of this number."""
        return _element(self.profile, self.extension, number)


def is_rtcp(datagram: bytes) -> bool:
    """Whether it is RTCP where both share a port (RFC 5761, 4): its second byte is a packet type of 192 to 223."""
    return len(datagram) > 1 and 192 <= datagram[1] <= 223


def parse(packet: bytes) -> Packet:
    """Take an RTP packet apart.

    Raises:
        ProtocolError: it is broken.
    """
    first, second, sequence, timestamp, ssrc = _header(packet)
    extension_at, start, end = _bounds(packet, first)
    profile, extension = 0, b""
    if first & 0x10:
        profile = int.from_bytes(packet[extension_at : extension_at + 2], "big")
        extension = packet[extension_at + 4 : start]
    return Packet(
        second > 127, second & 127, sequence, timestamp, ssrc, bytes(packet[start:end]), bytes(extension), profile
    )


def build(packet: Packet) -> bytes:
    """Write a packet; what `parse` reads back."""
    first = 0x80
    extension = b""
    if packet.profile or packet.extension:
        extension = extension_block(packet.extension, packet.profile or ONE_BYTE)
        first |= 0x10
    second = packet.payload_type | (0x80 if packet.marker else 0)
    header = _HEADER.pack(first, second, packet.sequence, packet.timestamp, packet.ssrc)
    return header + extension + packet.payload


def check(packet: bytes) -> None:
    """Make sure that what stands in a packet's header is within it, without taking it apart.

    Raises:
        ProtocolError: it is broken.
    """
    _bounds(packet, _header(packet)[0])


def sequence_of(packet: bytes) -> int:
    """The sequence number of a packet that has been checked. Hot."""
    return packet[2] << 8 | packet[3]


def timestamp_of(packet: bytes) -> int:
    """The timestamp of a packet that has been checked. Hot."""
    return int.from_bytes(packet[4:8], "big")


def ssrc_of(packet: bytes) -> int:
    """The source of a packet that has been checked. Hot."""
    return int.from_bytes(packet[8:12], "big")


def payload_of(packet: bytes) -> bytes:
    """The payload of a packet, without padding.

    Raises:
        ProtocolError: it is broken.
    """
    _, start, end = _bounds(packet, _header(packet)[0])
    return bytes(packet[start:end])


def rewrite(
    packet: bytes, *, payload_type: int, sequence: int, timestamp: int, ssrc: int, extension: bytes = b""
) -> bytearray:
    """The packet as another source sends it on: marker, payload and padding stay, CSRCs go. Hot: one copy.

    The sender's header extensions go too: their numbers mean something else to the receiver.

    Args:
        extension: A whole block of `extension_block`, or nothing.

    Raises:
        ProtocolError: it is broken.
    """
    first = packet[0] if len(packet) >= HEADER_BYTES else 0
    start = HEADER_BYTES if first in (0x80, 0xA0) else _bounds(packet, _header(packet)[0])[1]
    out = bytearray(packet)
    too_much = start - HEADER_BYTES - len(extension)
    if too_much > 0:
        del out[:too_much]
    elif too_much:
        out[:0] = bytes(-too_much)
    first = 0x80 | first & 0x20 | (0x10 if extension else 0)
    _HEADER.pack_into(out, 0, first, packet[1] & 0x80 | payload_type, sequence, timestamp, ssrc)
    if extension:
        out[HEADER_BYTES : HEADER_BYTES + len(extension)] = extension
    return out


def element_of(packet: bytes, number: int) -> bytes | None:
    """The data of a packet's header extension element; None where it has none of this number.

    Raises:
        ProtocolError: it is broken.
    """
    first = _header(packet)[0]
    if not first & 0x10:
        return None
    extension_at, start, _ = _bounds(packet, first)
    profile = int.from_bytes(packet[extension_at : extension_at + 2], "big")
    return _element(profile, bytes(packet[extension_at + 4 : start]), number)


def elements(values: Mapping[int, bytes]) -> tuple[int, bytes]:
    """Header extension elements packed, and the profile for it: one-byte headers where they do.

    Args:
        values: Data of 0 to 255 bytes by number, 1 to 255.
    """
    if all(1 <= number <= 14 and 1 <= len(data) <= 16 for number, data in values.items()):
        return ONE_BYTE, b"".join(bytes((number << 4 | len(data) - 1,)) + data for number, data in values.items())
    return TWO_BYTE, b"".join(bytes((number, len(data))) + data for number, data in values.items())


def extension_block(extension: bytes, profile: int = ONE_BYTE) -> bytes:
    """The header extension as it stands in a packet: profile, length, data, padded to whole words."""
    padding = -len(extension) % 4
    return _EXTENSION.pack(profile, (len(extension) + padding) // 4) + extension + bytes(padding)


def audio_level(data: bytes) -> tuple[bool, int]:
    """RFC 6464, 3: whether the sender hears a voice in it, and how far below full scale it is, 0 (loud) to 127 dB."""
    if not data:
        raise ProtocolError("an audio level without its byte")
    return data[0] > 127, data[0] & 127


def to_rtx(packet: bytes, *, payload_type: int, sequence: int, ssrc: int) -> bytes:
    """A packet sent again in its retransmission stream (RFC 4588, 4): its old number stands before the payload.

    Raises:
        ProtocolError: it is broken.
    """
    first = _header(packet)[0]
    _, start, _ = _bounds(packet, first)
    header = _HEADER.pack(first, packet[1] & 0x80 | payload_type, sequence, timestamp_of(packet), ssrc)
    return b"".join((header, packet[HEADER_BYTES:start], packet[2:4], packet[start:]))


def from_rtx(packet: bytes, *, payload_type: int, ssrc: int) -> bytes | None:
    """The packet that a retransmission holds; None where it holds none (browsers probe with padding).

    Raises:
        ProtocolError: it is broken.
    """
    first = _header(packet)[0]
    _, start, end = _bounds(packet, first)
    if end - start < 2:
        return None
    original = int.from_bytes(packet[start : start + 2], "big")
    header = _HEADER.pack(first, packet[1] & 0x80 | payload_type, original, timestamp_of(packet), ssrc)
    return b"".join((header, packet[HEADER_BYTES:start], packet[start + 2 :]))


class Unwrapper:
    """A counter of numbers that wrap around: each is taken for the one nearest to the newest so far."""

    __slots__ = ("_half", "_mask", "newest")

    def __init__(self, bits: int) -> None:
        """`bits`: 16 for sequence numbers, 32 for timestamps."""
        self._mask = (1 << bits) - 1
        self._half = 1 << (bits - 1)
        self.newest: int | None = None

    def unwrap(self, value: int) -> int:
        """The counter's value for `value`; the first is itself. Below 0 for what is older than the first."""
        newest = self.newest
        if newest is None:
            self.newest = value
            return value
        ahead = (value - newest) & self._mask
        if ahead >= self._half:
            return newest + ahead - self._mask - 1
        self.newest = newest + ahead
        return newest + ahead


def _header(packet: bytes) -> tuple[int, int, int, int, int]:
    if not HEADER_BYTES <= len(packet) <= MAX_PACKET_BYTES:
        raise ProtocolError(f"RTP packet of {len(packet)} bytes; it has {HEADER_BYTES} to {MAX_PACKET_BYTES}")
    fields: tuple[int, int, int, int, int] = _HEADER.unpack_from(packet)
    if fields[0] >> 6 != 2:
        raise ProtocolError(f"RTP packet of version {fields[0] >> 6}; only 2 is known")
    return fields


def _bounds(packet: bytes, first: int) -> tuple[int, int, int]:
    """Where the extension begins (if there is one), and where the payload begins and ends."""
    extension_at = start = HEADER_BYTES + 4 * (first & 15)
    end = len(packet)
    if first & 0x10:
        if start + 4 > end:
            raise ProtocolError("RTP packet ends within its header extension")
        start += 4 + 4 * (packet[start + 2] << 8 | packet[start + 3])
    if start > end:
        raise ProtocolError("RTP packet ends within its header")
    if first & 0x20:
        padding = packet[end - 1] if end > start else 0
        if not 1 <= padding <= end - start:
            raise ProtocolError(f"RTP packet with {padding} bytes of padding in {end - start}")
        end -= padding
    return extension_at, start, end


def _element(profile: int, extension: bytes, number: int) -> bytes | None:
    """RFC 8285, 4.2 and 4.3. Of another profile nothing is known; what is cut off is not there."""
    if profile == ONE_BYTE:
        header_bytes = 1
    elif profile & 0xFFF0 == TWO_BYTE:
        header_bytes = 2
    else:
        return None
    at, end, left = 0, len(extension), MAX_EXTENSION_ELEMENTS
    while at + header_bytes <= end and left:
        left -= 1
        if extension[at] == 0:  # padding
            while at < end and extension[at] == 0:
                at += 1
            continue
        if header_bytes == 1:
            found, size = extension[at] >> 4, (extension[at] & 15) + 1
            if found == 15:
                return None
        else:
            found, size = extension[at], extension[at + 1]
        at += header_bytes
        if found == number:
            return extension[at : at + size] if at + size <= end else None
        at += size
    return None
