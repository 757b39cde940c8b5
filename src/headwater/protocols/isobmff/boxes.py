"""How boxes are written (ISO/IEC 14496-12, 4.2)."""

from __future__ import annotations

import struct

UNITY_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
"""Neither turned nor scaled (6.2.2)."""


def box(kind: bytes, *payload: bytes) -> bytes:
    """A box of a four-byte type; size included."""
    body = b"".join(payload)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    """A box that starts with a version and 24 bits of flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)
