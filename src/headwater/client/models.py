"""What the API answers, as typed structs; times are aware datetimes."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

T = TypeVar("T")

Status = Literal["LIVE", "IDLE", "ERRORED", "INVOKED"]
RecordingStatus = Literal["INVOKED", "RECORDING", "PAUSED", "UPLOADING", "UPLOADED", "ERRORED"]
Permission = Literal["admin", "read"]
MeetingSessionStatus = Literal["LIVE", "ENDED"]
DeliveryState = Literal["waiting", "delivered", "failed"]


class Paging(Struct, frozen=True):
    """Offsets count from 1, both inclusive."""

    total_count: int
    start_offset: int
    end_offset: int


class Page(Struct, Generic[T], frozen=True):
    """One page of a list."""

    data: list[T]
    paging: Paging


class Message(Struct, frozen=True):
    message: str


class CreatedLivestream(Struct, frozen=True):
    """A new livestream: where to publish (`ingest_server` with `stream_key`), and where to watch."""

    id: str
    disabled: bool
    ingest_server: str
    meeting_id: str | None
    name: str | None
    playback_url: str
    status: Status
    stream_key: str


class StartedLivestream(Struct, frozen=True):
    """The livestream of a meeting that was started."""

    id: str
    ingest_server: str
    playback_url: str
    status: Status
    stream_key: str


class Livestream(Struct, frozen=True):
    """A livestream.

    Attributes:
        disabled: `disabled`, or empty; see `is_disabled`.
        stream_key: Empty for tokens without the admin permission.
        record: Whether sessions are recorded; None: as the app says.
    """

    id: str
    created_at: datetime
    disabled: str
    ingest_server: str
    meeting_id: str | None
    name: str | None
    playback_url: str
    status: Status
    stream_key: str
    updated_at: datetime
    record: bool | None = None

    @property
    def is_disabled(self) -> bool:
        return self.disabled != ""


class LivestreamPage(Struct, frozen=True):
    """One page of the livestreams."""

    livestreams: list[Livestream]
    paging: Paging


class Session(Struct, frozen=True):
    """One broadcast; `stopped_time` is None while it goes on."""

    id: str
    created_at: datetime
    err_message: str | None
    ingest_seconds: float
    invoked_time: datetime | None
    livestream_id: str
    started_time: datetime | None
    stopped_time: datetime | None
    updated_at: datetime
    viewer_seconds: float


class ActiveSession(Struct, frozen=True):
    """The open session; the API gives its seconds as decimal text here."""

    id: str
    created_at: datetime
    err_message: str | None
    ingest_seconds: str
    invoked_time: datetime | None
    livestream_id: str
    started_time: datetime | None
    stopped_time: datetime | None
    updated_at: datetime
    viewer_seconds: str


class LivestreamWithSessions(Struct, frozen=True):
    """A livestream, its latest session, and a page of its sessions, the latest first."""

    livestream: Livestream
    session: Session | None
    sessions: list[Session]
    paging: Paging


class LivestreamWithActiveSession(Struct, frozen=True):
    livestream: Livestream
    session: ActiveSession


class NewKey(Struct, frozen=True):
    id: str
    ingest_server: str
    stream_key: str


class HealthSample(Struct, frozen=True):
    """How media arrived within a second, or within some where a long time was asked for."""

    at: datetime
    video_bps: int
    audio_bps: int
    frame_rate: float
    keyframe_interval_ms: int
    dropped: int
    jumps: int
    late_ms: int
    rtt_ms: float | None
    viewers: int | None = None
    audio_peak_db: float | None = None
    audio_rms_db: float | None = None


class HealthWarning(Struct, frozen=True):
    """A code that stays, and a sentence that says what to do."""

    code: str
    message: str


class SessionHealth(Struct, frozen=True):
    """How the media of a session arrived; the warnings are those of its last 30 s."""

    session_id: str
    encoder: str
    warnings: list[HealthWarning]
    samples: list[HealthSample]


class LogEntry(Struct, frozen=True):
    """One entry of a livestream's event log."""

    id: int
    at: datetime
    kind: str
    code: str
    message: str
    session_id: str | None


class LivestreamTotals(Struct, frozen=True):
    count: int
    total_ingest_seconds: int
    total_viewer_seconds: int


class LivestreamDay(Struct, frozen=True):
    date: str
    count: int
    total_ingest_seconds: int
    total_viewer_seconds: int


class RecordingDay(Struct, frozen=True):
    day: str
    total_recording_minutes: int
    total_recordings: int


class RecordingStats(Struct, frozen=True):
    day_stats: list[RecordingDay]
    recording_count: int
    recording_minutes_consumed: float


class SessionDay(Struct, frozen=True):
    day: str
    total_session_minutes: float
    total_sessions: int


class SessionStats(Struct, frozen=True):
    day_stats: list[SessionDay]
    sessions_count: int
    sessions_minutes_consumed: float


class OrgAnalytics(Struct, frozen=True):
    recording_stats: RecordingStats
    session_stats: SessionStats


class Spread(Struct, frozen=True):
    """A figure over viewing sessions; None where no player has reported it. Percentiles are off by 2 % at most."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None


class ViewerExperience(Struct, frozen=True):
    """How viewers fared, as their players report it."""

    sessions: int
    updated_at: datetime | None
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


class Viewing(Struct, frozen=True):
    """A viewing session that reports now; None where its player has not said."""

    startup_ms: int | None
    stalls: int
    stalled_seconds: float
    played_seconds: float
    rebuffering_ratio: float | None
    bitrate_kbps: float | None
    latency_ms: float | None


class App(Struct, frozen=True):
    """An app; `record`: whether sessions are recorded, None: as the server's settings say."""

    id: str
    created_at: datetime
    name: str
    record: bool | None = None


class CreatedApp(Struct, frozen=True):
    app: App


class Recording(Struct, frozen=True):
    """A recording.

    Attributes:
        download_url: Until `download_url_expiry`; None where there is no file (yet, or any more).
        playback_url: Where it plays as HLS.
        sprite_url: WebVTT that leads to its pictures, made when it is first asked for.
        expired: Its file has been removed.
        recording_duration: Seconds.
    """

    id: str
    status: RecordingStatus
    output_file_name: str
    livestream_id: str
    session_id: str
    invoked_time: datetime
    started_time: datetime | None = None
    stopped_time: datetime | None = None
    recording_duration: int | None = None
    file_size: int | None = None
    download_url: str | None = None
    download_url_expiry: datetime | None = None
    playback_url: str | None = None
    sprite_url: str | None = None
    expired: bool = False
    err_message: str | None = None
    clip_of: str | None = None
    clip_start: float | None = None
    clip_end: float | None = None


class Meeting(Struct, frozen=True):
    """A meeting; what else it was given (`recording_config`, `ai_config`) is in the API's answer only."""

    id: str
    created_at: datetime
    updated_at: datetime
    status: Literal["ACTIVE", "INACTIVE"]
    title: str | None = None
    live_stream_on_start: bool = False
    record_on_start: bool = False
    persist_chat: bool = False
    session_keep_alive_time_in_secs: float = 60


class Participant(Struct, frozen=True):
    """Somebody who may come into a meeting."""

    id: str
    created_at: datetime
    updated_at: datetime
    custom_participant_id: str
    preset_name: str
    name: str | None = None
    picture: str | None = None


class ParticipantWithToken(Participant, frozen=True, kw_only=True):
    """The token lets its holder into the meeting; it is never shown again."""

    token: str

    def __repr__(self) -> str:
        return f"ParticipantWithToken(id={self.id!r}, custom_participant_id={self.custom_participant_id!r})"


class DeletedParticipant(Struct, frozen=True):
    created_at: datetime
    updated_at: datetime
    custom_participant_id: str
    preset_id: str


class ParticipantToken(Struct, frozen=True):
    token: str


class PresetListItem(Struct, frozen=True):
    id: str
    name: str
    created_at: datetime
    updated_at: datetime


class Preset(Struct, frozen=True):
    """A role of participants; `config`, `permissions` and `ui` are as in the API."""

    id: str
    name: str
    config: dict[str, Any]
    permissions: dict[str, Any]
    ui: dict[str, Any]
    created_at: datetime
    updated_at: datetime


class MeetingSession(Struct, frozen=True):
    """From the first participant of a meeting to the last; `associated_id` is the meeting's.

    `minutes_consumed` are those of all participants together.
    """

    id: str
    associated_id: str
    meeting_display_name: str
    status: MeetingSessionStatus
    started_at: datetime
    live_participants: int
    max_concurrent_participants: int
    minutes_consumed: float
    created_at: datetime
    updated_at: datetime
    ended_at: datetime | None = None


class MeetingSessions(Struct, frozen=True):
    sessions: list[MeetingSession]


class MeetingSessionPage(Struct, frozen=True):
    """One page of the sessions."""

    data: MeetingSessions
    paging: Paging

    @property
    def sessions(self) -> list[MeetingSession]:
        return self.data.sessions


class SessionParticipant(Struct, frozen=True):
    """One stay of a participant; `user_id` is the participant's id, `duration` in minutes."""

    id: str
    user_id: str
    custom_participant_id: str
    display_name: str
    preset_name: str
    joined_at: datetime
    left_at: datetime | None
    duration: float


class SessionParticipants(Struct, frozen=True):
    participants: list[SessionParticipant]


class SessionParticipantPage(Struct, frozen=True):
    """One page of who was in a session."""

    data: SessionParticipants
    paging: Paging

    @property
    def participants(self) -> list[SessionParticipant]:
        return self.data.participants


class OneSessionParticipant(Struct, frozen=True):
    participant: SessionParticipant


class Person(Struct, frozen=True):
    id: str
    created_at: datetime
    updated_at: datetime
    name: str | None
    picture: str | None


class ActedOn(Struct, frozen=True):
    """Who was sent away, or muted."""

    action: str
    participants: list[Person]


class KickedAll(Struct, frozen=True):
    kicked_participants_count: int


class MutedAll(Struct, frozen=True):
    muted_participants_count: int


class Webhook(Struct, frozen=True):
    id: str
    name: str
    url: str
    events: list[str]
    enabled: bool
    created_at: datetime
    updated_at: datetime


class Delivery(Struct, frozen=True):
    """An event for one webhook; `id` is its `rtk-uuid`, `about` the livestream or meeting that it tells of."""

    id: str
    event: str
    about: str
    state: DeliveryState
    attempts: int
    status_code: int | None
    error: str | None
    created_at: datetime
    finished_at: datetime | None
    next_attempt_at: datetime | None
    payload: dict[str, Any]


class Attempt(Struct, frozen=True):
    """One request of a delivery; `answer` is the beginning of what came back."""

    at: datetime
    duration_ms: int
    status_code: int | None
    error: str | None
    answer: str


class DeliveryWithAttempts(Struct, frozen=True):
    delivery: Delivery
    attempts: list[Attempt]


class Token(Struct, frozen=True):
    id: str
    created_at: datetime
    name: str
    permission: Permission
    app_id: str | None


class CreatedToken(Struct, frozen=True):
    """A new token; `api_token` is never shown again."""

    id: str
    created_at: datetime
    name: str
    permission: Permission
    app_id: str | None
    api_token: str
