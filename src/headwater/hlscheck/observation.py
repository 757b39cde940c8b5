"""What the probe saw, as plain data, for the rules to judge: exchanges, snapshots of playlists, resources, probes.

Times are seconds of one monotonic clock unless a name says `wall` (seconds since the Unix epoch).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum

from headwater.hlscheck.mp4 import InitInfo, MediaInfo
from headwater.hlscheck.playlist import (
    ByteRange,
    MediaPlaylist,
    MediaTag,
    MultivariantPlaylist,
    Part,
    PreloadHint,
    Segment,
    Variant,
)
from headwater.hlscheck.urls import join


@dataclass(slots=True)
class Exchange:
    """One HTTP request and what came back.

    Attributes:
        status: 0 where no response came; `error` then says why.
        headers: Names in lower case; repeated fields joined with a comma.
        http_version: As the client library names it: `HTTP/1.1`, `HTTP/2`.
        body: Decoded (gzip undone); emptied once a resource was read.
        size: Bytes of the decoded body, also after it was emptied.
        truncated: The size limit of the request cut it.
        sent_at, head_at, first_byte_at, last_byte_at: Request sent, response header read, first and last body byte.
        wall_at: Wall time when the response header was read.
    """

    url: str
    method: str = "GET"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    http_version: str = ""
    body: bytes = b""
    size: int = 0
    truncated: bool = False
    error: str | None = None
    sent_at: float = 0.0
    head_at: float = 0.0
    first_byte_at: float = 0.0
    last_byte_at: float = 0.0
    wall_at: float = 0.0

    @property
    def ok(self) -> bool:
        return self.error is None and self.status in (200, 206) and not self.truncated

    @property
    def server_date(self) -> float | None:
        """The Date field as wall time (whole seconds), None where it is missing or unreadable."""
        try:
            return parsedate_to_datetime(self.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None

    def describe(self) -> str:
        return self.error or f"HTTP {self.status}"


@dataclass(slots=True, eq=False)
class Snapshot:
    """One load of a media playlist without `_HLS_skip`.

    Attributes:
        asked: The (`_HLS_msn`, `_HLS_part`) of the request, None for one without directives.
    """

    rendition: Rendition
    exchange: Exchange
    playlist: MediaPlaylist
    asked: tuple[int, int | None] | None = None

    @property
    def at(self) -> float:
        return self.exchange.head_at


@dataclass(slots=True, eq=False)
class Delta:
    """A playlist asked for with `_HLS_skip=YES`, the full one before it, and a full one loaded beside it."""

    rendition: Rendition
    exchange: Exchange
    playlist: MediaPlaylist
    base: MediaPlaylist
    full: MediaPlaylist | None


class Kind(StrEnum):
    INIT = "init segment"
    SEGMENT = "segment"
    PART = "part"


@dataclass(slots=True, eq=False)
class Resource:
    """A part, a segment or an init segment that was downloaded.

    Attributes:
        byterange: First and last byte asked for, None for the whole resource.
        whole_came: The server answered a byte range with the whole resource; the range was cut out of it here.
        line: Of the tag or URI in the snapshot where it was first seen.
        hinted: The request was made for an EXT-X-PRELOAD-HINT, before the part was listed.
        media, init: What it holds, where it is ISO BMFF and could be read.
        media_error: Why it could not be read.
        encrypted: EXT-X-KEY applies; its samples cannot be compared.
    """

    rendition: Rendition
    kind: Kind
    url: str
    exchange: Exchange
    line: int = 0
    byterange: tuple[int, int] | None = None
    whole_came: bool = False
    msn: int = -1
    part_index: int = -1
    listed: Part | Segment | None = None
    hinted: bool = False
    media: MediaInfo | None = None
    init: InitInfo | None = None
    media_error: str | None = None
    encrypted: bool = False


@dataclass(slots=True, eq=False)
class HintRequest:
    """A request for a hinted resource, sent as soon as the hint was seen; `exchange` is None while it is under way."""

    hint: PreloadHint
    snapshot: Snapshot
    exchange: Exchange | None = None


class ProbeKind(StrEnum):
    """The single questions that the probe asks a server beside following the stream."""

    PART_WITHOUT_MSN = "_HLS_part without _HLS_msn"
    FAR_MSN = "_HLS_msn far in the future"
    FAR_PART = "_HLS_part beyond the advance part limit"
    OLD_MSN = "_HLS_msn of a segment that is there"
    PAST_LAST_PART = "_HLS_part past the last part of a complete segment"
    HEAD_PLAYLIST = "HEAD of a media playlist"
    HEAD_MEDIA = "HEAD of a segment"
    NEVER_HINTED = "a part that was never hinted"
    REMOVED_PART = "a part after it left the playlist"
    REMOVED_SEGMENT = "a segment after it left the playlist"
    ENDED_DIRECTIVES = "directives after EXT-X-ENDLIST"


@dataclass(slots=True, eq=False)
class Probe:
    """One such question.

    Attributes:
        playlist: The response read as a media playlist, where it is one.
        before: The newest playlist of the rendition when the question was asked.
        beside: A GET to compare a HEAD with.
        age: Seconds since the resource left the playlist.
        asked: (`_HLS_msn`, `_HLS_part`).
    """

    kind: ProbeKind
    rendition: Rendition
    exchange: Exchange
    before: MediaPlaylist
    playlist: MediaPlaylist | None = None
    beside: Exchange | None = None
    age: float = 0.0
    asked: tuple[int, int | None] | None = None


@dataclass(slots=True, eq=False)
class Rendition:
    """One media playlist and all that was loaded of it.

    Attributes:
        name: For people: how the multivariant playlist speaks of it.
        kind: `main`, `audio`, `video`, `subtitles` or `i-frames`.
        variants, tags: Where the multivariant playlist names it.
    """

    name: str
    url: str
    kind: str = "main"
    variants: list[Variant] = field(default_factory=list)
    tags: list[MediaTag] = field(default_factory=list)
    snapshots: list[Snapshot] = field(default_factory=list)
    deltas: list[Delta] = field(default_factory=list)
    parts: dict[tuple[int, int], Resource] = field(default_factory=dict)
    segments: dict[int, Resource] = field(default_factory=dict)
    inits: dict[tuple[str, ByteRange | None], Resource] = field(default_factory=dict)
    hints: dict[tuple[str, int], HintRequest] = field(default_factory=dict)
    probes: list[Probe] = field(default_factory=list)
    failures: list[Exchange] = field(default_factory=list)
    _listed: dict[int, Segment] = field(default_factory=dict)
    _indexed: int = 0

    def listed(self, msn: int) -> Segment | None:
        """A segment as the newest playlist that has it lists it, the open one included."""
        for snapshot in self.snapshots[self._indexed :]:
            self._listed.update((s.msn, s) for s in snapshot.playlist.all_segments)
        self._indexed = len(self.snapshots)
        return self._listed.get(msn)

    @property
    def newest(self) -> MediaPlaylist | None:
        return self.snapshots[-1].playlist if self.snapshots else None

    def resolve(self, uri: str) -> str:
        return join(self.url, uri)

    @property
    def resources(self) -> list[Resource]:
        return [*self.inits.values(), *self.segments.values(), *self.parts.values()]


@dataclass(slots=True, eq=False)
class Observation:
    """Everything that one check saw.

    Attributes:
        notes: What limits kept from being looked at, in sentences.
    """

    url: str
    multivariant: MultivariantPlaylist | None = None
    multivariant_exchange: Exchange | None = None
    renditions: list[Rendition] = field(default_factory=list)
    started_at: float = 0.0
    ended_at: float = 0.0
    notes: list[str] = field(default_factory=list)

    @property
    def snapshots(self) -> list[Snapshot]:
        return [s for r in self.renditions for s in r.snapshots]

    @property
    def live(self) -> bool:
        """Whether the first load of some rendition had no EXT-X-ENDLIST."""
        return any(r.snapshots and not r.snapshots[0].playlist.ended for r in self.renditions)

    @property
    def low_latency(self) -> bool:
        return any(s.playlist.low_latency for s in self.snapshots)
