"""Recordings as the API takes and shows them, in the product's own shapes; what is ours stands beside."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headwater.control.api.meeting_schemas import Bucket, Meeting
from headwater.control.api.schemas import PER_PAGE_DEFAULT, TITLE_LIMIT, IsoTime, PageNo, PerPage, SortOrder, TimeText

RecordingStatusName = Literal["INVOKED", "RECORDING", "UPLOADING", "UPLOADED", "ERRORED", "PAUSED"]
STATUSES = ("INVOKED", "RECORDING", "UPLOADING", "UPLOADED", "ERRORED", "PAUSED")

Id = Annotated[str, Meta(max_length=64)]
Prefix = Annotated[str, Meta(max_length=100)]


class StartRecording(Struct):
    """`meeting_id`, or ours, `livestream_id`. A livestream is recorded as it was published, so what would need another
    encoder or another place (`audio_config`, `video_config`, `storage_config`, ...) is refused."""

    meeting_id: Id | UnsetType = UNSET
    livestream_id: Id | UnsetType = UNSET
    allow_multiple_recordings: bool = False
    file_name_prefix: Prefix | UnsetType | None = UNSET
    max_seconds: Annotated[int, Meta(ge=60, le=86_400)] | UnsetType | None = UNSET
    realtimekit_bucket_config: Bucket | UnsetType | None = UNSET
    audio_config: dict[str, Any] | UnsetType | None = UNSET
    video_config: dict[str, Any] | UnsetType | None = UNSET
    interactive_config: dict[str, Any] | UnsetType | None = UNSET
    rtmp_out_config: dict[str, Any] | UnsetType | None = UNSET
    storage_config: dict[str, Any] | UnsetType | None = UNSET
    url: str | UnsetType | None = UNSET


class SteerRecording(Struct):
    action: Literal["stop", "pause", "resume"]


Seconds = Annotated[float, Meta(ge=0, le=1_000_000, description="From the beginning of the recording.")]


class CreateClip(Struct):
    """The clip begins with the last sync sample at or before `start`, and ends before the first at or after `end`."""

    start: Seconds
    end: Seconds
    file_name_prefix: Prefix | UnsetType | None = UNSET


class ListRecordings(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    meeting_id: Id | None = None
    livestream_id: Id | None = None
    expired: bool | None = None
    search: Annotated[str, Meta(max_length=TITLE_LIMIT)] | None = None
    sort_by: Literal["invokedTime"] | None = None
    sort_order: SortOrder = "DESC"
    start_time: TimeText | None = None
    end_time: TimeText | None = None
    status: Annotated[str, Meta(max_length=100, description="One or more statuses, with commas.")] | None = None


class Caller(Struct):
    """Of whom it is known that a token of the account was used."""

    type: Literal["ORGANIZATION"] = "ORGANIZATION"


class StartReason(Struct, omit_defaults=True):
    reason: Literal["API_CALL", "RECORD_ON_START"]
    caller: Caller | UnsetType = UNSET


class StopReason(Struct, omit_defaults=True):
    reason: Literal["API_CALL", "INTERNAL_ERROR", "ALL_PEERS_LEFT"]
    caller: Caller | UnsetType = UNSET


class Recording(Struct, omit_defaults=True):
    """A recording; ours are `livestream_id`, `playback_url` (HLS, while it is there), `sprite_url`
    (WebVTT of its pictures), `expired` (the file has been
    removed) and `err_message`."""

    id: str
    audio_download_url: None
    download_url: str | None
    download_url_expiry: IsoTime | None
    file_size: int | None
    invoked_time: IsoTime
    livestream_id: str
    output_file_name: str
    playback_url: str | None
    session_id: str
    sprite_url: str | None
    started_time: IsoTime | None
    status: RecordingStatusName
    stopped_time: IsoTime | None
    expired: bool
    err_message: str | None
    clip_of: str | UnsetType = UNSET
    clip_start: float | UnsetType = UNSET
    clip_end: float | UnsetType = UNSET
    recording_duration: int | UnsetType = UNSET
    start_reason: StartReason | UnsetType = UNSET
    stop_reason: StopReason | UnsetType = UNSET
    meeting: Meeting | UnsetType = UNSET
