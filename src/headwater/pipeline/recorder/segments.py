"""A segment of a recording while its fragments come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.pipeline.recorder.records import OpenRecord, SegmentRecord


@dataclass(slots=True)
class OpenSegment:
    """What is known of it so far.

    Attributes:
        start: Where its first moof stands in the file.
        extents: Where its parts stand, adjacent ones merged.
    """

    opened: OpenRecord
    start: int = 0
    extents: list[tuple[int, int]] = field(default_factory=list)

    def add(self, start: int, offset: int, size: int) -> None:
        """Note a part: its moof stands at `start`, the bytes that viewers get at `offset`."""
        if not self.extents:
            self.start = start
        if self.extents and sum(self.extents[-1]) == offset:
            self.extents[-1] = (self.extents[-1][0], self.extents[-1][1] + size)
        else:
            self.extents.append((offset, size))

    def closed(self, duration: int) -> SegmentRecord:
        """The segment as the index has it; `duration` in the track's timescale."""
        opened = self.opened
        return SegmentRecord(
            opened.track_id,
            opened.msn,
            opened.tfdt,
            duration,
            opened.init_version,
            opened.discontinuity,
            opened.program_date_time_ms,
            self.start,
            tuple(self.extents),
        )
