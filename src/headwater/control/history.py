"""What the pipeline's events mean for the stored state: each is written in the transaction of the caller.

Every function is idempotent and tolerates what it cannot know (a deleted livestream, a session that was closed by
recovery, an event that was lost before it), because events carry totals and not increments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control import recording_history
from headwater.control.ids import new_uuid
from headwater.control.lifecycle import Happening, Status, follow
from headwater.control.repository import event_log, experiences, health, livestreams, recordings, sessions
from headwater.control.repository.event_log import plain_text
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.sessions import Progress, SessionRow
from headwater.control.webhooks import outbox
from headwater.events import (
    Event,
    PublishRejected,
    RecordingChanged,
    RecordingFailed,
    RecordingReady,
    SessionClosed,
    SessionExperience,
    SessionHealth,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
    SessionResumed,
    SessionWarning,
)

ENCODER_LIMIT = 255
ERR_MESSAGE_LIMIT = 1024


async def record(conn: AsyncConnection, event: Event, node: str) -> None:
    """Write one event.

    Args:
        node: This server's name in `livestream_sessions.node`.
    """
    match event:
        case SessionProgress():
            progress = Progress(event.session_id, event.at_ms, event.ingest_seconds, event.viewer_seconds)
            await sessions.save_progress(conn, [progress])
        case PublishRejected():
            await _rejected(conn, event)
        case SessionOpened():
            await _opened(conn, event, node)
        case SessionPlayable():
            await _happened(conn, event, Happening.PLAYABLE, "live", "The livestream can be watched.")
        case SessionInterrupted():
            message = f"The publisher is gone ({event.reason}); it may come back until {_time(event.until_ms)}."
            await _happened(conn, event, Happening.INTERRUPTED, "interrupted", message)
        case SessionResumed():
            message = "Another publisher took over." if event.takeover else "The publisher is back."
            await _happened(conn, event, Happening.RESUMED, "resumed", message)
        case SessionWarning():
            if await livestreams.find_any(conn, event.livestream_id) is not None:
                await _log(conn, event, "warning", event.message, event.code)
        case SessionHealth():
            if await sessions.find_any(conn, event.session_id) is not None:
                await health.append(conn, event.session_id, event.samples)
        case SessionClosed():
            await _closed(conn, event)
        case SessionExperience():
            await experiences.save(conn, event.session_id, event.livestream_id, event.packed, event.at_ms)
        case RecordingChanged() | RecordingReady() | RecordingFailed():
            await recording_history.record(conn, event, node)


def _time(at_ms: int) -> str:
    """Wall-clock milliseconds in words."""
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


async def _log(
    conn: AsyncConnection,
    event: SessionOpened | SessionPlayable | SessionInterrupted | SessionResumed | SessionWarning | SessionClosed,
    kind: str,
    message: str,
    code: str = "",
) -> None:
    await event_log.append(
        conn,
        event.livestream_id,
        session_id=event.session_id,
        at_ms=event.at_ms,
        kind=kind,
        code=code,
        message=message,
    )


async def _change_status(
    conn: AsyncConnection,
    livestream: LivestreamRow,
    happening: Happening,
    at_ms: int,
    session_id: str,
    error: str | None = None,
) -> None:
    status = follow(Status(livestream.status), happening)
    if status != livestream.status:
        await livestreams.update(conn, livestream.id, at_ms, status=status.value)
        await outbox.livestream_status(conn, livestream, status.value, at_ms, session_id=session_id, error=error)


async def _opened(conn: AsyncConnection, event: SessionOpened, node: str) -> None:
    livestream = await livestreams.find_any(conn, event.livestream_id)
    if livestream is None or await sessions.find_any(conn, event.session_id) is not None:
        return
    before = await sessions.open_of(conn, livestream.id)
    if before is not None:  # its close was lost; there is one open session of a livestream at a time
        await sessions.close(conn, before, before.known_ms, event.at_ms)
    invoked = livestream.invoked_ms if livestream.status == Status.INVOKED else event.at_ms
    await sessions.insert(conn, _new_session(livestream, event.session_id, node, event.at_ms, invoked, event.encoder))
    await _log(conn, event, "opened", f"Media is arriving from {event.remote} ({event.encoder}).")
    await _change_status(conn, livestream, Happening.OPENED, event.at_ms, event.session_id)


def _new_session(
    livestream: LivestreamRow, session_id: str, node: str, at_ms: int, invoked_ms: int, encoder: str
) -> SessionRow:
    return SessionRow(
        id=session_id,
        livestream_id=livestream.id,
        app_id=livestream.app_id,
        node=node,
        invoked_ms=min(invoked_ms, at_ms),
        started_ms=at_ms,
        stopped_ms=None,
        known_ms=at_ms,
        ingest_seconds=0.0,
        viewer_seconds=0.0,
        err_message=None,
        recording=None,
        encoder=plain_text(encoder, ENCODER_LIMIT),
        created_ms=at_ms,
        updated_ms=at_ms,
    )


async def _happened(
    conn: AsyncConnection,
    event: SessionPlayable | SessionInterrupted | SessionResumed,
    happening: Happening,
    kind: str,
    message: str,
) -> None:
    livestream = await livestreams.find_any(conn, event.livestream_id)
    session = await sessions.find_any(conn, event.session_id)
    if livestream is None or session is None or session.stopped_ms is not None:
        return
    await _change_status(conn, livestream, happening, event.at_ms, event.session_id)
    await _log(conn, event, kind, message)


async def _closed(conn: AsyncConnection, event: SessionClosed) -> None:
    livestream = await livestreams.find_any(conn, event.livestream_id)
    session = await sessions.find_any(conn, event.session_id)
    if livestream is None or session is None or session.stopped_ms is not None:
        return
    error = None if event.error is None else plain_text(event.error, ERR_MESSAGE_LIMIT)
    final = replace(
        session,
        ingest_seconds=event.ingest_seconds,
        viewer_seconds=event.viewer_seconds,
        err_message=error,
        recording=event.recording,
    )
    await sessions.close(conn, final, event.at_ms, event.at_ms)
    happening = Happening.ENDED if error is None else Happening.FAILED
    await _change_status(conn, livestream, happening, event.at_ms, session.id, error)
    if error is not None and event.ingest_seconds == 0:
        await _forget_same_failure(conn, session, error)
    if error is None:
        await _log(conn, event, "closed", "The session has ended.")
    else:
        await _log(conn, event, "failed", error, error.partition(":")[0])
    if event.recording is not None:
        await recording_history.session_closed(conn, event, session)


async def _forget_same_failure(conn: AsyncConnection, failed: SessionRow, error: str) -> None:
    """An encoder tries again every few seconds: of the same failure in a row, before any media, the newest is kept."""
    before = await sessions.latest_of(conn, failed.livestream_id, but=failed.id)
    if before is not None and before.err_message == error and before.ingest_seconds == 0:
        await experiences.delete(conn, before.id)
        await sessions.delete(conn, before.id)


async def fail(conn: AsyncConnection, livestream_id: str, node: str, at_ms: int, error: str) -> None:
    """A broadcast that was asked for failed, and no session of it is open: its session says why."""
    livestream = await livestreams.find_any(conn, livestream_id)
    if livestream is None or await sessions.open_of(conn, livestream.id) is not None:
        return
    error = plain_text(error, ERR_MESSAGE_LIMIT)
    invoked = livestream.invoked_ms if livestream.status == Status.INVOKED else at_ms
    session = replace(_new_session(livestream, new_uuid(), node, at_ms, invoked, ""), err_message=error)
    await sessions.insert(conn, session)
    await sessions.close(conn, session, at_ms, at_ms)
    await _change_status(conn, livestream, Happening.FAILED, at_ms, session.id, error)
    await _forget_same_failure(conn, session, error)
    await event_log.append(
        conn,
        livestream.id,
        session_id=session.id,
        at_ms=at_ms,
        kind="failed",
        code=error.partition(":")[0],
        message=error,
    )


async def _rejected(conn: AsyncConnection, event: PublishRejected) -> None:
    """A refusal is in the log of the livestream that was meant; one that is a failed broadcast has its session too."""
    if event.livestream_id is None or await livestreams.find_any(conn, event.livestream_id) is None:
        return
    message = f"{event.description} (from {event.remote}, {event.encoder})"
    await event_log.append(
        conn, event.livestream_id, at_ms=event.at_ms, kind="rejected", code=event.code, message=message
    )


@dataclass(frozen=True, slots=True)
class Recovered:
    """What was recorded of a session that a crash left open.

    Attributes:
        path: Of its recording, below the data folder.
        end_ms: Wall time at which the recorded media ends.
        seconds: How long the recording plays.
        size: Bytes.
    """

    path: str
    end_ms: int
    seconds: float
    size: int | None = None


async def recover(conn: AsyncConnection, session: SessionRow, recording: Recovered | None, now_ms: int) -> None:
    """Close a session that a crash of this server left open, with what is durable of it.

    The last progress is some seconds older than the crash; the recording is not, so the session ends where its
    recording ends. Both hold at least: the recording may have stopped before the broadcast did (a full disk). Nothing
    is made up: without a recording the last progress stands, as it does for the viewers' seconds.
    """
    stopped_ms, ingest_seconds = session.known_ms, session.ingest_seconds
    if recording is not None:
        stopped_ms = max(stopped_ms, min(recording.end_ms, now_ms))
        # Ingest time is wall time: media that came faster than it plays is no more than the session lasted.
        ingest_seconds = max(ingest_seconds, min(recording.seconds, (stopped_ms - session.started_ms) / 1000))
    livestream = await livestreams.find_any(conn, session.livestream_id)
    assert livestream is not None
    path = None if recording is None else recording.path
    final = replace(session, ingest_seconds=ingest_seconds, recording=path)
    if not await sessions.close(conn, final, stopped_ms, now_ms):
        return
    await _change_status(conn, livestream, Happening.ENDED, now_ms, session.id)
    if recording is not None and not await recordings.of_session(conn, session.id):
        await recording_history.whole_session(
            conn, session, recording.path, recording.seconds, recording.size, stopped_ms, now_ms
        )
    where = "where it was last known" if recording is None else "with its recording"
    await event_log.append(
        conn,
        session.livestream_id,
        session_id=session.id,
        at_ms=now_ms,
        kind="recovered",
        message=f"The server stopped without closing the session; it ends {where}.",
    )
