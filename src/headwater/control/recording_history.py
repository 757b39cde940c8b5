"""What the pipeline tells of recordings, written to their rows; in the transaction of the event."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository import event_log, livestreams, recordings, takes
from headwater.control.repository.event_log import plain_text
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.recordings import ENDED, RecordingRow, RecordingStatus, spans_text
from headwater.control.repository.sessions import SessionRow
from headwater.events import RecordingChanged, RecordingFailed, RecordingReady, SessionClosed

ON_START = "RECORD_ON_START"
BY_CALL = "API_CALL"
ALL_LEFT = "ALL_PEERS_LEFT"
BROKEN = "INTERNAL_ERROR"

ERR_MESSAGE_LIMIT = 1024
PREFIX_LIMIT = 100


def file_name(livestream: LivestreamRow, at_ms: int, prefix: str = "") -> str:
    """What a download is saved as: the livestream's name and the time."""
    moment = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    return f"{prefix}{(livestream.name or livestream.id)[:100]}_{moment}.mp4"


def safe_prefix(text: str) -> str:
    """What a meeting asks for, as far as a file's name takes it."""
    return "".join(character for character in text if character.isalnum() or character in "-_. ")[:PREFIX_LIMIT]


def new_row(
    livestream: LivestreamRow, recording_id: str, session_id: str, node: str, reason: str, at_ms: int, prefix: str = ""
) -> RecordingRow:
    """A recording that is asked for and has not begun."""
    return RecordingRow(
        id=recording_id,
        app_id=livestream.app_id,
        livestream_id=livestream.id,
        session_id=session_id,
        node=node,
        status=RecordingStatus.INVOKED.value,
        file_name=file_name(livestream, at_ms, prefix),
        start_reason=reason,
        stop_reason=None,
        invoked_ms=at_ms,
        started_ms=None,
        stopped_ms=None,
        seconds=None,
        spans=None,
        path=None,
        file_size=None,
        err_message=None,
        clip_of=None,
        clip_start=None,
        clip_end=None,
        remote=None,
        sha256=None,
        removed_ms=None,
        created_ms=at_ms,
        updated_ms=at_ms,
    )


async def record(conn: AsyncConnection, event: RecordingChanged | RecordingReady | RecordingFailed, node: str) -> None:
    """Write one event; one that comes twice changes nothing the second time."""
    match event:
        case RecordingChanged():
            await _changed(conn, event, node)
        case RecordingReady():
            await _ready(conn, event)
        case RecordingFailed():
            row = await recordings.find_any(conn, event.recording_id)
            if row is not None and row.status not in ENDED:
                await fail(conn, row, event.error, event.at_ms)


async def _changed(conn: AsyncConnection, event: RecordingChanged, node: str) -> None:
    row = await recordings.find_any(conn, event.recording_id)
    if row is None:
        livestream = await livestreams.find_any(conn, event.livestream_id)
        if livestream is None:
            return
        row = new_row(livestream, event.recording_id, event.session_id, node, event.reason, event.at_ms)
        await recordings.insert(conn, row)
    if row.status in ENDED:
        return
    status = RecordingStatus(event.status)
    stopped = status is RecordingStatus.UPLOADING
    await recordings.change(
        conn,
        row,
        status,
        event.at_ms,
        spans=spans_text(event.spans),
        started_ms=row.started_ms if row.started_ms is not None else event.at_ms,
        stopped_ms=event.at_ms if stopped else None,
        stop_reason=event.reason if stopped else None,
    )


async def _ready(conn: AsyncConnection, event: RecordingReady) -> None:
    row = await recordings.find_any(conn, event.recording_id)
    if row is None or row.status in ENDED or row.path is not None:
        return
    started_ms = row.started_ms if row.started_ms is not None else row.invoked_ms
    stopped_ms = row.stopped_ms if row.stopped_ms is not None else event.end_ms
    row = await recordings.change(
        conn,
        row,
        RecordingStatus.UPLOADING if event.to_store else RecordingStatus.UPLOADED,
        event.at_ms,
        path=event.path,
        file_size=event.size,
        seconds=round(event.seconds, 3),
        started_ms=started_ms,
        stopped_ms=max(stopped_ms, started_ms),  # the clock may have been set back
        stop_reason=row.stop_reason or event.reason,
    )
    await takes.count(conn, row.id)
    kind, what = ("recorded", "recording") if row.clip_of is None else ("clipped", "clip")
    await _log(conn, row, kind, f"The {what} is ready: {event.path}", event.at_ms)


async def fail(conn: AsyncConnection, row: RecordingRow, error: str, at_ms: int) -> None:
    """A recording of which nothing came."""
    error = plain_text(error, ERR_MESSAGE_LIMIT)
    stopped_ms = row.stopped_ms if row.stopped_ms is not None else at_ms
    reason = row.stop_reason or BROKEN
    row = await recordings.change(
        conn, row, RecordingStatus.ERRORED, at_ms, err_message=error, stopped_ms=stopped_ms, stop_reason=reason
    )
    await _log(conn, row, "recording_failed", error, at_ms, error.partition(":")[0])


async def _log(conn: AsyncConnection, row: RecordingRow, kind: str, message: str, at_ms: int, code: str = "") -> None:
    await event_log.append(
        conn, row.livestream_id, session_id=row.session_id, at_ms=at_ms, kind=kind, code=code, message=message
    )


async def session_closed(conn: AsyncConnection, event: SessionClosed, session: SessionRow) -> None:
    """A session's recording that nobody has told of before: its row was lost with its events."""
    assert event.recording is not None
    if await recordings.of_session(conn, session.id):
        return
    await whole_session(conn, session, event.recording, event.ingest_seconds, None, event.at_ms, event.at_ms)
    message = f"The recording is ready: {event.recording}"
    await event_log.append(
        conn, session.livestream_id, session_id=session.id, at_ms=event.at_ms, kind="recorded", message=message
    )


async def whole_session(
    conn: AsyncConnection,
    session: SessionRow,
    path: str,
    seconds: float,
    size: int | None,
    stopped_ms: int,
    now_ms: int,
) -> None:
    """The recording of a whole session, its row made now."""
    livestream = await livestreams.find_any(conn, session.livestream_id)
    assert livestream is not None, "a session has a livestream"
    row = new_row(livestream, session.id, session.id, session.node, ON_START, session.started_ms)
    await recordings.insert(conn, row)
    await recordings.change(
        conn,
        row,
        RecordingStatus.UPLOADED,
        now_ms,
        path=path,
        seconds=round(seconds, 3),
        file_size=size,
        started_ms=session.started_ms,
        stopped_ms=max(stopped_ms, session.started_ms),
        stop_reason=ALL_LEFT,
    )
    await takes.count(conn, row.id)
