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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headwater.errors import LimitReached
from headwater.pipeline.recorder import boxes

# Two tracks' moov takes 1.3 KB, each further configuration about 0.2 KB, and what is left holds about a thousand points
# to seek to. A player fetches it with its first request anyway.
HEAD_SIZE = 16 * 1024

_STSD = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_FTYP = boxes.make(b"ftyp", b"iso6", struct.pack(">I", 512), b"iso6", b"cmfc", b"mp41")
_ENTRY_COUNT = struct.Struct(">II")  # version and flags, entry_count
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


def build_head(inits: Mapping[int, Sequence[bytes]], ending: Ending | None = None) -> bytes:
    """The HEAD_SIZE bytes that a recording starts with.

    Args:
        inits: By track id, the init segments (ftyp + moov) in order of their versions.
        ending: When the session has ended.

    Raises:
        LimitReached: the tracks' configurations do not fit.
        ProtocolError: an init segment that is none.
    """
    head = _FTYP + _moov(inits, ending)
    room = HEAD_SIZE - boxes.HEADER_SIZE - len(head)
    if room < 0:
        raise LimitReached("HEAD_SIZE", "the tracks changed their configuration too often for the recording's head")
    if ending is not None and ending.points:
        head += _sidx(ending, len(head), room)
    return head + boxes.make(b"free", bytes(HEAD_SIZE - boxes.HEADER_SIZE - len(head)))


def _moov(inits: Mapping[int, Sequence[bytes]], ending: Ending | None) -> bytes:
    moovs = {track_id: _moov_body(versions[0]) for track_id, versions in inits.items()}
    mvhd = _mvhd(max(inits) + 1, ending)
    traks = [_trak(moovs[track_id], inits[track_id][1:]) for track_id in sorted(inits)]
    trexs = [_cut(moovs[track_id], b"mvex", b"trex") for track_id in sorted(inits)]
    mehd = [] if ending is None else [boxes.make(b"mehd", struct.pack(">IQ", 1 << 24, ending.duration_ms))]
    return boxes.make(b"moov", mvhd, *traks, boxes.make(b"mvex", *mehd, *trexs))


def _mvhd(next_track_id: int, ending: Ending | None) -> bytes:
    """Version 1, in milliseconds (8.2.2)."""
    duration = 0 if ending is None else ending.duration_ms
    times = struct.pack(">IQQIQ", 1 << 24, 0, 0, 1000, duration)
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    return boxes.make(
        b"mvhd", times, struct.pack(">IH10x", 0x10000, 0x100), matrix, struct.pack(">24xI", next_track_id)
    )


def _moov_body(init: bytes) -> bytes:
    moov = boxes.find(init, (b"moov",))
    return init[moov.body : moov.end]


def _cut(data: bytes, *path: bytes) -> bytes:
    found = boxes.find(data, path)
    return data[found.start : found.end]


def _trak(moov: bytes, later_inits: Sequence[bytes]) -> bytes:
    """The track's own box, with the sample entries of its later init segments behind the first one's."""
    trak = _cut(moov, b"trak")
    if not later_inits:
        return trak
    bodies = [_moov_body(init) for init in later_inits]
    entries = b"".join(_stsd_entries(body) for body in bodies)
    return boxes.edit(
        trak, _STSD, lambda stsd: _ENTRY_COUNT.pack(0, 1 + len(bodies)) + stsd[_ENTRY_COUNT.size :] + entries
    )


def _stsd_entries(moov: bytes) -> bytes:
    """The one sample entry of an init segment."""
    stsd = boxes.find(moov, _STSD)
    return moov[stsd.body + _ENTRY_COUNT.size : stsd.end]


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
    head = struct.pack(">IIIQQHH", 1 << 24, ending.track_id, ending.timescale, points[0].tfdt,
                       points[0].offset - position - size, 0, len(references))  # fmt: skip
    return boxes.make(b"sidx", head, *references)
