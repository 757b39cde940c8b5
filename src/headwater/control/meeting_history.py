"""What the rooms' events mean for the stored state, and for webhooks: each is written in the caller's transaction.

Every function is idempotent and tolerates what it cannot know (an event that was lost before it): writing an event
again stores nothing and tells nobody. The meeting's row is locked for all of them, so their webhooks are told in order.
"""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository import meeting_sessions, meetings
from headwater.control.repository.event_log import plain_text
from headwater.control.repository.meeting_sessions import MeetingSessionRow, PeerRow
from headwater.control.repository.meetings import MeetingRow
from headwater.control.webhooks import outbox
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomEvent, RoomOpened

NAME_LIMIT = 255

ALL_LEFT = "ALL_PARTICIPANTS_LEFT"
LOST = "LOST"
"""Why a stay is over of which nobody has heard the end."""


async def record(conn: AsyncConnection, event: RoomEvent, node: str) -> None:
    """Write one event.

    Args:
        node: This server's name in `meeting_sessions.node`.
    """
    meeting = await meetings.lock_any(conn, event.meeting_id)
    if meeting is None:
        return
    match event:
        case RoomOpened():
            await _opened(conn, event, meeting, node)
        case ParticipantJoined():
            await _joined(conn, event, meeting)
        case ParticipantLeft():
            await _left(conn, event, meeting)
        case RoomClosed():
            session = await meeting_sessions.find_any(conn, event.session_id)
            if session is not None:
                await _close(conn, session, meeting, event.at_ms, event.reason, event.at_ms)


async def _opened(conn: AsyncConnection, event: RoomOpened, meeting: MeetingRow, node: str) -> None:
    if await meeting_sessions.find_any(conn, event.session_id) is not None:
        return
    before = await meeting_sessions.open_of(conn, meeting.id)
    if before is not None:  # its close was lost; there is one open session of a meeting at a time
        await _close(conn, before, meeting, before.known_ms, ALL_LEFT, event.at_ms)
    await meeting_sessions.insert(conn, event.session_id, meeting.app_id, meeting.id, node, event.at_ms)
    session = await meeting_sessions.find_any(conn, event.session_id)
    assert session is not None
    await outbox.meeting_started(conn, meeting, session)


async def _joined(conn: AsyncConnection, event: ParticipantJoined, meeting: MeetingRow) -> None:
    session = await meeting_sessions.find_any(conn, event.session_id)
    if session is None or session.ended_ms is not None:
        return
    if await meeting_sessions.find_peer(conn, event.peer_id) is not None:
        return
    peer = PeerRow(
        id=event.peer_id,
        session_id=session.id,
        participant_id=event.participant_id,
        custom_participant_id=event.custom_participant_id,
        name=plain_text(event.name, NAME_LIMIT),
        preset_name=event.preset,
        joined_ms=event.at_ms,
        left_ms=None,
        leave_reason=None,
    )
    await meeting_sessions.joined(conn, peer)
    await outbox.participant_joined(conn, meeting, session, peer)


async def _left(conn: AsyncConnection, event: ParticipantLeft, meeting: MeetingRow) -> None:
    session = await meeting_sessions.find_any(conn, event.session_id)
    peer = await meeting_sessions.find_peer(conn, event.peer_id)
    if session is not None and peer is not None and peer.left_ms is None:
        await _leave(conn, meeting, session, peer, event.at_ms, event.reason)


async def _leave(
    conn: AsyncConnection, meeting: MeetingRow, session: MeetingSessionRow, peer: PeerRow, at_ms: int, reason: str
) -> None:
    await meeting_sessions.left(conn, peer, at_ms, plain_text(reason, 32))
    await outbox.participant_left(conn, meeting, session, peer, max(at_ms, peer.joined_ms), reason)


async def _close(
    conn: AsyncConnection, session: MeetingSessionRow, meeting: MeetingRow, at_ms: int, reason: str, now_ms: int
) -> None:
    if session.ended_ms is not None:
        return
    for peer in await meeting_sessions.inside(conn, session.id):
        await _leave(conn, meeting, session, peer, at_ms, LOST)
    await meeting_sessions.end(conn, session, at_ms, plain_text(reason, 32), now_ms)
    await outbox.meeting_ended(conn, meeting, session, max(at_ms, session.started_ms), reason)


async def recover(conn: AsyncConnection, session: MeetingSessionRow, now_ms: int) -> None:
    """Close a session that a crash of this server left open, where it was last known to be."""
    meeting = await meetings.lock_any(conn, session.meeting_id)
    assert meeting is not None
    await _close(conn, session, meeting, session.known_ms, ALL_LEFT, now_ms)
