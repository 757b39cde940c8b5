"""A recording as it lies on disk: what the origin needs to play any part of it.

The file is one fragmented MP4 with every track's parts as the packager made them, in order of arrival, so that a
plain player opens it and each HLS segment is a few byte ranges of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from headwater.media.cmaf import InitSegment


@dataclass(frozen=True, slots=True)
class RecordedSegment:
    """One segment of one track; times in the track's timescale.

    Attributes:
        extents: (offset, size) of its parts in the recording file, adjacent ones merged; empty
            where the track has nothing for this segment (EXT-X-GAP).
    """

    msn: int
    tfdt: int
    duration: int
    init_version: int
    discontinuity: bool
    program_date_time_ms: int
    extents: tuple[tuple[int, int], ...]

    @property
    def size(self) -> int:
        return sum(size for _, size in self.extents)


@dataclass(frozen=True, slots=True)
class RecordedTrack:
    """A track of a recording: its init segments by version, and its segments in order."""

    id: int
    inits: dict[int, InitSegment]
    segments: list[RecordedSegment]

    def span(self) -> tuple[int, float]:
        """Wall time at which its media ends (ms), and how long it plays (s); gaps are no media."""
        end_ms, seconds = 0, 0.0
        for segment in self.segments:
            if segment.extents:
                length = segment.duration / self.inits[segment.init_version].timescale
                seconds += length
                end_ms = max(end_ms, segment.program_date_time_ms + round(length * 1000))
        return end_ms, seconds


@dataclass(frozen=True, slots=True)
class Recording:
    """A session's recording, complete or still growing.

    Attributes:
        path: The MP4 file.
        complete: The session has ended (or was closed by recovery); nothing will be added.
    """

    path: Path
    session_id: str
    target_duration_s: int
    tracks: list[RecordedTrack]
    complete: bool

    @property
    def end_ms(self) -> int:
        """Wall time at which the media of its longest track ends."""
        return max((track.span()[0] for track in self.tracks), default=0)

    @property
    def seconds(self) -> float:
        """How long its longest track plays."""
        return max((track.span()[1] for track in self.tracks), default=0.0)


class RecordingReader(Protocol):
    """Gives a recording's bytes back, also while it grows."""

    @property
    def written(self) -> int:
        """What ends at or before this offset can be read; what lies beyond may still be on its way to the disk."""

    def read(self, extents: Sequence[tuple[int, int]]) -> bytes:
        """Read (offset, size) ranges of the file, joined. Blocks: call it in a thread.

        Raises:
            LimitReached: more than `MAX_READ_BYTES`.
            OperatorError: the file is gone, or does not hold them (yet).
        """

    def recording(self) -> Recording:
        """What has been recorded so far, whole segments only. Blocks: call it in a thread.

        Raises:
            OperatorError: the files cannot be read.
        """
