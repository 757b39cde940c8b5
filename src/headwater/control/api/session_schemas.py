"""Meeting sessions as the API shows them, in the product's own shapes."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from headwater.control.api.participant_schemas import CustomId
from headwater.control.api.schemas import (
    PER_PAGE_DEFAULT,
    TITLE_LIMIT,
    IsoTime,
    PageNo,
    Paging,
    PerPage,
    Session,
    SortOrder,
    TimeText,
)

IDS_LIMIT = 1000
"""Ids of one request to kick or mute: more than a room holds."""

Search = Annotated[str, Meta(max_length=TITLE_LIMIT)]
Minutes = Annotated[float, Meta(description="Of all participants together.")]
Id = Annotated[str, Meta(max_length=64)]


class MeetingSession(Struct, omit_defaults=True):
    """From the first participant to the last."""

    id: str
    associated_id: Annotated[str, Meta(description="The meeting.")]
    created_at: IsoTime
    updated_at: IsoTime
    started_at: IsoTime
    status: Literal["LIVE", "ENDED"]
    type: Literal["meeting"]
    live_participants: int
    max_concurrent_participants: int
    meeting_display_name: str
    minutes_consumed: Minutes
    organization_id: Annotated[str, Meta(description="The app.")]
    breakout_rooms: list[str]
    ended_at: IsoTime | UnsetType = UNSET


class MeetingSessionDetails(MeetingSession, omit_defaults=True, kw_only=True):
    """The session, and once more inside `session`, where older clients look."""

    session: MeetingSession


class MeetingSessions(Struct):
    sessions: list[MeetingSession]


class PeerEvent(Struct):
    id: str
    created_at: IsoTime
    updated_at: IsoTime
    event_name: Literal["PEER_JOINING", "PEER_LEAVING"]
    participant_id: str
    peer_id: str
    session_id: str


class SessionParticipant(Struct, omit_defaults=True):
    """One stay of a participant; who leaves and comes back has two."""

    id: Annotated[str, Meta(description="Of the stay: the peer's id.")]
    user_id: Annotated[str, Meta(description="The participant.")]
    custom_participant_id: str
    display_name: str
    preset_name: str
    created_at: IsoTime
    updated_at: IsoTime
    joined_at: IsoTime
    left_at: IsoTime | None
    duration: Annotated[float, Meta(description="Minutes.")]
    peer_events: list[PeerEvent] | UnsetType = UNSET


class SessionParticipants(Struct):
    participants: list[SessionParticipant]


class OneSessionParticipant(Struct):
    participant: SessionParticipant


class LivestreamSessions(Struct):
    """The broadcasts of a meeting while a session of it was open."""

    data: list[Session]
    paging: Paging


class ListSessions(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    sort_by: Literal["minutesConsumed", "createdAt"] = "createdAt"
    sort_order: SortOrder = "DESC"
    start_time: TimeText | None = None
    end_time: TimeText | None = None
    participants: (
        Annotated[str, Meta(max_length=16, description="How many were inside at once: `2`, `1:10`, `5:` or `:5`.")]
        | None
    ) = None
    status: Literal["LIVE", "ENDED"] | None = None
    search: Search | None = None
    associated_id: Id | None = None


class SessionQuery(Struct):
    include_breakout_rooms: bool = False


class ListSessionParticipants(Struct):
    page_no: PageNo = 1
    per_page: PerPage = PER_PAGE_DEFAULT
    search: Search | None = None
    sort_by: Literal["joinedAt", "duration"] = "joinedAt"
    sort_order: SortOrder = "ASC"
    include_peer_events: bool = False
    view: Literal["raw", "consolidated"] = "raw"


class SessionParticipantQuery(Struct):
    include_peer_events: bool = False


class Named(Struct):
    """Whom: participants by their ids or by your own."""

    participant_ids: Annotated[list[Id], Meta(max_length=IDS_LIMIT)] | None = None
    custom_participant_ids: Annotated[list[CustomId], Meta(max_length=IDS_LIMIT)] | None = None


class MuteAll(Struct):
    allow_unmute: Annotated[bool, Meta(description="Whether they may unmute themselves.")] = True


class ActedOn(Struct):
    id: str
    created_at: IsoTime
    updated_at: IsoTime
    name: str | None
    picture: str | None


class Acted(Struct):
    action: str
    participants: list[ActedOn]


class KickedAll(Struct):
    action: str
    kicked_participants_count: int


class MutedAll(Struct):
    action: str
    muted_participants_count: int
