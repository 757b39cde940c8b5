"""Samples in, parts and segments of one track out.

The decode time line has no holes: a sample begins where the one before ends. The true time of a sample, which its
clock tells, decides when it is shown: where it differs from the decode time, the composition offset makes up for it,
and the next sample's duration brings the two together again. So a part can be closed, with its last sample at the
nominal duration, the moment that sample is there, whatever comes next; and a pause of the publisher's does not make
a player wait for the next sync sample, as a hole in decode times does.

    true times      |  a  |  b  |  c        |  d  |         (c came, d was expected, d is late)
    decode times    |  a  |  b  |  c  || d        |  e      (|| part closed at c; d shown late by its offset)
"""

from __future__ import annotations

from headwater.media.cmaf import Output, Part, SegmentClosed, SegmentOpened
from headwater.protocols.isobmff.fragment import AUDIO_ROW, DEPENDENT_SAMPLE, SYNC_SAMPLE, VIDEO_ROW, build_fragment

LEAST_PART_PERCENT = 85
"""A part lasts at least this much of PART-TARGET (RFC 8216bis, 4.4.4.9)."""

PART_TOLERANCE_MS = 1
"""333 ms is meant to hold ten frames of 33.33 ms."""

_SLACK = 500
"""PART-TARGET is 1/500 above a whole number of frames: a clock that leans must not cost a frame."""

NEVER = 1 << 62


class Sequence:
    """Counts the fragments of a session, over all its tracks."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = 0


class TrackWriter:
    """Builds parts and segments. All times are in the track's timescale.

    Attributes:
        end: Decode time behind the last sample.
        limit: PART-TARGET, 0 until `set_part_target`.
        segment_start: Decode time of the open segment's first sample.
        segment_end: No sample may reach beyond; `-1` where no segment is open.
        msn: Of the open segment, or of the last one.
        next_msn: Of the segment to be opened next; None before the first.
        closed: How many segments are complete.
        independent: The open part starts with a sync sample.
        opened_ms: When the open part's first sample came.
        parts_size, parts_samples: Bytes and samples of all complete parts, without their headers.
        parameter_sets: Put in front of sync samples.
    """

    __slots__ = (
        "_bound", "_filled", "_index", "_least", "_out", "_payloads", "_row", "_sequence", "_start", "_table", "closed",
        "description_index", "end", "independent", "limit", "msn", "next_msn", "opened_ms", "parameter_sets",
        "parts_samples", "parts_size", "segment_end", "segment_start", "timescale", "track_id",
    )  # fmt: skip

    def __init__(self, track_id: int, *, video: bool, timescale: int, sequence: Sequence, out: list[Output]) -> None:
        self.track_id = track_id
        self.timescale = timescale
        self._row = VIDEO_ROW if video else AUDIO_ROW
        self._sequence = sequence
        self._out = out
        self._table: list[int] = []
        self._payloads: list[bytes] = []
        self._start = self._bound = self._index = self._filled = self._least = 0
        self.limit = self.end = self.segment_start = self.opened_ms = self.closed = self.msn = 0
        self.parts_size = self.parts_samples = 0
        self.segment_end = -1
        self.next_msn: int | None = None
        self.description_index = 1
        self.independent = False
        self.parameter_sets = b""

    def set_part_target(self, frame: int, part_target_ms: int) -> None:
        """Fix PART-TARGET: the longest whole number of frames within the wish, one at least."""
        wished = (part_target_ms + PART_TOLERANCE_MS) * self.timescale // 1000
        whole = max(1, wished // frame) * frame
        self.limit = whole + whole // _SLACK + 1
        self._least = -(-self.limit * LEAST_PART_PERCENT // 100)

    @property
    def has_samples(self) -> bool:
        """A part is open."""
        return bool(self._table)

    @property
    def next_start(self) -> int:
        """Decode time at which a segment would begin that is opened now."""
        return self._start if self._table else self.end

    @property
    def segment_ms(self) -> float:
        """Duration of the open segment so far."""
        return (self.end - self.segment_start) * 1000 / self.timescale if self.segment_end >= 0 else 0

    @property
    def part_elapsed(self) -> int:
        """Duration of the open part so far."""
        return self.end - self._start

    @property
    def part_remaining(self) -> int:
        """Until the open part, or the next one, is complete."""
        return self._bound - self.end if self._table else self.limit

    @property
    def taken(self) -> tuple[int, int]:
        """Samples and their bytes, so far."""
        open_samples = len(self._payloads)
        return self.parts_samples + open_samples, self.parts_size + sum(map(len, self._payloads))

    def is_full(self, time: int, frame: int) -> bool:
        """A sample of this true time has no room in the open segment."""
        return self.end + frame > self.segment_end or bool(self._table and time >= self._bound >= self.segment_end)

    def add(self, time: int, offset: int, sync: bool, payload: bytes, frame: int, now_ms: int) -> None:
        """Take one sample; an open segment is there for it.

        Args:
            time: Its true decode time.
            offset: Its composition offset to that.
            frame: How long it probably lasts.
        """
        table = self._table
        if table and time != self.end:
            self._meet(time)
            table = self._table
        end = self.end
        if not table:
            self._start = end
            self._bound = min(end + self.limit, self.segment_end)
            self.independent = sync
            self.opened_ms = now_ms
        bound = self._bound
        expected = time + frame
        until = expected if end < expected <= bound else min(max(expected, end + 1), max(bound, end + 1))
        if self._row == VIDEO_ROW:
            if sync and self.parameter_sets:
                payload = self.parameter_sets + payload
            table += (until - end, len(payload), SYNC_SAMPLE if sync else DEPENDENT_SAMPLE, offset + time - end)
        else:
            table += (until - end, len(payload))
        self._payloads.append(payload)
        self.end = until
        if expected + frame > bound:
            self._lengthen(min(max(until, self._start + self._least), max(bound, until)))
            self._close_part()

    def _meet(self, time: int) -> None:
        """Let the open part's last sample last until the true time of the next, as far as the part's bound."""
        last_start = self.end - self._table[-self._row]
        self._lengthen(min(max(time, last_start + 1), self._bound))
        if time >= self._bound:
            self._close_part()

    def _lengthen(self, end: int) -> None:
        self._table[-self._row] += end - self.end
        self.end = end

    def finish_part(self, time: int | None = None) -> None:
        """Close the open part, if any: at `time`, as far as its bound allows, or where it is."""
        if self._table:
            if time is not None and time != self.end:
                last_start = self.end - self._table[-self._row]
                self._lengthen(min(max(time, last_start + 1), self._bound))
            self._close_part()

    def finish_part_at_bound(self) -> None:
        """Close the open part at its full length: the clock says that its time has passed."""
        self._lengthen(self._bound)
        self._close_part()

    def skip_to(self, time: int) -> None:
        """Leave a hole: the next sample's decode time is `time`, or the end of the last if that is later.

        What fits into the open part, its last sample lasts longer: players see no hole.
        """
        self.finish_part(max(time, self.end))
        self.end = max(self.end, time)

    def _close_part(self) -> None:
        table, start = self._table, self._start
        sequence = self._sequence
        sequence.last += 1
        data = build_fragment(
            sequence.last, self.track_id, self.description_index, start, self._row, table, self._payloads
        )
        self._out.append(
            Part(self.track_id, self.msn, self._index, start, self.end - start, self.independent, len(data), data)
        )
        self._index += 1
        self._filled += self.end - start
        self.parts_samples += len(self._payloads)
        self.parts_size += sum(map(len, self._payloads))
        self._table = []
        self._payloads = []

    def open_segment(
        self, msn: int, *, init_version: int, discontinuity: bool, program_date_time_ms: int, longest: int
    ) -> None:
        """Begin a segment at the end of what is there; it may last `longest`."""
        start = self.next_start
        self.msn, self.next_msn = msn, msn + 1
        self._index = self._filled = 0
        self.segment_start, self.segment_end = start, start + longest
        if self._table:
            self._bound = min(start + self.limit, self.segment_end)
        self._out.append(SegmentOpened(self.track_id, msn, init_version, discontinuity, program_date_time_ms, start))

    def close_segment(self, gap: int = 1) -> None:
        """End the open segment; what has not become a part belongs to the next one. Without parts it is a `gap`."""
        duration = self._filled if self._index else gap
        self._out.append(SegmentClosed(self.track_id, self.msn, duration))
        self.segment_end = -1
        self.closed += 1

    def limit_segment(self, longest: int) -> None:
        """The open segment may now last `longest`."""
        if self.segment_end >= 0:
            self.segment_end = self.segment_start + longest

    def split(self, time: int) -> bool:
        """Cut the open part in front of its first sample at or after `time`, if it has one.

        What comes before becomes a part; the rest stays open, for the next segment. False: it has no such sample.
        """
        row, table = self._row, self._table
        at, index = self._start, 0
        while index < len(table) and at < time:
            at += table[index]
            index += row
        if index >= len(table):
            return False
        if index:
            rest, payloads, end = table[index:], self._payloads[index // row :], self.end
            self._table, self._payloads, self.end = table[:index], self._payloads[: index // row], at
            self._close_part()
            self._table, self._payloads, self.end, self._start = rest, payloads, end, at
            self.independent = row == AUDIO_ROW or rest[2] == SYNC_SAMPLE
        return True
