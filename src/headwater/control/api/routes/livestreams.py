"""Livestreams and their sessions."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import DAY_MS
from headwater.control.api import render
from headwater.control.api.call import AnyCall, Call, paging, window
from headwater.control.api.errors import ApiError, not_found
from headwater.control.api.operations import APP, Operation
from headwater.control.api.schemas import (
    Answer,
    CreatedLivestream,
    CreateLivestream,
    ListLivestreams,
    Livestream,
    LivestreamList,
    LivestreamWithActiveSession,
    LivestreamWithSessions,
    LogEntry,
    Message,
    NewKey,
    NoQuery,
    Page,
    PagedAnswer,
    PageQuery,
    SessionDetails,
    SessionHealth,
    TimeRange,
    UpdateLivestream,
)
from headwater.control.api.times import FARTHEST_MS, check_range, iso, parse_time
from headwater.control.api.validation import check_name
from headwater.control.lifecycle import Happening, Status, follow
from headwater.control.repository import event_log, health, livestreams, sessions
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.sessions import SessionRow
from headwater.control.webhooks import outbox
from headwater.health import HealthSample

HEALTH_DEFAULT_MS = DAY_MS
"""Of samples, where nobody says since when: those of the last day."""

HEALTH_LIMIT_MS = 7 * DAY_MS
"""Of one answer: 600,000 samples, thinned to some thousands; half a second of CPU in a thread."""

STOPPED = ("STOPPED_BY_API", "The broadcast was stopped through the API.")
DISABLED = ("ERR_LIVESTREAM_DISABLED", "The livestream was disabled.")
KEY_RESET = ("ERR_BAD_STREAM_KEY", "The livestream has a new stream key.")
DELETED = ("ERR_LIVESTREAM_DELETED", "The livestream was deleted.")


async def create(call: Call[NoQuery, CreateLivestream]) -> Answer[CreatedLivestream]:
    check_name(call.body.name)
    async with call.service.database.write() as conn:
        row = await livestreams.create(
            conn, call.app_id, name=call.body.name, now_ms=call.now_ms, record=call.body.record
        )
        await event_log.append(conn, row.id, at_ms=call.now_ms, kind="created", message="Created through the API.")
        await outbox.livestream_status(conn, row, row.status, call.now_ms)
    call.service.changed()
    return Answer(
        CreatedLivestream(
            id=row.id,
            disabled=row.disabled,
            ingest_server=render.ingest_server(call),
            meeting_id=row.meeting_id,
            name=row.name,
            playback_url=render.playback_url(call, row),
            status=Status.INVOKED.value,
            stream_key=row.stream_key,
        )
    )


async def list_all(call: Call[ListLivestreams, None]) -> PagedAnswer[LivestreamList]:
    query = call.query
    from_ms, to_ms = parse_time("start_time", query.start_time), parse_time("end_time", query.end_time)
    check_range(from_ms, to_ms)
    await call.service.settled()
    live_ids = [live.livestream_id for live in call.service.broadcasts.live_all() if live.playable]
    offset, limit = window(query.page_no, query.per_page)
    async with call.service.database.read() as conn:
        rows, total = await livestreams.list_page(
            conn,
            call.app_id,
            exclude_meetings=query.exclude_meetings,
            status=query.status,
            live_ids=live_ids,
            from_ms=from_ms,
            to_ms=to_ms,
            descending=query.sort_order != "ASC",
            offset=offset,
            limit=limit,
        )
    page = [render.livestream(call, row) for row in rows]
    shown = paging(total, offset, len(page))
    first = {} if not page else {name: getattr(page[0], name) for name in Livestream.__struct_fields__}
    return PagedAnswer(LivestreamList(paging=shown, livestreams=page, **first), shown)


async def show(call: Call[PageQuery, None]) -> PagedAnswer[LivestreamWithSessions]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        row = await _get(conn, call)
        rows, total = await sessions.list_page(conn, row.id, offset=offset, limit=limit)
        latest = rows[0] if offset == 0 and rows else await sessions.latest_of(conn, row.id)
    return render.livestream_with_sessions(call, row, latest, rows, paging(total, offset, len(rows)))


async def active_session(call: Call[NoQuery, None]) -> Answer[LivestreamWithActiveSession]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        row = await _get(conn, call)
        session = await sessions.open_of(conn, row.id)
    if session is None:
        raise ApiError(404, f"No active session found for livestream_id {row.id}")
    return Answer(LivestreamWithActiveSession(render.livestream(call, row), render.active_session(call, session)))


async def session_details(call: Call[NoQuery, None]) -> Answer[SessionDetails]:
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = await sessions.get(conn, call.app_id, call.path["session_id"])
    if session is None:
        raise not_found("The livestream session")
    return Answer(render.session_details(call, session))


async def session_health(call: Call[TimeRange, None]) -> Answer[SessionHealth]:
    from_ms = parse_time("start_time", call.query.start_time)
    to_ms = parse_time("end_time", call.query.end_time)
    check_range(from_ms, to_ms)
    await call.service.settled()
    async with call.service.database.read() as conn:
        session = await sessions.get(conn, call.app_id, call.path["session_id"])
        if session is None:
            raise not_found("The livestream session")
        from_ms = _health_from(call, session, from_ms, to_ms)
        stored = await health.samples_of(conn, session.id, from_ms, FARTHEST_MS if to_ms is None else to_ms)
    samples = _with_newest(call, session, stored, from_ms, to_ms)
    return Answer(await asyncio.to_thread(render.session_health, session, samples))


def _health_from(call: AnyCall, session: SessionRow, from_ms: int | None, to_ms: int | None) -> int:
    """Where a session's samples are to begin: a day before their end, if nobody says."""
    last_ms = call.now_ms if session.stopped_ms is None else session.stopped_ms
    end_ms = last_ms if to_ms is None else min(to_ms, last_ms)
    if from_ms is None:
        return max(0, end_ms - HEALTH_DEFAULT_MS)
    if end_ms - max(from_ms, session.started_ms) > HEALTH_LIMIT_MS:
        raise ApiError(400, f"start_time: a session's health is had for {HEALTH_LIMIT_MS // DAY_MS} days at once")
    return from_ms


def _with_newest(
    call: AnyCall, session: SessionRow, stored: list[HealthSample], from_ms: int, to_ms: int | None
) -> list[HealthSample]:
    """An open session's last samples are not stored yet."""
    live = call.service.broadcasts.live(session.livestream_id)
    if live is None or live.session_id != session.id:
        return stored
    after_ms = max(from_ms - 1, stored[-1].at_ms if stored else 0)
    return stored + [s for s in live.health if s.at_ms > after_ms and (to_ms is None or s.at_ms < to_ms)]


async def update(call: Call[NoQuery, UpdateLivestream]) -> Answer[Livestream]:
    changes: dict[str, Any] = {}
    if call.body.name is not msgspec.UNSET:
        check_name(call.body.name)
        changes["name"] = call.body.name
    if call.body.disabled is not msgspec.UNSET:
        changes["disabled"] = call.body.disabled
    if call.body.record is not msgspec.UNSET:
        changes["record"] = call.body.record
    async with call.service.database.write() as conn:
        row = await _lock(conn, call)
        if changes:
            await livestreams.update(conn, row.id, call.now_ms, **changes)
        switched = changes.get("disabled", row.disabled) != row.disabled
        if switched:
            kind = "disabled" if changes["disabled"] else "enabled"
            await _log(conn, call, row, kind, f"The livestream was {kind} through the API.")
        row = await _lock(conn, call)
    call.service.changed()
    if row.disabled:
        await call.service.meeting_livestreams.silence(row)
        await call.service.broadcasts.stop(row.id, *DISABLED)
        await call.service.settled()
        async with call.service.database.read() as conn:
            row = await _get(conn, call)
    return Answer(render.livestream(call, row))


async def reset_key(call: Call[NoQuery, None]) -> Answer[NewKey]:
    async with call.service.database.write() as conn:
        row = await _lock(conn, call)
        key = await livestreams.reset_key(conn, row.id, call.now_ms)
        await _log(conn, call, row, "key_reset", "The livestream was given a new stream key.")
        row = await _lock(conn, call)
    call.service.changed()
    # Whoever publishes by the old key may be the reason for the new one.
    await call.service.meeting_livestreams.silence(row)
    await call.service.broadcasts.stop(row.id, *KEY_RESET)
    await call.service.meeting_livestreams.again(row)
    return Answer(NewKey(row.id, render.ingest_server(call), key))


async def stop(call: Call[NoQuery, None]) -> Answer[Message]:
    async with call.service.database.read() as conn:
        row = await _get(conn, call)
    if call.service.broadcasts.live(row.id) is None:
        raise ApiError(404, f"No active session found for livestream_id {row.id}")
    await call.service.meeting_livestreams.silence(row)
    await call.service.broadcasts.stop(row.id, *STOPPED)
    await call.service.settled()
    async with call.service.database.write() as conn:
        row = await _lock(conn, call)
        await _log(conn, call, row, "stopped", "The broadcast was stopped through the API.")
    return Answer(Message("Stopped live stream successfully"))


async def delete(call: Call[NoQuery, None]) -> Answer[Message]:
    async with call.service.database.write() as conn:
        row = await _lock(conn, call)
        status = follow(Status(row.status), Happening.STOPPED)
        await livestreams.update(conn, row.id, call.now_ms, deleted_ms=call.now_ms, status=status.value)
        if status != row.status:
            await outbox.livestream_status(conn, row, status.value, call.now_ms)
    call.service.changed()
    await call.service.meeting_livestreams.silence(row)
    await call.service.broadcasts.stop(row.id, *DELETED)
    await call.service.settled()
    return Answer(Message("Deleted live stream successfully"))


async def events(call: Call[PageQuery, None]) -> Page[LogEntry]:
    offset, limit = window(call.query.page_no, call.query.per_page)
    await call.service.settled()
    async with call.service.database.read() as conn:
        row = await _get(conn, call)
        rows, total = await event_log.list_page(conn, row.id, offset=offset, limit=limit)
    entries = [
        LogEntry(entry.id, iso(entry.at_ms), entry.kind, entry.code, entry.message, entry.session_id) for entry in rows
    ]
    return Page(entries, paging(total, offset, len(entries)))


async def _get(conn: AsyncConnection, call: AnyCall) -> LivestreamRow:
    row = await livestreams.get(conn, call.app_id, call.path["livestream_id"])
    if row is None:
        raise not_found("The livestream")
    return row


async def _lock(conn: AsyncConnection, call: AnyCall) -> LivestreamRow:
    row = await livestreams.lock(conn, call.app_id, call.path["livestream_id"])
    if row is None:
        raise not_found("The livestream")
    return row


async def _log(conn: AsyncConnection, call: AnyCall, row: LivestreamRow, kind: str, message: str) -> None:
    await event_log.append(conn, row.id, at_ms=call.now_ms, kind=kind, message=message)


_LIVESTREAMS = APP + "/livestreams"
_LIVESTREAM = _LIVESTREAMS + "/{livestream_id}"

OPERATIONS = [
    Operation(
        "create_independent_livestream",
        "POST",
        _LIVESTREAMS,
        "Create an independent livestream",
        create,
        Answer[CreatedLivestream],
        permission="admin",
        body=CreateLivestream,
        status=201,
    ),
    Operation(
        "get_all_livestreams",
        "GET",
        _LIVESTREAMS,
        "Fetch all livestreams",
        list_all,
        PagedAnswer[LivestreamList],
        query=ListLivestreams,
    ),
    Operation(
        "get_livestream_session_details_for_session_id",
        "GET",
        _LIVESTREAMS + "/sessions/{session_id}",
        "Fetch livestream session details using livestream session ID",
        session_details,
        Answer[SessionDetails],
    ),
    Operation(
        "get_session_health",
        "GET",
        _LIVESTREAMS + "/sessions/{session_id}/health",
        "Fetch how a session's media arrived, second by second, with warnings in words",
        session_health,
        Answer[SessionHealth],
        query=TimeRange,
    ),
    Operation(
        "get_livestream_session_for_livestream_id",
        "GET",
        _LIVESTREAM,
        "Fetch livestream details using livestream ID",
        show,
        PagedAnswer[LivestreamWithSessions],
        query=PageQuery,
    ),
    Operation(
        "get_active_livestreams_for_livestream_id",
        "GET",
        _LIVESTREAM + "/active-livestream-session",
        "Fetch active livestream session details",
        active_session,
        Answer[LivestreamWithActiveSession],
    ),
    Operation(
        "update_livestream",
        "PATCH",
        _LIVESTREAM,
        "Rename, disable or enable a livestream, or switch its recording",
        update,
        Answer[Livestream],
        permission="admin",
        body=UpdateLivestream,
        body_required=True,
    ),
    Operation(
        "delete_livestream",
        "DELETE",
        _LIVESTREAM,
        "Delete a livestream; what it broadcast stays in the analytics",
        delete,
        Answer[Message],
        permission="admin",
    ),
    Operation(
        "reset_key",
        "POST",
        _LIVESTREAM + "/reset-key",
        "Give a livestream a new stream key",
        reset_key,
        Answer[NewKey],
        permission="admin",
    ),
    Operation(
        "stop_livestream",
        "POST",
        _LIVESTREAM + "/stop",
        "Stop the broadcast of a livestream",
        stop,
        Answer[Message],
        permission="admin",
    ),
    Operation(
        "get_livestream_events",
        "GET",
        _LIVESTREAM + "/events",
        "Fetch the event log of a livestream",
        events,
        Page[LogEntry],
        query=PageQuery,
    ),
]
