"""What requests carry and answers hold, exactly as the contract types it, per operation.

The documented schema types the same field differently from one operation to the next (`disabled` is a boolean where a
livestream is created and a string where it is read; seconds are strings in one answer and numbers in the others), so
there is one struct for each. Where the documented schema cannot carry what the operation promises (a list of one
object), the struct carries the documented fields and the promised ones beside them.
"""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")

NAME_LIMIT = 255
TITLE_LIMIT = 255
PER_PAGE_DEFAULT = 20
PER_PAGE_LIMIT = 1000
"""A page of that many livestreams is about 500 KB."""

PAGE_NO_LIMIT = 1_000_000

StatusName = Literal["LIVE", "IDLE", "ERRORED", "INVOKED"]
SortOrder = Literal["ASC", "DSC", "DESC"]

Name = Annotated[
    str,
    Meta(
        max_length=NAME_LIMIT,
        description="Letters, digits, `-` and `_`.",
        extra_json_schema={"pattern": "^[a-zA-Z0-9-_]*$"},
    ),
]
PageNo = Annotated[int, Meta(ge=0, le=PAGE_NO_LIMIT, description="The page, counted from 1; 0 is the first too.")]
AppsPageNo = Annotated[int, Meta(ge=1, le=PAGE_NO_LIMIT, description="The page, counted from 1.")]
"""The documented schema demands at least 1 for apps, and for nothing else (for meetings it allows 0)."""

PerPage = Annotated[int, Meta(ge=1, le=PER_PAGE_LIMIT, description="Results of a page.")]
DisabledText = Annotated[str, Meta(description="`disabled`, or empty where the livestream is enabled.")]
IsoTime = Annotated[str, Meta(description="ISO 8601 in UTC.", extra_json_schema={"format": "date-time"})]
TimeText = Annotated[str, Meta(max_length=64, description="ISO 8601 date-time, or Unix seconds.")]
DateText = Annotated[str, Meta(max_length=64, description="YYYY-MM-DD, in UTC.")]


class Answer(Struct, Generic[T]):
    """The envelope of every answer."""

    data: T
    success: bool = True


class Paging(Struct):
    """Offsets count from 1, both inclusive; 0 and 0 on an empty page."""

    total_count: int
    start_offset: int
    end_offset: int


class Page(Struct, Generic[T]):
    """The envelope of a list."""

    data: list[T]
    paging: Paging
    success: bool = True


class ListAnswer(Struct, Generic[T]):
    """The envelope of a list that comes whole."""

    data: list[T]
    success: bool = True


class PagedAnswer(Struct, Generic[T]):
    """The envelope of an answer that holds a page of something."""

    data: T
    paging: Paging
    success: bool = True


class Message(Struct):
    message: str


class NoQuery(Struct):
    """No query parameters; unknown ones are ignored everywhere."""


class PageQuery(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT


# Livestreams


Record = Annotated[
    bool | None, Meta(description="Whether sessions are recorded; null: as the next wider place says (app, server).")
]


class CreateLivestream(Struct):
    name: Name | None = None
    record: Record = None


WIDTHS = (320, 1920)
HEIGHTS = (180, 1080)
"""Least and most of a meeting's picture: what every decoder plays, and what one process encodes in real time."""


def _pixels(least: int, most: int, default: int) -> Meta:
    """Said here, checked by the route, which says all of it where it is wrong."""
    schema = {"minimum": least, "maximum": most, "multipleOf": 2, "default": default}
    return Meta(description="Pixels, even.", extra_json_schema=schema)


class VideoConfig(Struct):
    """Size of a meeting's livestream in pixels."""

    height: Annotated[int, _pixels(*HEIGHTS, 720)] | None = None
    width: Annotated[int, _pixels(*WIDTHS, 1280)] | None = None


class StartLivestream(Struct):
    name: Name | None = None
    video_config: VideoConfig | None = None


class UpdateLivestream(Struct):
    name: Name | UnsetType | None = UNSET
    disabled: bool | UnsetType = UNSET
    record: bool | UnsetType | None = UNSET


class ListLivestreams(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    exclude_meetings: bool = False
    sort_order: SortOrder = "DSC"
    status: StatusName | None = None
    start_time: TimeText | None = None
    end_time: TimeText | None = None


class CreatedLivestream(Struct):
    id: str
    disabled: bool
    ingest_server: str
    meeting_id: str | None
    name: str | None
    playback_url: str
    status: StatusName
    stream_key: str


class StartedLivestream(Struct):
    id: str
    ingest_server: str
    playback_url: str
    status: StatusName
    stream_key: str


class Livestream(Struct):
    """A livestream as every GET shows it; `stream_key` is empty for tokens without the admin permission."""

    id: str
    created_at: IsoTime
    disabled: DisabledText
    ingest_server: str
    meeting_id: str | None
    name: str | None
    playback_url: str
    record: Record
    status: StatusName
    stream_key: str
    updated_at: IsoTime


class LivestreamList(Struct):
    """The first livestream of the page in the documented fields, and the whole page in `livestreams`."""

    paging: Paging
    livestreams: list[Livestream]
    id: str | UnsetType = UNSET
    created_at: IsoTime | UnsetType = UNSET
    disabled: DisabledText | UnsetType = UNSET
    ingest_server: str | UnsetType = UNSET
    meeting_id: str | UnsetType | None = UNSET
    name: str | UnsetType | None = UNSET
    playback_url: str | UnsetType = UNSET
    record: bool | UnsetType | None = UNSET
    status: StatusName | UnsetType = UNSET
    stream_key: str | UnsetType = UNSET
    updated_at: IsoTime | UnsetType = UNSET


class Session(Struct):
    """A session as the livestream's page shows it."""

    id: str
    created_at: IsoTime
    err_message: str | None
    ingest_seconds: float
    invoked_time: IsoTime | None
    livestream_id: str
    started_time: IsoTime
    stopped_time: IsoTime | None
    updated_at: IsoTime
    viewer_seconds: float


class ActiveSession(Struct):
    """The open session: seconds are decimal numbers in strings here."""

    id: str
    created_at: IsoTime
    err_message: str | None
    ingest_seconds: str
    invoked_time: IsoTime | None
    livestream_id: str
    started_time: IsoTime
    stopped_time: IsoTime | None
    updated_at: IsoTime
    viewer_seconds: str


class SessionDetails(Struct):
    """A session by its own id: whole seconds."""

    id: str
    created_at: IsoTime
    err_message: str | None
    ingest_seconds: int
    invoked_time: IsoTime | None
    livestream_id: str
    started_time: IsoTime
    stopped_time: IsoTime | None
    updated_at: IsoTime
    viewer_seconds: int


class LivestreamWithSessions(Struct):
    """`session` is the latest one; `sessions` the page, the latest first."""

    livestream: Livestream
    session: Session | None
    sessions: list[Session]
    paging: Paging


class LivestreamWithActiveSession(Struct):
    livestream: Livestream
    session: ActiveSession


class NewKey(Struct):
    id: str
    ingest_server: str
    stream_key: str


class HealthSample(Struct):
    """One second of media, or some seconds where a long time was asked for: means of rates, the worst of delays.

    `viewers` is null in samples of before it was kept.
    """

    at: IsoTime
    video_bps: int
    audio_bps: int
    frame_rate: float
    keyframe_interval_ms: int
    dropped: int
    jumps: int
    late_ms: int
    rtt_ms: float | None
    viewers: int | None
    audio_peak_db: float | None
    audio_rms_db: float | None


class HealthWarning(Struct):
    """A code that stays, and a sentence that says what to do."""

    code: str
    message: str


class SessionHealth(Struct):
    """How media arrived; `warnings` are those of the last 30 s of it."""

    session_id: str
    encoder: str
    warnings: list[HealthWarning]
    samples: list[HealthSample]


class LogEntry(Struct):
    """One entry of a livestream's event log; `code` is empty where nothing went wrong."""

    id: int
    at: IsoTime
    kind: str
    code: str
    message: str
    session_id: str | None


# Analytics


class TimeRange(Struct):
    start_time: TimeText | None = None
    end_time: TimeText | None = None


class DateRange(Struct):
    start_date: DateText | None = None
    end_date: DateText | None = None


class LivestreamTotals(Struct):
    """`count` is of the livestreams that were broadcast in the time range."""

    count: int
    total_ingest_seconds: int
    total_viewer_seconds: int


class LivestreamDay(Struct):
    """`count` is of the sessions that started on that day."""

    date: str
    count: int
    total_ingest_seconds: int
    total_viewer_seconds: int


class RecordingDay(Struct):
    day: str
    total_recording_minutes: int
    total_recordings: int


class RecordingStats(Struct):
    day_stats: list[RecordingDay]
    recording_count: int
    recording_minutes_consumed: float


class SessionDay(Struct):
    day: str
    total_session_minutes: float
    total_sessions: int


class SessionStats(Struct):
    day_stats: list[SessionDay]
    sessions_count: int
    sessions_minutes_consumed: float


class OrgAnalytics(Struct):
    recording_stats: RecordingStats
    session_stats: SessionStats


class Spread(Struct):
    """A figure over viewing sessions: of how many it is known, its mean and percentiles; null where of none."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class ViewerExperience(Struct):
    """How viewers fared, as their players report it (CMCD). `views` are viewing sessions that reported, of which
    `started_views` have played and `stalled_views` stood still at least once. `rebuffering_ratio` is of all viewers'
    time together, `rebuffering` of each viewing session's, and so is `stalled_ms`. Percentiles are off by 2 % at most.
    """

    sessions: int
    updated_at: IsoTime | None
    views: int
    started_views: int
    stalled_views: int
    stalls: int
    stalled_seconds: float
    played_seconds: float
    rebuffering_ratio: float | None
    startup_ms: Spread
    stalled_ms: Spread
    rebuffering: Spread
    bitrate_kbps: Spread
    latency_ms: Spread


class Viewing(Struct):
    """A viewing session that reports now; null where its player has not said."""

    startup_ms: int | None
    stalls: int
    stalled_seconds: float
    played_seconds: float
    rebuffering_ratio: float | None
    bitrate_kbps: float | None
    latency_ms: float | None


# Apps and tokens


class CreateApp(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]


class UpdateApp(Struct):
    name: Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)] | UnsetType = UNSET
    record: bool | UnsetType | None = UNSET


class ListApps(Struct):
    page_no: AppsPageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    search: Annotated[str, Meta(max_length=125)] | None = None
    sort_order: SortOrder = "DESC"


class App(Struct):
    id: str
    created_at: IsoTime
    name: str
    record: Record


class CreatedApp(Struct):
    app: App


class CreateToken(Struct):
    """`app_id`: the one app that the token is for; without it, all apps of the account."""

    name: Annotated[str, Meta(min_length=1, max_length=NAME_LIMIT)]
    permission: Literal["admin", "read"] = "read"
    app_id: str | None = None


class Token(Struct):
    id: str
    created_at: IsoTime
    name: str
    permission: Literal["admin", "read"]
    app_id: str | None


class CreatedToken(Struct):
    """`api_token` is shown this once."""

    id: str
    created_at: IsoTime
    name: str
    permission: Literal["admin", "read"]
    app_id: str | None
    api_token: str
