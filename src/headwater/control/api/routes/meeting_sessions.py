"""Sessions of meetings: who met, when, for how long."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.api import render
from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.schemas import Answer, PagedAnswer, PageQuery
from headwater.control.api.session_schemas import (
    ListSessionParticipants,
    ListSessions,
    LivestreamSessions,
    MeetingSession,
    MeetingSessionDetails,
    MeetingSessions,
    OneSessionParticipant,
    PeerEvent,
    SessionParticipant,
    SessionParticipantQuery,
    SessionParticipants,
    SessionQuery,
)
from headwater.control.api.times import check_range, iso, iso_or_none, parse_time
from headwater.control.api.validation import check_text
from headwater.control.repository import meeting_sessions, sessions
from headwater.control.repository.meeting_sessions import MeetingSessionRow, PeerRow, Wanted

COUNT_DIGITS = 6
"""Digits of a number of participants that are read."""


async def list_all(call: Call[ListSessions, None]) -> PagedAnswer[MeetingSessions]:
    query = call.query
    from_ms, to_ms = parse_time("start_time", query.start_time), parse_time("end_time", query.end_time)
    check_range(from_ms, to_ms)
    check_text("search", query.search)
    check_text("associated_id", query.associated_id)
    least, most = _counts(query.participants)
    live = None if query.status is None else query.status == "LIVE"
    wanted = Wanted(query.associated_id, query.search, live, from_ms, to_ms, least, most)
    offset, limit = window(query.page_no, query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        rows, total = await meeting_sessions.list_page(
            conn,
            call.app_id,
            wanted,
            by_minutes=query.sort_by == "minutesConsumed",
            descending=query.sort_order != "ASC",
            now_ms=call.now_ms,
            offset=offset,
            limit=limit,
        )
    return PagedAnswer(MeetingSessions([shown(call, row) for row in rows]), paging(total, offset, len(rows)))


def _counts(text: str | None) -> tuple[int | None, int | None]:
    """The bounds in `2`, `1:10`, `5:` or `:5`."""
    if text is None:
        return None, None
    low, colon, high = text.partition(":")
    if not all(part.isascii() and (part or "0").isdecimal() and len(part) <= COUNT_DIGITS for part in (low, high)):
        raise ApiError(400, "participants: expected a number, or a range as 1:10")
    least, most = (int(part) if part else None for part in (low, high))
    return (least, most) if colon else (least, least)


async def show(call: Call[SessionQuery, None]) -> Answer[MeetingSessionDetails]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = shown(call, await _get(conn, call))
    fields = {name: getattr(session, name) for name in session.__struct_fields__}
    return Answer(MeetingSessionDetails(**fields, session=session))


async def list_participants(call: Call[ListSessionParticipants, None]) -> PagedAnswer[SessionParticipants]:
    query = call.query
    check_text("search", query.search)
    offset, limit = window(query.page_no, query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = await _get(conn, call)
        rows, total = await meeting_sessions.list_peers(
            conn,
            session.id,
            search=query.search,
            by_duration=query.sort_by == "duration",
            descending=query.sort_order != "ASC",
            now_ms=call.now_ms,
            offset=offset,
            limit=limit,
        )
    peers = [_peer(call, row, events=query.include_peer_events) for row in rows]
    return PagedAnswer(SessionParticipants(peers), paging(total, offset, len(rows)))


async def show_participant(call: Call[SessionParticipantQuery, None]) -> Answer[OneSessionParticipant]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = await _get(conn, call)
        row = await meeting_sessions.peer_of(conn, session.id, call.path["participant_id"])
    if row is None:
        raise not_found("The participant")
    return Answer(OneSessionParticipant(_peer(call, row, events=call.query.include_peer_events)))


async def livestream_sessions(call: Call[PageQuery, None]) -> PagedAnswer[LivestreamSessions]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = await _get(conn, call)
        rows, total = await sessions.of_meeting(
            conn, session.meeting_id, session.started_ms, session.ended_ms, offset=offset, limit=limit
        )
    page = paging(total, offset, len(rows))
    return PagedAnswer(LivestreamSessions([render.session(call, row) for row in rows], page), page)


def shown(call: AnyCall, row: MeetingSessionRow) -> MeetingSession:
    session = MeetingSession(
        id=row.id,
        associated_id=row.meeting_id,
        created_at=iso(row.created_ms),
        updated_at=iso(row.updated_ms),
        started_at=iso(row.started_ms),
        status="LIVE" if row.ended_ms is None else "ENDED",
        type="meeting",
        live_participants=row.live,
        max_concurrent_participants=row.most,
        meeting_display_name=row.title or "",
        minutes_consumed=_minutes(row.consumed_ms(call.now_ms)),
        organization_id=row.app_id,
        breakout_rooms=[],
    )
    if row.ended_ms is not None:
        session.ended_at = iso(row.ended_ms)
    return session


def _peer(call: AnyCall, row: PeerRow, *, events: bool) -> SessionParticipant:
    until_ms = call.now_ms if row.left_ms is None else row.left_ms
    shown = SessionParticipant(
        id=row.id,
        user_id=row.participant_id,
        custom_participant_id=row.custom_participant_id,
        display_name=row.name,
        preset_name=row.preset_name,
        created_at=iso(row.joined_ms),
        updated_at=iso(row.joined_ms if row.left_ms is None else row.left_ms),
        joined_at=iso(row.joined_ms),
        left_at=iso_or_none(row.left_ms),
        duration=_minutes(max(0, until_ms - row.joined_ms)),
    )
    if events:
        shown.peer_events = _events(row)
    return shown


def _events(row: PeerRow) -> list[PeerEvent]:
    def event(name: str, at_ms: int) -> PeerEvent:
        return PeerEvent(
            id=f"{row.id}-{name}",
            created_at=iso(at_ms),
            updated_at=iso(at_ms),
            event_name="PEER_JOINING" if name == "joining" else "PEER_LEAVING",
            participant_id=row.participant_id,
            peer_id=row.id,
            session_id=row.session_id,
        )

    leaving = [] if row.left_ms is None else [event("leaving", row.left_ms)]
    return [event("joining", row.joined_ms), *leaving]


def _minutes(ms: int) -> float:
    return round(ms / 60_000, 3)


async def _get(conn: AsyncConnection, call: AnyCall) -> MeetingSessionRow:
    row = await meeting_sessions.get(conn, call.app_id, call.path["session_id"])
    if row is None:
        raise not_found("The session")
    return row


_SESSIONS = APP + "/sessions"
_SESSION = _SESSIONS + "/{session_id}"

OPERATIONS = [
    Operation(
        "get_sessions",
        "GET",
        _SESSIONS,
        "Fetch all sessions of an app",
        list_all,
        PagedAnswer[MeetingSessions],
        query=ListSessions,
        tag="Sessions",
    ),
    Operation(
        "get_session_details",
        "GET",
        _SESSION,
        "Fetch a session of a meeting",
        show,
        Answer[MeetingSessionDetails],
        query=SessionQuery,
        tag="Sessions",
    ),
    Operation(
        "get_session_participants",
        "GET",
        _SESSION + "/participants",
        "Fetch who was in a session",
        list_participants,
        PagedAnswer[SessionParticipants],
        query=ListSessionParticipants,
        tag="Sessions",
    ),
    Operation(
        "get_session_participant_details",
        "GET",
        _SESSION + "/participants/{participant_id}",
        "Fetch one participant of a session",
        show_participant,
        Answer[OneSessionParticipant],
        query=SessionParticipantQuery,
        tag="Sessions",
    ),
    Operation(
        "get_session_livestream_sessions",
        "GET",
        _SESSION + "/livestream-sessions",
        "Fetch the livestream sessions of a session",
        livestream_sessions,
        PagedAnswer[LivestreamSessions],
        query=PageQuery,
        tag="Sessions",
    ),
]
