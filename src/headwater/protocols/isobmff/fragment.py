"""Fragments: one moof and its mdat.

moof
├── mfhd                      sequence number
└── traf
    ├── tfhd                  track; offsets count from the moof; description index where it is not 1
    ├── tfdt (version 1)      decode time of the first sample, 64 bits
    └── trun (version 1)      data offset; per sample: duration, size, and for video flags, composition offset
mdat                          the samples' bytes
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct, pack, unpack_from

SYNC_SAMPLE = 0x02000000
"""Sample flags (ISO/IEC 14496-12, 8.8.3.1): depends on no other."""

DEPENDENT_SAMPLE = 0x01010000
"""Sample flags: depends on others, is no sync sample."""

VIDEO_ROW = 4
"""Table entries of a video sample: duration, size, flags, composition offset."""

AUDIO_ROW = 2
"""Table entries of an audio sample: duration, size; all are sync samples."""

_DEFAULT_BASE_IS_MOOF = 0x020000
_HAS_DESCRIPTION_INDEX = 0x000002
_HAS_DEFAULT_FLAGS = 0x000020
_TRUN_VIDEO = 0x01000F01  # version 1; data offset, duration, size, flags, composition offset
_TRUN_AUDIO = 0x01000301  # version 1; data offset, duration, size

_TFHD_FLAGS = {VIDEO_ROW: _DEFAULT_BASE_IS_MOOF, AUDIO_ROW: _DEFAULT_BASE_IS_MOOF | _HAS_DEFAULT_FLAGS}
_TRUN_HEAD = {VIDEO_ROW: _TRUN_VIDEO, AUDIO_ROW: _TRUN_AUDIO}

# moof, mfhd, traf and the start of tfhd; tfdt and the start of trun.
_HEAD = Struct(">I4sI4sIII4sI4sII")
_TAIL = Struct(">I4sIQI4sIIi")


def build_fragment(
    sequence: int,
    track_id: int,
    index: int,
    tfdt: int,
    row: int,
    table: Sequence[int],
    payloads: Sequence[bytes],
) -> bytes:
    """Write a fragment.

    Args:
        sequence: Counts up over the fragments of a session.
        index: Sample description index, from 1.
        tfdt: Decode time of the first sample.
        row: `VIDEO_ROW` or `AUDIO_ROW`.
        table: That many numbers per sample, one sample behind the other; composition offsets may be negative, all
            others are positive and below 2^31.
        payloads: The samples' bytes.
    """
    optional = (index.to_bytes(4, "big") if index != 1 else b"") + (_AUDIO_DEFAULT_FLAGS if row == AUDIO_ROW else b"")
    tfhd_flags = _TFHD_FLAGS[row] | (_HAS_DESCRIPTION_INDEX if index != 1 else 0)
    tfhd_size = 16 + len(optional)
    trun_size = 20 + 4 * len(table)
    moof_size = 52 + tfhd_size + trun_size
    size = sum(table[1::row])
    return b"".join(
        (
            _HEAD.pack(
                moof_size, b"moof", 16, b"mfhd", 0, sequence, moof_size - 24, b"traf",
                tfhd_size, b"tfhd", tfhd_flags, track_id,
            ),
            optional,
            _TAIL.pack(
                20, b"tfdt", 0x01000000, tfdt, trun_size, b"trun", _TRUN_HEAD[row], len(payloads), moof_size + 8
            ),
            pack(f">{len(table)}i", *table),
            pack(">I4s", size + 8, b"mdat"),
            *payloads,
        )
    )  # fmt: skip


_AUDIO_DEFAULT_FLAGS = SYNC_SAMPLE.to_bytes(4, "big")


def payloads_of(fragment: bytes) -> list[bytes]:
    """The bytes of an audio fragment's samples: of one that `build_fragment` wrote."""
    (tfhd_size,) = unpack_from(">I", fragment, 32)
    trun = 32 + tfhd_size + 20
    name, head, count = unpack_from(">4sII", fragment, trun + 4)
    assert name == b"trun" and head == _TRUN_AUDIO, "an audio fragment of ours"
    end = trun + 20 + 4 * AUDIO_ROW * count + 8
    payloads = []
    for size in unpack_from(f">{AUDIO_ROW * count}i", fragment, trun + 20)[1::AUDIO_ROW]:
        payloads.append(fragment[end : end + size])
        end += size
    return payloads
