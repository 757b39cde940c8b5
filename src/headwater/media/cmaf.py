"""What leaves the packager: init segments, segments and their parts, for the origin and the recorder.

Per track, in order: InitSegment, SegmentOpened, Part, Part, ..., SegmentClosed, SegmentOpened, ...
Outputs of several tracks interleave; `Playable` comes once, when a player could start.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from headwater.media.track import Track


@dataclass(frozen=True, slots=True)
class InitSegment:
    """ftyp + moov of one track (EXT-X-MAP). A new version comes only when the configuration's bytes change.

    Attributes:
        track: The track as configured; `track.id` names it.
        version: 0, 1, 2, ... per track.
        timescale: Ticks per second of this track's parts and segments.
        data: The bytes.
    """

    track: Track
    version: int
    timescale: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SegmentOpened:
    """The next segment of a track begins.

    Attributes:
        track_id: Which track.
        msn: Media sequence number; the same for segments that belong together across tracks.
        init_version: The InitSegment.version that decodes it.
        discontinuity: EXT-X-DISCONTINUITY stands before it.
        program_date_time_ms: Wall time of its first sample, milliseconds since the Unix epoch.
        tfdt: Decode time of its first sample, in the track's timescale.
    """

    track_id: int
    msn: int
    init_version: int
    discontinuity: bool
    program_date_time_ms: int
    tfdt: int


@dataclass(slots=True, eq=False)
class Part:
    """One EXT-X-PART: a whole fragment (moof + mdat).

    Attributes:
        track_id: Which track.
        msn: The segment that it belongs to.
        index: 0, 1, 2, ... within its segment.
        tfdt: Decode time of its first sample, in the track's timescale.
        duration: Sum of its samples' durations, in the track's timescale.
        independent: Starts with a sync sample.
        size: Length of `data` in bytes; stays when `data` is gone.
        data: The bytes; None once they have left memory and are on disk only.
        offset: Where the bytes stand in the session's recording file; None where nothing records.
    """

    track_id: int
    msn: int
    index: int
    tfdt: int
    duration: int
    independent: bool
    size: int
    data: bytes | None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class SegmentClosed:
    """A segment is complete: its parts are all there.

    One without any part is a gap: no media of this track came for its time (EXT-X-GAP).

    Attributes:
        duration: Sum of its parts' durations, in the track's timescale.
    """

    track_id: int
    msn: int
    duration: int


@dataclass(frozen=True, slots=True)
class Playable:
    """The first playlist may be shown; these figures never change afterwards in this session.

    Attributes:
        target_duration_s: EXT-X-TARGETDURATION, the same for every track.
        part_target_ms: PART-TARGET by track id: the longest part of that track, milliseconds with fraction.
        track_ids: The tracks that take part, in order.
    """

    target_duration_s: int
    part_target_ms: dict[int, float]
    track_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PackagerWarning:
    """Something in the media that the owner should know: a code and a sentence."""

    code: str
    message: str


Output: TypeAlias = InitSegment | SegmentOpened | Part | SegmentClosed | Playable | PackagerWarning
