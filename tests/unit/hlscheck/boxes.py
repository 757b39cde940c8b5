"""A writer of small MP4 files for these tests alone, so that the reader is not judged by code it shares."""

from __future__ import annotations

import struct
from dataclasses import dataclass

SYNC, NON_SYNC = 0x0200_0000, 0x0101_0000


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample to write: duration in ticks, its bytes, sync or not, composition offset in ticks."""

    duration: int
    data: bytes
    sync: bool = True
    offset: int = 0


def box(kind: bytes, *payload: bytes) -> bytes:
    body = b"".join(payload)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full(kind: bytes, version: int, flags: int, *payload: bytes) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *payload)


def init(track_id: int, timescale: int, codec: bytes, *, width: int = 0, height: int = 0) -> bytes:
    """ftyp + moov of one track; video where it has a width."""
    entry = b"\0" * 6 + b"\0\1"
    if width:
        entry += b"\0" * 16 + struct.pack(">HH", width, height) + b"\0" * 50
    else:
        entry += b"\0" * 8 + struct.pack(">HHHHI", 2, 16, 0, 0, timescale << 16 & 0xFFFFFFFF)
    stsd = full(b"stsd", 0, 0, struct.pack(">I", 1), box(codec, entry))
    handler = b"vide" if width else b"soun"
    mdia = box(
        b"mdia",
        full(b"mdhd", 0, 0, struct.pack(">IIIIHH", 0, 0, timescale, 0, 0x55C4, 0)),
        full(b"hdlr", 0, 0, b"\0" * 4, handler, b"\0" * 12, b"\0"),
        box(b"minf", box(b"stbl", stsd)),
    )
    trak = box(b"trak", full(b"tkhd", 0, 3, struct.pack(">III", 0, 0, track_id), b"\0" * 68), mdia)
    trex = full(b"trex", 0, 0, struct.pack(">IIIII", track_id, 1, 0, 0, 0))
    moov = box(b"moov", full(b"mvhd", 0, 0, b"\0" * 96), trak, box(b"mvex", trex))
    return box(b"ftyp", b"cmf2", b"\0\0\0\0", b"iso6cmfc") + moov


def fragment(track_id: int, decode_time: int, samples: list[Sample]) -> bytes:
    """moof + mdat of one track."""
    entries = b"".join(
        struct.pack(">IIIi", s.duration, len(s.data), SYNC if s.sync else NON_SYNC, s.offset) for s in samples
    )

    def moof(data_offset: int) -> bytes:
        trun = full(b"trun", 1, 0x000F01, struct.pack(">Ii", len(samples), data_offset), entries)
        tfhd = full(b"tfhd", 0, 0x020000, struct.pack(">I", track_id))
        tfdt = full(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
        return box(b"moof", full(b"mfhd", 0, 0, struct.pack(">I", 1)), box(b"traf", tfhd, tfdt, trun))

    head = moof(0)
    return moof(len(head) + 8) + box(b"mdat", *(s.data for s in samples))
