"""What a recording must read of a fragment: whose it is, when, how long (ISO/IEC 14496-12, 8.8).

It needs the moof alone, so that a scan of gigabytes need not read the samples.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from headwater.errors import ProtocolError
from headwater.protocols.isobmff.reader import Box, find_box, iter_boxes

_TFHD_BASE_DATA_OFFSET = 0x01
_TFHD_DESCRIPTION_INDEX = 0x02
_TFHD_DURATION = 0x08
_TRUN_DATA_OFFSET = 0x001
_TRUN_FIRST_FLAGS = 0x004
_TRUN_DURATION = 0x100
_TRUN_SIZE = 0x200
_TRUN_FLAGS = 0x400
_TRUN_COMPOSITION = 0x800
_TRUN_PER_SAMPLE = (_TRUN_DURATION, _TRUN_SIZE, _TRUN_FLAGS, _TRUN_COMPOSITION)


@dataclass(frozen=True, slots=True)
class FragmentInfo:
    """What one moof says.

    Attributes:
        tfdt: Decode time of its first sample.
        duration: Sum of its samples' durations.
    """

    track_id: int
    tfdt: int
    duration: int


def read_fragment_info(moof: bytes) -> FragmentInfo:
    """Read the body of a moof that holds one track's samples.

    Args:
        moof: The box's body.

    Raises:
        ProtocolError: the box is broken.
    """
    traf = find_box(moof, "traf")
    if traf is None:
        raise ProtocolError("a fragment of no track")
    track_id, tfdt, duration, each = 0, -1, 0, 0
    try:
        for child in iter_boxes(moof, traf.body, traf.end):
            if child.kind == b"tfhd":
                track_id, each = _tfhd(moof, child.body)
            elif child.kind == b"tfdt":
                version = moof[child.body]
                (tfdt,) = struct.unpack_from(">Q" if version else ">I", moof, child.body + 4)
            elif child.kind == b"trun":
                duration += _trun_duration(moof, child, each)
    except (struct.error, IndexError) as error:
        raise ProtocolError("a fragment's header is cut short") from error
    if track_id == 0 or tfdt < 0:
        raise ProtocolError("a fragment does not say whose or when it is")
    return FragmentInfo(track_id, tfdt, duration)


def _tfhd(moof: bytes, position: int) -> tuple[int, int]:
    """(track id, default sample duration)"""
    flags, track_id = struct.unpack_from(">II", moof, position)
    position += 8
    position += 8 if flags & _TFHD_BASE_DATA_OFFSET else 0
    position += 4 if flags & _TFHD_DESCRIPTION_INDEX else 0
    if flags & _TFHD_DURATION:
        return track_id, int(struct.unpack_from(">I", moof, position)[0])
    return track_id, 0


def _trun_duration(moof: bytes, trun: Box, default_duration: int) -> int:
    flags, count = struct.unpack_from(">II", moof, trun.body)
    if not flags & _TRUN_DURATION:
        return int(count * default_duration)
    first = trun.body + 8
    first += 4 if flags & _TRUN_DATA_OFFSET else 0
    first += 4 if flags & _TRUN_FIRST_FLAGS else 0
    words = sum(1 for flag in _TRUN_PER_SAMPLE if flags & flag)
    if first + 4 * words * count > trun.end:
        raise ProtocolError("a fragment's samples reach beyond their box")
    values = struct.unpack_from(f">{words * count}I", moof, first)
    return sum(values[::words])  # the duration is the first of each sample's words
