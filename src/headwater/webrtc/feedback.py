"""The few RTCP packets that the transport itself sends or looks into: key frame requests and round trips. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterator

SENDER_REPORT = 200
RECEIVER_REPORT = 201

_EMPTY_REPORT = struct.Struct("!BBHI")
_PLI = struct.Struct("!BBHII")
_FIR = struct.Struct("!BBHIIII")
_REPORT_BYTES = 24
MAX_PACKETS = 32
"""RTCP packets of one compound that are looked into: senders put two to four in one."""


def picture_loss(sender: int, media: int) -> bytes:
    """An empty receiver report and PLI (RFC 4585, 6.3.1): the picture cannot be decoded."""
    return _EMPTY_REPORT.pack(0x80, RECEIVER_REPORT, 1, sender) + _PLI.pack(0x81, 206, 2, sender, media)


def full_intra(sender: int, media: int, count: int) -> bytes:
    """An empty receiver report and FIR (RFC 5104, 4.3.1): send a decoder refresh point.

    Args:
        count: Of requests to this source, another each time; modulo 256.
    """
    head = _EMPTY_REPORT.pack(0x80, RECEIVER_REPORT, 1, sender)
    return head + _FIR.pack(0x84, 206, 4, sender, 0, media, (count & 0xFF) << 24)


def sender_reports(compound: bytes) -> Iterator[int]:
    """The middle 32 bits of the NTP time of each sender report: what its echo (LSR) will be (RFC 3550, 6.4.1)."""
    for kind, _, packet in _packets(compound):
        if kind == SENDER_REPORT and len(packet) >= 28:
            yield int.from_bytes(packet[10:14], "big")


def echoes(compound: bytes) -> Iterator[tuple[int, int]]:
    """Of each report block with an echo: LSR, and DLSR in 1/65,536 s (RFC 3550, 6.4.1)."""
    for kind, count, packet in _packets(compound):
        start = {SENDER_REPORT: 28, RECEIVER_REPORT: 8}.get(kind)
        if start is None:
            continue
        for at in range(start, min(start + count * _REPORT_BYTES, len(packet) - _REPORT_BYTES + 1), _REPORT_BYTES):
            last, delay = struct.unpack_from("!II", packet, at + 16)
            if last:
                yield last, delay


def _packets(compound: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    for _ in range(MAX_PACKETS):
        if at + 4 > len(compound):
            return
        size = 4 * (int.from_bytes(compound[at + 2 : at + 4], "big") + 1)
        yield compound[at + 1], compound[at] & 0x1F, compound[at : at + size]
        at += size
