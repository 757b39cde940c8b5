"""A segment of a recording while its fragments come in."""

from __future__ import annotations

from dataclasses import dataclass, field

from headwater.pipeline.recorder.records import OpenRecord, SegmentRecord


@dataclass(slots=True)
class OpenSegment:
    """What is known of it so far.

    Attributes:
        extents: Where its parts stand in the file, adjacent ones merged.
    """

    opened: OpenRecord
    extents: list[tuple[int, int]] = field(default_factory=list)

    def add(self, offset: int, size: int) -> None:
        """Note where a part stands."""
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
            tuple(self.extents),
        )
