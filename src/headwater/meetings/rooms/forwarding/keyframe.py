"""Where a picture begins that needs no other: the packet at which a receiver can start."""

from __future__ import annotations

from collections.abc import Callable

_IDR, _SPS, _STAP_A, _FU_A = 5, 7, 24, 28


def starts_h264(payload: bytes) -> bool:
    """Whether an H.264 payload (RFC 6184, 5.2) begins a key frame: its SPS, or the first slice of an IDR picture."""
    if not payload:
        return False
    kind = payload[0] & 31
    if kind == _STAP_A:
        return _in_aggregate(payload)
    if kind == _FU_A:
        # The fragment that starts it; the slice header begins with first_mb_in_slice, of which 0 is a single 1 bit.
        return len(payload) > 2 and payload[1] & 0x9F == 0x80 | _IDR and payload[2] > 127
    return kind == _SPS or (kind == _IDR and len(payload) > 1 and payload[1] > 127)


def _in_aggregate(payload: bytes) -> bool:
    at, end = 1, len(payload)
    while at + 2 < end:
        kind = payload[at + 2] & 31
        if kind == _SPS or (kind == _IDR and at + 3 < end and payload[at + 3] > 127):
            return True
        at += 2 + (payload[at] << 8 | payload[at + 1])
    return False


def starts_vp8(payload: bytes) -> bool:
    """Whether a VP8 payload (RFC 7741, 4.2) begins a key frame: the first packet of partition 0, and its P bit is 0."""
    if not payload or payload[0] & 0x17 != 0x10:
        return False
    at = 1
    if payload[0] & 0x80:
        if len(payload) < 2:
            return False
        extended = payload[1]
        at += 1
        if extended & 0x80 and at < len(payload):
            at += 2 if payload[at] & 0x80 else 1
        at += (1 if extended & 0x40 else 0) + (1 if extended & 0x30 else 0)
    return at < len(payload) and payload[at] & 1 == 0


STARTS: dict[str, Callable[[bytes], bool]] = {"H264": starts_h264, "VP8": starts_vp8}
"""By codec; of others every packet can be started at."""
