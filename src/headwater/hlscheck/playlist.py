"""What a playlist says, as this check reads it: typed tags with their line numbers.

Field comments name the tag. Line numbers start at 1. Absent optional values are None. Nothing here judges:
what is wrong with the text is a `Problem` beside the playlist, what is wrong with its meaning is for `rules`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Problem:
    """A breach of the playlist syntax.

    Attributes:
        rule: The id of the syntax rule (see `rules.syntax`).
        line: Where, counted from 1.
        text: What is wrong, one sentence.
    """

    rule: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class ByteRange:
    """`<length>[@<offset>]`; offset is None where it goes on from the sub-range before."""

    length: int
    offset: int | None


@dataclass(frozen=True, slots=True)
class Map:
    """EXT-X-MAP."""

    line: int
    uri: str
    byterange: ByteRange | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """EXT-X-PART; durations in seconds."""

    line: int
    uri: str
    duration: float
    independent: bool = False
    gap: bool = False
    byterange: ByteRange | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A media segment and the tags that apply to it; the open parent segment at the end has neither uri nor duration.

    Attributes:
        msn: Media sequence number.
        discontinuity_number: EXT-X-DISCONTINUITY-SEQUENCE plus the discontinuities up to and with this segment's.
        line: Of the URI line, or of the last tag for the open segment.
        late_tags: (line, tag) of EXT-X-MAP, -KEY, -DISCONTINUITY and -PROGRAM-DATE-TIME after its first part.
        program_date_time: Only where the tag stands at this segment.
        map: The one in force.
        encryption: METHOD of the EXT-X-KEY in force, None for none.
    """

    msn: int
    discontinuity_number: int
    line: int
    uri: str | None = None
    duration: float | None = None
    parts: tuple[Part, ...] = ()
    discontinuity: bool = False
    program_date_time: datetime | None = None
    program_date_time_line: int | None = None
    map: Map | None = None
    encryption: str | None = None
    gap: bool = False
    byterange: ByteRange | None = None
    late_tags: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ServerControl:
    """EXT-X-SERVER-CONTROL; `attributes` are the raw name and value pairs, for comparison between renditions."""

    line: int
    can_block_reload: bool = False
    can_skip_until: float | None = None
    can_skip_dateranges: bool = False
    hold_back: float | None = None
    part_hold_back: float | None = None
    attributes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Skip:
    """EXT-X-SKIP."""

    line: int
    skipped_segments: int


@dataclass(frozen=True, slots=True)
class PreloadHint:
    """EXT-X-PRELOAD-HINT."""

    line: int
    type: str
    uri: str
    byterange_start: int = 0
    byterange_length: int | None = None


@dataclass(frozen=True, slots=True)
class RenditionReport:
    """EXT-X-RENDITION-REPORT."""

    line: int
    uri: str
    last_msn: int | None
    last_part: int | None


@dataclass(slots=True)
class MediaPlaylist:
    """A media playlist.

    Attributes:
        segments: In order, those with a URI; after an EXT-X-SKIP only those that were not skipped.
        open_segment: The parts after the last URI, as the parent segment that is still growing.
        features: (least EXT-X-VERSION, line, what asks for it) of draft clause 8.
        tag_lines: Line of the first occurrence of every tag.
    """

    lines: int = 0
    version: int | None = None
    target_duration: int | None = None
    media_sequence: int = 0
    discontinuity_sequence: int = 0
    endlist_line: int | None = None
    playlist_type: str | None = None
    i_frames_only: bool = False
    independent_segments: bool = False
    part_target: float | None = None
    server_control: ServerControl | None = None
    skip: Skip | None = None
    skip_count: int = 0
    segments: tuple[Segment, ...] = ()
    open_segment: Segment | None = None
    preload_hints: tuple[PreloadHint, ...] = ()
    rendition_reports: tuple[RenditionReport, ...] = ()
    dateranges: int = 0
    features: tuple[tuple[int, int, str], ...] = ()
    tag_lines: dict[str, int] = field(default_factory=dict)
    unknown_tags: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.endlist_line is not None

    @property
    def all_segments(self) -> tuple[Segment, ...]:
        """The segments, with the open one last where there is one."""
        return (*self.segments, self.open_segment) if self.open_segment else self.segments

    @property
    def low_latency(self) -> bool:
        return self.part_target is not None or any(s.parts for s in self.all_segments)

    @property
    def last_msn(self) -> int | None:
        """MSN of the last complete segment; None for an empty playlist."""
        if self.segments:
            return self.segments[-1].msn
        return self.media_sequence + self.skip.skipped_segments - 1 if self.skip else None

    @property
    def last_part(self) -> tuple[int, int] | None:
        """(MSN, part index) of the newest part, None where no part is listed."""
        for segment in reversed(self.all_segments):
            if segment.parts:
                return segment.msn, len(segment.parts) - 1
        return None

    @property
    def next_request(self) -> tuple[int, int | None]:
        """(`_HLS_msn`, `_HLS_part`) that a player asks for next (6.3.8); part None where there are no parts."""
        following = (self.last_msn + 1) if self.last_msn is not None else self.media_sequence
        if not self.low_latency:
            return following, None
        return (following, len(self.open_segment.parts)) if self.open_segment else (following, 0)

    @property
    def duration(self) -> float:
        """Seconds of the complete segments that are listed."""
        return sum(s.duration or 0.0 for s in self.segments)


@dataclass(frozen=True, slots=True)
class Variant:
    """EXT-X-STREAM-INF, or EXT-X-I-FRAME-STREAM-INF where `i_frame`; bandwidths in bits per second."""

    line: int
    uri: str
    bandwidth: int | None
    average_bandwidth: int | None = None
    codecs: tuple[str, ...] = ()
    resolution: tuple[int, int] | None = None
    frame_rate: float | None = None
    audio: str | None = None
    video: str | None = None
    subtitles: str | None = None
    closed_captions: str | None = None
    i_frame: bool = False


@dataclass(frozen=True, slots=True)
class MediaTag:
    """EXT-X-MEDIA."""

    line: int
    type: str
    group_id: str
    name: str
    uri: str | None = None
    language: str | None = None
    default: bool = False
    autoselect: bool = False
    channels: str | None = None


@dataclass(slots=True)
class MultivariantPlaylist:
    """A multivariant playlist; `variables` are those of EXT-X-DEFINE, which media playlists may import."""

    lines: int = 0
    version: int | None = None
    independent_segments: bool = False
    variants: tuple[Variant, ...] = ()
    media: tuple[MediaTag, ...] = ()
    features: tuple[tuple[int, int, str], ...] = ()
    tag_lines: dict[str, int] = field(default_factory=dict)
    unknown_tags: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
