"""The outbox: events for webhooks, stored in the transaction of the change that they tell.

Who calls holds the lock of what the event is about (the livestream's row, the meeting's row) until that transaction
ends. So the order of the rows is the order of the changes, also where several servers write to one database. Nothing
is stored where no webhook listens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository import deliveries, livestreams, meetings, webhooks
from headwater.control.repository.accounts import AppRow
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.meeting_sessions import MeetingSessionRow, PeerRow
from headwater.control.repository.meetings import MeetingRow
from headwater.control.repository.rows import columns_of
from headwater.control.repository.webhooks import WebhookRow
from headwater.control.tables import apps
from headwater.control.webhooks import names, payloads
from headwater.control.webhooks.payloads import Payload

if TYPE_CHECKING:
    from headwater.control.repository.recordings import RecordingRow  # which imports this module

WAITING_LIMIT: Final = 100_000
"""Events that wait for one webhook: some 60 MB, months of an app whose receiver is gone. More are put into the log as
failed without an attempt."""


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something to tell an app's webhooks.

    Attributes:
        name: One of `names.SENT`.
        about: The livestream's or meeting's id: events about the same are delivered in order.
        payload: As receivers get it; its URLs may be paths (see `payloads`).
    """

    app_id: str
    name: str
    about: str
    payload: Payload
    at_ms: int


async def add(conn: AsyncConnection, event: OutboxEvent) -> int:
    """Store an event for every webhook that listens; returns for how many that was."""
    return await _store(conn, await webhooks.listening(conn, event.app_id, event.name), event)


async def _store(conn: AsyncConnection, listening: Sequence[WebhookRow], event: OutboxEvent) -> int:
    body = payloads.stored(event.payload)
    for webhook in listening:
        await deliveries.add(
            conn, webhook.id, event.about, event=event.name, body=body, now_ms=event.at_ms, limit=WAITING_LIMIT
        )
    return len(listening)


async def livestream_status(
    conn: AsyncConnection,
    livestream: LivestreamRow,
    status: str,
    at_ms: int,
    *,
    session_id: str | None = None,
    error: str | None = None,
) -> None:
    """Tell that a livestream, whose row the caller has locked or just made, has another status."""
    listening = await webhooks.listening(conn, livestream.app_id, names.LIVESTREAM_STATUS)
    if not listening:
        return
    app, meeting = await _around(conn, livestream)
    payload = payloads.livestream_status(
        livestream, app, meeting, status=status, at_ms=at_ms, session_id=session_id, error=error
    )
    event = OutboxEvent(livestream.app_id, names.LIVESTREAM_STATUS, livestream.id, payload, at_ms)
    await _store(conn, listening, event)


async def recording_status(conn: AsyncConnection, recording: RecordingRow, at_ms: int) -> None:
    """Tell that a recording has another status, in the order of its livestream, whose row is locked for it.

    The product has no clips, so nobody is told of them.
    """
    if recording.clip_of is not None:
        return
    listening = await webhooks.listening(conn, recording.app_id, names.RECORDING_STATUS)
    if not listening:
        return
    livestream = await livestreams.find_any(conn, recording.livestream_id)
    assert livestream is not None, "a recording has a livestream"
    app, meeting = await _around(conn, livestream)
    payload = payloads.recording_status(recording, livestream, app, meeting, at_ms)
    event = OutboxEvent(livestream.app_id, names.RECORDING_STATUS, livestream.id, payload, at_ms)
    await _store(conn, listening, event)


async def meeting_started(conn: AsyncConnection, meeting: MeetingRow, session: MeetingSessionRow) -> None:
    """Tell that somebody is in a meeting, whose row the caller has locked; so for the next ones."""

    def payload(app: AppRow) -> Payload:
        return payloads.meeting_started(meeting, app, session_id=session.id, started_ms=session.started_ms)

    await _of_meeting(conn, meeting, names.MEETING_STARTED, session.started_ms, payload)


async def meeting_ended(
    conn: AsyncConnection, meeting: MeetingRow, session: MeetingSessionRow, at_ms: int, reason: str
) -> None:
    def payload(app: AppRow) -> Payload:
        return payloads.meeting_ended(
            meeting, app, session_id=session.id, started_ms=session.started_ms, ended_ms=at_ms, reason=reason
        )

    await _of_meeting(conn, meeting, names.MEETING_ENDED, at_ms, payload)


async def participant_joined(
    conn: AsyncConnection, meeting: MeetingRow, session: MeetingSessionRow, peer: PeerRow
) -> None:
    def payload(app: AppRow) -> Payload:
        return payloads.participant_joined(meeting, app, session, peer)

    await _of_meeting(conn, meeting, names.PARTICIPANT_JOINED, peer.joined_ms, payload)


async def participant_left(
    conn: AsyncConnection, meeting: MeetingRow, session: MeetingSessionRow, peer: PeerRow, at_ms: int, reason: str
) -> None:
    def payload(app: AppRow) -> Payload:
        return payloads.participant_left(meeting, app, session, peer, left_ms=at_ms, reason=reason)

    await _of_meeting(conn, meeting, names.PARTICIPANT_LEFT, at_ms, payload)


async def _of_meeting(
    conn: AsyncConnection, meeting: MeetingRow, name: str, at_ms: int, payload: Callable[[AppRow], Payload]
) -> None:
    listening = await webhooks.listening(conn, meeting.app_id, name)
    if listening:
        event = OutboxEvent(meeting.app_id, name, meeting.id, payload(await _app(conn, meeting.app_id)), at_ms)
        await _store(conn, listening, event)


async def _app(conn: AsyncConnection, app_id: str) -> AppRow:
    return AppRow(*(await conn.execute(select(*columns_of(apps, AppRow)).where(apps.c.id == app_id))).one())


async def _around(conn: AsyncConnection, livestream: LivestreamRow) -> tuple[AppRow, MeetingRow | None]:
    """The app and the meeting of a livestream."""
    app = await _app(conn, livestream.app_id)
    if livestream.meeting_id is None:
        return app, None
    return app, await meetings.get(conn, livestream.app_id, livestream.meeting_id)
