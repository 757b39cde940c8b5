"""Reads a recording's files: the index as far as it goes, and the MP4 from there on.

Nothing is changed on the disk; `recovery.py` does that.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from headwater.errors import OperatorError, ProtocolError
from headwater.media.cmaf import InitSegment
from headwater.pipeline.recorder.files import index_path
from headwater.pipeline.recorder.fragments import read_fragment_info
from headwater.pipeline.recorder.head import HEAD_SIZE
from headwater.pipeline.recorder.recording import RecordedTrack, Recording
from headwater.pipeline.recorder.records import (
    LAYOUT_VERSION,
    MAX_RECORD_SIZE,
    RECORD_UUID,
    UUID_HEADER_SIZE,
    EndRecord,
    InitRecord,
    OpenRecord,
    PlayableRecord,
    Record,
    SegmentRecord,
    SessionRecord,
    unframe,
    unframe_all,
)
from headwater.pipeline.recorder.segments import OpenSegment
from headwater.protocols.isobmff.reader import Box, read_box_header

MAX_INDEX_SIZE = 256 * 1024 * 1024  # a day of two tracks in 2 s segments takes 6 MB
MAX_MOOF_SIZE = 1024 * 1024  # a part holds some hundred samples of 16 bytes at most
_SKIPPED = frozenset((b"free", b"skip", b"styp", b"sidx", b"prft", b"emsg", b"mfra"))


@dataclass(slots=True)
class Survey:
    """What a recording's files hold.

    Attributes:
        inits: By track id, then version.
        segments: By track id, in order.
        indexed: How many records of each track's `segments` the index has.
        unindexed: What else the index does not have, from the MP4.
        index_end: The index is intact up to here; 0 where it cannot be used at all.
        media_end: The MP4 is intact up to here.
        ended: The size that the MP4 had when the recording was completed; None where it was not.
    """

    path: Path
    session_id: str = ""
    target_duration_s: int = 0
    inits: dict[int, dict[int, InitSegment]] = field(default_factory=dict)
    segments: dict[int, list[SegmentRecord]] = field(default_factory=dict)
    indexed: dict[int, int] = field(default_factory=dict)
    unindexed: list[InitRecord | PlayableRecord] = field(default_factory=list)
    index_end: int = 0
    media_end: int = HEAD_SIZE
    ended: int | None = None

    def take(self, record: Record) -> None:
        """Note what one record says."""
        match record:
            case SessionRecord():
                self.session_id = record.session_id
            case InitRecord():
                init = record.init_segment()
                self.inits.setdefault(init.track.id, {})[init.version] = init
            case SegmentRecord():
                self.segments.setdefault(record.track_id, []).append(record)
            case PlayableRecord():
                self.target_duration_s = record.target_duration_s
            case EndRecord():
                self.ended = record.file_size

    def recording(self) -> Recording:
        """What it comes to, for the origin."""
        tracks = [
            RecordedTrack(track_id, inits, [record.recorded() for record in self.segments.get(track_id, ())])
            for track_id, inits in sorted(self.inits.items())
        ]
        return Recording(self.path, self.session_id, self._target_duration_s(), tracks, self.ended is not None)

    def _target_duration_s(self) -> int:
        """As announced; where the session ended before that, what its segments need (RFC 8216, 4.3.3.1: rounded)."""
        if self.target_duration_s:
            return self.target_duration_s
        longest = 1.0
        for track_id, records in self.segments.items():
            timescale = max(init.timescale for init in self.inits[track_id].values())
            longest = max([longest, *(record.duration / timescale for record in records)])
        return int(longest + 0.5)


def survey(path: Path, *, index_only: bool = False) -> Survey:
    """Read what a recording holds. Blocks.

    Args:
        path: The MP4.
        index_only: Leave out what the index does not have yet.

    Raises:
        OperatorError: the files cannot be read, or are no recording.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            found = _read_index(path, size)
            if index_only or (found.ended is not None and found.ended == size):
                found.media_end = size
            else:
                found.ended = None
                _Scan(found, file, size).run()
    except OSError as error:
        raise OperatorError(f"{path.name} cannot be read: {error.strerror}") from error
    if not found.session_id:
        raise OperatorError(f"{path.name} is damaged, or no recording: neither its index nor its records can be read")
    return found


def indexed(path: Path) -> Survey:
    """What the index of a complete recording says; the MP4 may be elsewhere. Blocks.

    Raises:
        OperatorError: it cannot be read, or is not complete.
    """
    try:
        found = _read_index(path, sys.maxsize)
    except OSError as error:
        raise OperatorError(f"{path.name} cannot be read: {error.strerror}") from error
    if not found.session_id or found.ended is None:
        raise OperatorError(f"the index of {path.name} is not complete")
    return found


def _read_index(path: Path, media_size: int) -> Survey:
    """The index as far as it is intact and the MP4 holds what it speaks of."""
    found = Survey(path)
    try:
        with index_path(path).open("rb") as file:
            data = file.read(MAX_INDEX_SIZE)
    except FileNotFoundError:
        return found
    for record, end in unframe_all(data):
        if found.index_end == 0 and not _is_first(record):
            return found
        if isinstance(record, SegmentRecord) and not _is_sound(record, found, media_size):
            break
        found.take(record)
        found.index_end = end
    found.indexed = {track_id: len(records) for track_id, records in found.segments.items()}
    return found


def _is_first(record: Record) -> bool:
    return isinstance(record, SessionRecord) and record.layout_version == LAYOUT_VERSION


def _is_sound(record: SegmentRecord, found: Survey, media_size: int) -> bool:
    return record.end <= media_size and record.init_version in found.inits.get(record.track_id, ())


class _Scan:
    """Goes through the MP4's boxes from where the index does not reach, and adds what it finds to the survey."""

    def __init__(self, found: Survey, file: BinaryIO, size: int) -> None:
        self._found = found
        self._file = file
        self._size = size
        self._open: dict[int, OpenSegment] = {}
        self._durations: dict[int, int] = {}
        self._known = {track_id: max(each.end for each in records) for track_id, records in found.segments.items()}
        self._known_msn = {track_id: records[-1].msn for track_id, records in found.segments.items()}

    def run(self) -> None:
        """Stops at the first box that is cut short or none of ours: what follows is lost.

        Not where the index knows of more behind it, though.
        """
        position = self._boxes(self._start())
        known = max(self._known.values(), default=0)
        if position < known:
            position = self._boxes(known)
        self._found.media_end = position
        for track_id in list(self._open):
            self._close(track_id)

    def _boxes(self, position: int) -> int:
        """Take the boxes from `position` on; where the first stands that cannot be taken."""
        try:
            while position < self._size:
                position = self._box(position)
        except ProtocolError:
            pass
        return position

    def _start(self) -> int:
        """Where the first fragment may stand that the index does not know.

        The tracks' fragments interleave, so it is where the track that is furthest behind has its last known one.
        """
        if any(track_id not in self._known for track_id in self._found.inits):
            return HEAD_SIZE
        return max(HEAD_SIZE, min(self._known.values(), default=HEAD_SIZE))

    def _box(self, position: int) -> int:
        """Take one box; where the next one starts."""
        found = self._header(position)
        if found.kind == b"moof":
            return self._fragment(found)
        if found.kind == b"uuid":
            self._record(found)
        elif found.kind not in _SKIPPED:
            raise ProtocolError("not a box that we write")
        return found.end

    def _header(self, position: int) -> Box:
        """The header of a box that is wholly there."""
        found = read_box_header(self._read(position, 16))
        if found is None or position + found.end > self._size:
            raise ProtocolError("a box is cut short")
        return Box(found.kind, position, position + found.body, position + found.end)

    def _read(self, position: int, size: int) -> bytes:
        self._file.seek(position)
        return self._file.read(size)

    def _record(self, found: Box) -> None:
        data = self._read(found.start, min(found.end - found.start, MAX_RECORD_SIZE))
        if data[8:UUID_HEADER_SIZE] != RECORD_UUID:
            return
        unframed = unframe(data, UUID_HEADER_SIZE)
        if unframed is None:
            raise ProtocolError("a record is damaged")
        record = unframed[0]
        if isinstance(record, OpenRecord):
            if record.msn > self._known_msn.get(record.track_id, -1):
                self._close(record.track_id, record.tfdt)
                self._open[record.track_id] = OpenSegment(record)
                self._durations[record.track_id] = 0
        elif isinstance(record, SessionRecord | InitRecord | PlayableRecord):
            if isinstance(record, SessionRecord) and record.layout_version != LAYOUT_VERSION:
                raise ProtocolError("a layout that is newer than this version")
            self._take(record)

    def _take(self, record: SessionRecord | InitRecord | PlayableRecord) -> None:
        """Note a record; that of the whole recording stands in the index too, if the index got that far."""
        found = self._found
        if isinstance(record, InitRecord) and record.version not in found.inits.get(record.track_id, ()):
            found.unindexed.append(record)
        if isinstance(record, PlayableRecord) and not found.target_duration_s:
            found.unindexed.append(record)
        found.take(record)

    def _fragment(self, found: Box) -> int:
        """Take moof + mdat; where the next box starts."""
        if found.end - found.start > MAX_MOOF_SIZE:
            raise ProtocolError("a fragment's header is too large")
        samples = self._header(found.end)
        if samples.kind != b"mdat":
            raise ProtocolError("a fragment without its samples")
        info = read_fragment_info(self._read(found.body, found.end - found.body))
        opened = self._open.get(info.track_id)
        if opened is not None:
            opened.add(found.start, samples.end - found.start)
            self._durations[info.track_id] += info.duration
        return samples.end

    def _close(self, track_id: int, until: int | None = None) -> None:
        """End a track's open segment: where the next begins (`until`), or with the file.

        One without parts was a gap, or nothing of it came to be; only what follows tells.
        """
        opened = self._open.pop(track_id, None)
        if opened is None or (not opened.extents and until is None):
            return
        gap = 0 if until is None else max(0, until - opened.opened.tfdt)
        record = opened.closed(self._durations[track_id] if opened.extents else gap)
        if record.init_version in self._found.inits.get(track_id, ()):
            self._found.take(record)
