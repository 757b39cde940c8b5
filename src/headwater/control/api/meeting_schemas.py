"""A meeting as the API takes and shows it, in the product's own shapes.

Everything but the title and the status is kept as it was given: recording and AI settings are for parts that are not
here yet. Secrets of a storage can be written and are never shown.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, to_builtins

from headwater.control.api.schemas import PER_PAGE_DEFAULT, TITLE_LIMIT, IsoTime, PageNo, PerPage, SortOrder, TimeText

Text = Annotated[str, Meta(max_length=1024)]
Side = Annotated[int, Meta(ge=1, le=1920)]
MeetingStatus = Literal["ACTIVE", "INACTIVE"]

SECRETS: Final = ("access_key", "secret", "password", "private_key")


class Summarization(Struct, omit_defaults=True):
    summary_type: (
        Literal[
            "general",
            "team_meeting",
            "sales_call",
            "client_check_in",
            "interview",
            "daily_standup",
            "one_on_one_meeting",
            "lecture",
            "code_review",
        ]
        | UnsetType
    ) = UNSET
    text_format: Literal["plain_text", "markdown"] | UnsetType = UNSET
    word_limit: Annotated[int, Meta(ge=150, le=1000)] | UnsetType = UNSET


class Transcription(Struct, omit_defaults=True):
    keywords: Annotated[list[Text], Meta(max_length=100)] | UnsetType = UNSET
    language: Literal["en-US", "en-IN", "de", "hi", "sv", "ru", "pl", "el", "fr", "nl"] | UnsetType = UNSET
    profanity_filter: bool | UnsetType = UNSET


class AIConfig(Struct, omit_defaults=True):
    summarization: Summarization | UnsetType = UNSET
    transcription: Transcription | UnsetType = UNSET


class AudioConfig(Struct, omit_defaults=True):
    channel: Literal["mono", "stereo"] | UnsetType = UNSET
    codec: Literal["MP3", "AAC"] | UnsetType = UNSET
    export_file: bool | UnsetType = UNSET


class WatermarkSize(Struct, omit_defaults=True):
    height: Side | UnsetType = UNSET
    width: Side | UnsetType = UNSET


class Watermark(Struct, omit_defaults=True):
    position: Literal["left top", "right top", "left bottom", "right bottom"] | UnsetType = UNSET
    size: WatermarkSize | UnsetType = UNSET
    url: Text | UnsetType = UNSET


class RecordingVideo(Struct, omit_defaults=True):
    codec: Literal["H264", "VP8", "VP9"] | UnsetType = UNSET
    export_file: bool | UnsetType = UNSET
    height: Side | UnsetType = UNSET
    width: Side | UnsetType = UNSET
    watermark: Watermark | UnsetType = UNSET


class LiveStreaming(Struct, omit_defaults=True):
    rtmp_url: Text | UnsetType = UNSET


class Bucket(Struct):
    enabled: bool


class Storage(Struct, omit_defaults=True):
    type: Literal["aws", "azure", "digitalocean", "gcs", "sftp"]
    access_key: Text | UnsetType = UNSET
    auth_method: Literal["KEY", "PASSWORD"] | UnsetType = UNSET
    bucket: Text | UnsetType = UNSET
    host: Text | UnsetType = UNSET
    password: Text | UnsetType = UNSET
    path: Text | UnsetType = UNSET
    port: Annotated[int, Meta(ge=1, le=65535)] | UnsetType = UNSET
    private_key: Annotated[str, Meta(max_length=16_384)] | UnsetType = UNSET
    region: Text | UnsetType = UNSET
    secret: Text | UnsetType = UNSET
    username: Text | UnsetType = UNSET


class RecordingConfig(Struct, omit_defaults=True):
    audio_config: AudioConfig | UnsetType = UNSET
    file_name_prefix: Text | UnsetType = UNSET
    live_streaming_config: LiveStreaming | UnsetType = UNSET
    max_seconds: Annotated[float, Meta(ge=60, le=86_400)] | UnsetType = UNSET
    realtimekit_bucket_config: Bucket | UnsetType = UNSET
    storage_config: Storage | UnsetType | None = UNSET
    video_config: RecordingVideo | UnsetType = UNSET


class MeetingBody(Struct):
    """What a meeting is created, changed or replaced with; null stands for the default."""

    title: Annotated[str, Meta(max_length=TITLE_LIMIT)] | UnsetType | None = UNSET
    status: MeetingStatus | UnsetType | None = UNSET
    ai_config: AIConfig | UnsetType | None = UNSET
    live_stream_on_start: bool | UnsetType | None = UNSET
    persist_chat: bool | UnsetType | None = UNSET
    record_on_start: bool | UnsetType | None = UNSET
    recording_config: RecordingConfig | UnsetType | None = UNSET
    session_keep_alive_time_in_secs: Annotated[float, Meta(ge=60, le=600)] | UnsetType | None = UNSET
    summarize_on_end: bool | UnsetType | None = UNSET
    transcribe_on_end: bool | UnsetType | None = UNSET

    def given(self) -> dict[str, Any]:
        """The fields that were given, as plain JSON values."""
        fields: dict[str, Any] = to_builtins(self)
        return fields


class Meeting(Struct, omit_defaults=True):
    id: str
    created_at: IsoTime
    updated_at: IsoTime
    title: str | None
    status: MeetingStatus
    live_stream_on_start: bool
    persist_chat: bool
    record_on_start: bool
    session_keep_alive_time_in_secs: float
    summarize_on_end: bool
    transcribe_on_end: bool
    ai_config: AIConfig | UnsetType = UNSET
    recording_config: RecordingConfig | UnsetType = UNSET


DEFAULTS: Final[dict[str, Any]] = {
    "live_stream_on_start": False,
    "persist_chat": False,
    "record_on_start": False,
    "session_keep_alive_time_in_secs": 60,
    "summarize_on_end": False,
    "transcribe_on_end": False,
}


class ListMeetings(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    search: Annotated[str, Meta(max_length=TITLE_LIMIT)] | None = None
    status: MeetingStatus | None = None
    sort_order: SortOrder = "DESC"
    start_time: TimeText | None = None
    end_time: TimeText | None = None
