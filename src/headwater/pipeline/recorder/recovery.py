"""Completes a recording: at the end of its session, or when the server starts after a crash."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from headwater.errors import HeadwaterError, OperatorError
from headwater.media.cmaf import InitSegment
from headwater.pipeline.recorder.files import index_path, read_extents
from headwater.pipeline.recorder.head import Ending, SeekPoint, build_head
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.recorder.records import (
    EndRecord,
    Record,
    SegmentRecord,
    SessionRecord,
    frame,
)
from headwater.pipeline.recorder.survey import Survey, survey


def load(path: Path) -> Recording:
    """Read what a recording holds, and change nothing. Blocks.

    Raises:
        OperatorError: the files cannot be read, or are no recording.
    """
    return survey(path).recording()


def recover(path: Path) -> Recording | None:
    """Complete a recording: cut off a torn end, bring its index and its head up to date. Blocks. Idempotent.

    Returns:
        The recording; None where there is none, or nothing was recorded.

    Raises:
        OperatorError: the files are damaged beyond help, or the disk refuses; where it is full, what there is to play
            is given back all the same.
    """
    if not path.exists():
        return None
    found = survey(path)
    if not any(map(_has_media, found.segments.values())):
        return None
    if found.ended is None:
        found.ended = found.media_end
        try:
            _complete(found)
        except OSError:
            # The disk that stopped the recording may be full still. It plays as it is; the next start tries again.
            pass
    return found.recording()


def _complete(found: Survey) -> None:
    """The media before the head, the head before the index that calls it complete."""
    fd = os.open(found.path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.ftruncate(fd, found.media_end)
        os.pwrite(fd, _head(found), 0)
        os.fsync(fd)
    finally:
        os.close(fd)
    _complete_index(found)


def _head(found: Survey) -> bytes:
    inits = [init for versions in found.inits.values() for init in versions.values()]
    try:
        return build_head(inits, _ending(found))
    except HeadwaterError as error:
        raise OperatorError(f"{found.path.name} is damaged: {error}") from error


def _ending(found: Survey) -> Ending:
    tracks = {track_id: records for track_id, records in found.segments.items() if _has_media(records)}
    track_id = min(tracks, key=lambda track_id: (not _newest(found, track_id).track.is_video, track_id))
    records = tracks[track_id]
    return Ending(
        max(_span_ms(found, track_id) for track_id in tracks),
        track_id,
        _newest(found, track_id).timescale,
        [SeekPoint(record.extents[0][0], record.tfdt) for record in records if record.extents],
        records[-1].tfdt + records[-1].duration,
        found.media_end,
    )


def _has_media(records: Sequence[SegmentRecord]) -> bool:
    return any(record.extents for record in records)


def _newest(found: Survey, track_id: int) -> InitSegment:
    versions = found.inits[track_id]
    return versions[max(versions)]


def _span_ms(found: Survey, track_id: int) -> int:
    records = found.segments[track_id]
    ticks = records[-1].tfdt + records[-1].duration - records[0].tfdt
    return ticks * 1000 // _newest(found, track_id).timescale


def _complete_index(found: Survey) -> None:
    """Append what is missing; where nothing of the index can be used, make it anew."""
    assert found.ended is not None, "only what has ended is completed"
    missing: list[Record] = list(found.unindexed)
    for track_id, records in found.segments.items():
        missing += records[found.indexed.get(track_id, 0) :]
    missing.append(EndRecord(found.ended))
    place = index_path(found.path)
    if found.index_end:
        _write(place, missing, keep=found.index_end)
        return
    draft = place.with_name(place.name + ".new")
    _write(draft, [SessionRecord(found.session_id), *missing], keep=0)
    os.replace(draft, place)


def _write(place: Path, records: Sequence[Record], *, keep: int) -> None:
    fd = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    with os.fdopen(fd, "r+b") as file:
        file.truncate(keep)
        file.seek(keep)
        file.write(b"".join(frame(record) for record in records))
        file.flush()
        os.fsync(fd)


class RecordingFile:
    """A recording that has ended, for the origin: a `RecordingReader`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def written(self) -> int:
        """The whole file."""
        return self.path.stat().st_size

    def read(self, extents: Sequence[tuple[int, int]]) -> bytes:
        """See `RecordingReader.read`."""
        return read_extents(self.path, extents)

    def recording(self) -> Recording:
        """See `RecordingReader.recording`."""
        return load(self.path)
