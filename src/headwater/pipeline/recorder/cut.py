"""A part of a recording as a recording of its own, without decoding anything: clips, and what pauses leave.

    source      ├─I──P──P──I──P──P──I──P──P──I──P──P─┤
    wanted               ╎start           end╎
    cut                 ├I──P──P──I──P──P──I──P──P┤      from a sync sample to a sync sample, around what is wanted

Each span begins with the last sync sample of the picture at or before its start and ends before the first one at or
after its end, so that it decodes on its own and nothing that was asked for is missing. The sound follows the picture,
frame by frame; all tracks move by the same time, so that they stay as much in time as they were. Decode times start at
zero, spans stand one behind the other without a gap. What comes out is laid out as every recording is, and plays, seeks
and recovers likewise.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from headwater.errors import CallerError, LimitReached, OperatorError
from headwater.pipeline.recorder.files import delete, index_path, read_extents
from headwater.pipeline.recorder.head import build_head
from headwater.pipeline.recorder.recording import RecordedSegment, RecordedTrack, Recording
from headwater.pipeline.recorder.records import InitRecord, OpenRecord, PlayableRecord, Record, SessionRecord, box
from headwater.pipeline.recorder.recovery import recover
from headwater.protocols.isobmff.fragment import AUDIO_ROW, DEPENDENT_SAMPLE, SYNC_SAMPLE, VIDEO_ROW, build_fragment
from headwater.protocols.isobmff.reader import Fragment, Sample, read_fragments

Span = tuple[Fraction, Fraction]
"""From, to: seconds since the recording's first sample."""


class NothingThere(CallerError):
    """The spans hold nothing of the recording."""


def seconds_at(recording: Recording, wall_ms: int) -> Fraction:
    """The place of a wall time in a recording, in seconds since its first sample; within a pause, where it ends."""
    leader = _leader(recording)
    timescale = _timescale(leader)
    origin = _origin(recording)
    place = Fraction(0)
    for segment in leader.segments:
        ahead_ms = wall_ms - segment.program_date_time_ms
        length = Fraction(segment.duration, timescale)
        begin = Fraction(segment.tfdt, timescale) - origin
        if ahead_ms < 0:
            return begin
        place = begin + min(Fraction(ahead_ms, 1000), length)
        if Fraction(ahead_ms, 1000) < length:
            return place
    return place


def cut(recording: Recording, spans: Sequence[Span], target: Path, *, max_bytes: int) -> Recording:
    """Write spans of a recording to a new file, whole or not at all. Blocks, for long.

    Args:
        recording: Complete or still growing; it holds what is wanted.
        spans: In order, not overlapping.
        target: Must not exist.
        max_bytes: Of the new file, about.

    Raises:
        NothingThere: the spans lie beyond the recording's end, or are empty.
        LimitReached: `max_bytes`.
        OperatorError: the files cannot be read or written.
    """
    draft = target.with_name(target.name + ".new")
    delete(draft)
    try:
        with draft.open("xb") as file:
            _Cutter(recording, file, max_bytes).write(spans)
        made = recover(draft)
        if made is None:
            raise NothingThere("there is nothing between these times")
        index_path(draft).replace(index_path(target))
        draft.replace(target)
    except OSError as error:
        delete(draft)
        raise OperatorError(f"{target.name} cannot be written: {error.strerror}") from error
    except BaseException:
        delete(draft)
        raise
    return Recording(target, made.session_id, made.target_duration_s, made.tracks, made.complete)


class _Cutter:
    def __init__(self, recording: Recording, file: BinaryIO, max_bytes: int) -> None:
        self._recording = recording
        self._file = file
        self._max_bytes = max_bytes
        self._origin = _origin(recording)
        self._tracks = [track for track in recording.tracks if any(segment.extents for segment in track.segments)]
        self._ends = dict.fromkeys((track.id for track in self._tracks), 0)
        self._sequence = 0
        self._msn = min((track.segments[0].msn for track in self._tracks), default=0)

    def write(self, spans: Sequence[Span]) -> None:
        if not self._tracks:
            raise NothingThere("nothing was recorded")
        inits = [init for track in self._tracks for init in track.inits.values()]
        self._file.write(build_head(inits))
        self._record(SessionRecord(self._recording.session_id))
        self._record(PlayableRecord(self._recording.target_duration_s))
        for init in inits:
            self._record(InitRecord.of(init))
        base = Fraction(0)
        for span in spans:
            start, end = self._bounds(span)
            if start < end:
                self._span(start, end, base - start)
                base += end - start
        self._file.flush()
        os.fsync(self._file.fileno())

    def _bounds(self, span: Span) -> Span:
        """The sync samples around a span, in seconds of the recording's own decode times."""
        leader = _leader(self._recording)
        timescale = _timescale(leader)
        wanted = span[0] + self._origin, span[1] + self._origin
        last = leader.segments[-1]
        limit = Fraction(last.tfdt + last.duration, timescale)
        if wanted[0] >= min(limit, wanted[1]):
            return limit, limit
        if not leader.inits[max(leader.inits)].track.is_video:
            return wanted[0], min(wanted[1], limit)
        return self._sync_before(leader, wanted[0]), self._sync_after(leader, wanted[1], limit)

    def _sync_before(self, leader: RecordedTrack, at: Fraction) -> Fraction:
        timescale = _timescale(leader)
        for segment in reversed(leader.segments):
            syncs = [Fraction(sample.dts, timescale) for sample in self._syncs(segment, at, timescale)]
            if syncs:
                return syncs[-1]
        # Asked for something before the first: it begins there.
        head = leader.segments[0]
        return Fraction(head.tfdt, timescale)

    def _syncs(self, segment: RecordedSegment, at: Fraction, timescale: int) -> list[Sample]:
        """Sync samples of a segment at or before a time; one that begins after it is not read."""
        if Fraction(segment.tfdt, timescale) > at or not segment.extents:
            return []
        return [s for f in self._fragments(segment)[1] for s in f.samples if s.sync and s.dts <= at * timescale]

    def _sync_after(self, leader: RecordedTrack, at: Fraction, limit: Fraction) -> Fraction:
        timescale = _timescale(leader)
        for segment in leader.segments:
            if Fraction(segment.tfdt + segment.duration, timescale) <= at or not segment.extents:
                continue
            for fragment in self._fragments(segment)[1]:
                for sample in fragment.samples:
                    if sample.sync and sample.dts >= at * timescale:
                        return Fraction(sample.dts, timescale)
        return limit

    def _span(self, start: Fraction, end: Fraction, shift: Fraction) -> None:
        """Write what lies between two times, moved by `shift` seconds, in the order of its segments."""
        by_msn: dict[int, list[tuple[RecordedTrack, RecordedSegment]]] = {}
        for track in self._tracks:
            timescale = _timescale(track)
            for segment in track.segments:
                after = Fraction(segment.tfdt + segment.duration, timescale) > start
                if segment.extents and after and Fraction(segment.tfdt, timescale) < end:
                    by_msn.setdefault(segment.msn, []).append((track, segment))
        for msn in sorted(by_msn):
            for track, segment in by_msn[msn]:
                self._segment(track, segment, (start, end), shift)
            self._msn += 1

    def _segment(self, track: RecordedTrack, segment: RecordedSegment, bounds: Span, shift: Fraction) -> None:
        """The samples of a segment that lie within, as one segment of one fragment for each sample entry."""
        timescale = _timescale(track)
        first, end = -(-bounds[0] * timescale // 1), -(-bounds[1] * timescale // 1)
        moved = round(shift * timescale)
        data, fragments = self._fragments(segment)
        opened = False
        for fragment in fragments:
            kept = [s for s in fragment.samples if first <= s.dts < end and s.dts + moved >= self._ends[track.id]]
            if not kept:
                continue
            if not opened:
                self._open(track, segment, kept[0].dts, moved, timescale)
                opened = True
            self._fragment(track, fragment, kept, moved, data)
            self._ends[track.id] = kept[-1].dts + kept[-1].duration + moved

    def _open(self, track: RecordedTrack, segment: RecordedSegment, dts: int, moved: int, timescale: int) -> None:
        skipped_ms = (dts - segment.tfdt) * 1000 // timescale
        discontinuity = segment.discontinuity and self._sequence > 0
        wall_ms = segment.program_date_time_ms + skipped_ms
        self._record(OpenRecord(track.id, self._msn, segment.init_version, discontinuity, wall_ms, dts + moved))

    def _fragment(
        self, track: RecordedTrack, fragment: Fragment, kept: Sequence[Sample], moved: int, data: bytes
    ) -> None:
        is_video = track.inits[max(track.inits)].track.is_video
        table: list[int] = []
        for sample in kept:
            table += (sample.duration, sample.size)
            if is_video:
                table += (SYNC_SAMPLE if sample.sync else DEPENDENT_SAMPLE, sample.composition_offset)
        view = memoryview(data)
        self._sequence += 1
        self._write(
            build_fragment(
                self._sequence,
                track.id,
                fragment.description_index,
                kept[0].dts + moved,
                VIDEO_ROW if is_video else AUDIO_ROW,
                table,
                [bytes(view[sample.offset : sample.offset + sample.size]) for sample in kept],
            )
        )

    def _fragments(self, segment: RecordedSegment) -> tuple[bytes, list[Fragment]]:
        """A segment's bytes and what stands in them."""
        data = read_extents(self._recording.path, segment.extents)
        return data, list(read_fragments(data))

    def _record(self, record: Record) -> None:
        self._write(box(record))

    def _write(self, data: bytes) -> None:
        if self._file.tell() + len(data) > self._max_bytes:
            raise LimitReached("max_bytes", f"the part would be larger than {self._max_bytes} bytes")
        self._file.write(data)


def _leader(recording: Recording) -> RecordedTrack:
    """The track by whose sync samples is cut: the first with pictures, else the first that has anything."""
    tracks = [track for track in recording.tracks if any(segment.extents for segment in track.segments)]
    if not tracks:
        raise NothingThere("nothing was recorded")
    return min(tracks, key=lambda track: (not track.inits[max(track.inits)].track.is_video, track.id))


def _timescale(track: RecordedTrack) -> int:
    return track.inits[max(track.inits)].timescale


def _origin(recording: Recording) -> Fraction:
    """Decode time of the first sample, in seconds."""
    return min(
        (Fraction(track.segments[0].tfdt, _timescale(track)) for track in recording.tracks if track.segments),
        default=Fraction(0),
    )
