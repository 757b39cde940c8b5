"""The head of a recording: a region of fixed size that is rewritten in place when there is something new to say.

ftyp
moov
  mvhd                      duration when the session has ended
  trak ...                  each track's own, from its first init segment;
    ... stsd                one sample entry for each version of its init segment
  mvex
    mehd                    when the session has ended
    trex ...
sidx                        when the session has ended: where to seek to
free                        up to HEAD_SIZE
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from headwater.errors import LimitReached
from headwater.media.cmaf import InitSegment
from headwater.protocols.isobmff.boxes import box, full_box
from headwater.protocols.isobmff.movie import movie

# Two tracks' moov takes 1.3 KB, each further configuration about 0.2 KB, and what is left holds about a thousand points
# to seek to. A player fetches it with its first request anyway.
HEAD_SIZE = 16 * 1024

_BOX_HEADER_SIZE = 8
_REFERENCE = struct.Struct(">III")
_MAX_REFERENCED_SIZE = (1 << 31) - 1  # 31 bits in sidx
_MAX_UINT32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class SeekPoint:
    """A place where playing can start: a segment of the track that one seeks by.

    Attributes:
        offset: Where its first box stands in the file.
        tfdt: Decode time of its first sample.
    """

    offset: int
    tfdt: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known when the session has ended.

    Attributes:
        duration_ms: Of the whole presentation.
        track_id: The track that one seeks by.
        timescale: Of that track, and of `end_tfdt`.
        points: In order; empty where there is nothing to seek to.
        end_tfdt: Decode time at the track's end.
        file_size: Bytes of the whole file: the last seek point reaches up to it.
    """

    duration_ms: int
    track_id: int
    timescale: int
    points: Sequence[SeekPoint]
    end_tfdt: int
    file_size: int


def build_head(inits: Sequence[InitSegment], ending: Ending | None = None) -> bytes:
    """The HEAD_SIZE bytes that a recording starts with.

    Args:
        inits: Every track's init segments, all versions; at least one.
        ending: When the session has ended.

    Raises:
        LimitReached: the tracks' configurations do not fit.
    """
    head = movie(inits, None if ending is None else ending.duration_ms)
    room = HEAD_SIZE - _BOX_HEADER_SIZE - len(head)
    if room < 0:
        raise LimitReached("HEAD_SIZE", "the tracks changed their configuration too often for the recording's head")
    if ending is not None and ending.points:
        head += _sidx(ending, len(head), room)
    return head + box(b"free", bytes(HEAD_SIZE - _BOX_HEADER_SIZE - len(head)))


def _sidx(ending: Ending, position: int, room: int) -> bytes:
    """A segment index of the whole file (8.16.3), with as many of the points as there is room for.

    FFmpeg, and so Chromium, trusts it only where its last reference ends with the file.
    """
    fixed = 40
    count = (room - fixed) // _REFERENCE.size
    if count < 1:
        return b""
    step = -(-len(ending.points) // count)
    points = [*ending.points[::step], SeekPoint(ending.file_size, ending.end_tfdt)]
    references = []
    for point, following in itertools.pairwise(points):
        size, duration = following.offset - point.offset, following.tfdt - point.tfdt
        if not (0 < size <= _MAX_REFERENCED_SIZE and 0 <= duration <= _MAX_UINT32):
            return b""  # no index is better than a wrong one; players then read the fragments
        references.append(_REFERENCE.pack(size, duration, 0x90000000))  # starts with a SAP of type 1
    size = fixed + len(references) * _REFERENCE.size
    head = struct.pack(">IIQQHH", ending.track_id, ending.timescale, points[0].tfdt,
                       points[0].offset - position - size, 0, len(references))  # fmt: skip
    return full_box(b"sidx", 1, 0, head, *references)
