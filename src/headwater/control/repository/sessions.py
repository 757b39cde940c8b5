"""Livestream sessions: one broadcast each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

from sqlalchemy import bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import Spell, milliseconds
from headwater.control.repository import analytics
from headwater.control.repository.rows import columns_of, many, one, page
from headwater.control.tables import livestream_sessions, livestreams, session_health


@dataclass(frozen=True, slots=True)
class SessionRow:
    id: str
    livestream_id: str
    app_id: str
    node: str
    invoked_ms: int
    started_ms: int
    stopped_ms: int | None
    known_ms: int
    ingest_seconds: float
    viewer_seconds: float
    err_message: str | None
    recording: str | None
    encoder: str
    created_ms: int
    updated_ms: int


_COLUMNS = columns_of(livestream_sessions, SessionRow)
_c = livestream_sessions.c


async def insert(conn: AsyncConnection, row: SessionRow) -> None:
    values = {field.name: getattr(row, field.name) for field in fields(row)}
    await conn.execute(livestream_sessions.insert().values(**values))


async def get(conn: AsyncConnection, app_id: str, session_id: str) -> SessionRow | None:
    query = select(*_COLUMNS).where(_c.id == session_id, _c.app_id == app_id)
    return one(SessionRow, (await conn.execute(query)).one_or_none())


async def find_any(conn: AsyncConnection, session_id: str) -> SessionRow | None:
    """A session of whatever app: for the pipeline's events."""
    return one(SessionRow, (await conn.execute(select(*_COLUMNS).where(_c.id == session_id))).one_or_none())


@dataclass(frozen=True, slots=True)
class Place:
    """What of a session never changes: whose it is, and since when."""

    id: str
    app_id: str
    started_ms: int


PLACES_LIMIT = 500
"""Ids of one statement: databases bound its parameters."""


async def places(conn: AsyncConnection, session_ids: Sequence[str]) -> dict[str, Place]:
    """Sessions of whatever apps, by id; one that is not there is left out."""
    found: dict[str, Place] = {}
    for start in range(0, len(session_ids), PLACES_LIMIT):
        query = select(*columns_of(livestream_sessions, Place))
        query = query.where(_c.id.in_(session_ids[start : start + PLACES_LIMIT]))
        found |= {place.id: place for place in many(Place, (await conn.execute(query)).all())}
    return found


async def open_of(conn: AsyncConnection, livestream_id: str) -> SessionRow | None:
    query = select(*_COLUMNS).where(_c.livestream_id == livestream_id, _c.stopped_ms.is_(None))
    return one(SessionRow, (await conn.execute(query)).one_or_none())


async def latest_of(conn: AsyncConnection, livestream_id: str, *, but: str | None = None) -> SessionRow | None:
    """The newest session of a livestream, `but` one left out."""
    query = select(*_COLUMNS).where(_c.livestream_id == livestream_id)
    if but is not None:
        query = query.where(_c.id != but)
    query = query.order_by(_c.started_ms.desc(), _c.id.desc()).limit(1)
    return one(SessionRow, (await conn.execute(query)).one_or_none())


async def list_page(
    conn: AsyncConnection, livestream_id: str, *, offset: int, limit: int
) -> tuple[list[SessionRow], int]:
    """A page of a livestream's sessions, the newest first, and how many there are."""
    query = select(*_COLUMNS).where(_c.livestream_id == livestream_id)
    query = query.order_by(_c.started_ms.desc(), _c.id.desc())
    return await page(conn, SessionRow, query, offset, limit)


async def of_meeting(
    conn: AsyncConnection, meeting_id: str, from_ms: int, to_ms: int | None, *, offset: int, limit: int
) -> tuple[list[SessionRow], int]:
    """A page of the broadcasts of a meeting in a time, the newest first, and how many there are."""
    query = select(*_COLUMNS).join(livestreams, livestreams.c.id == _c.livestream_id)
    query = query.where(livestreams.c.meeting_id == meeting_id, _c.known_ms >= from_ms)
    if to_ms is not None:
        query = query.where(_c.started_ms <= to_ms)
    return await page(conn, SessionRow, query.order_by(_c.started_ms.desc(), _c.id.desc()), offset, limit)


async def left_open(conn: AsyncConnection, node: str) -> list[SessionRow]:
    """Sessions of this server that nobody has closed."""
    query = select(*_COLUMNS).where(_c.stopped_ms.is_(None), _c.node == node).order_by(_c.started_ms)
    return many(SessionRow, (await conn.execute(query)).all())


async def open_of_app(conn: AsyncConnection, app_id: str) -> list[SessionRow]:
    query = select(*_COLUMNS).where(_c.stopped_ms.is_(None), _c.app_id == app_id)
    return many(SessionRow, (await conn.execute(query)).all())


def spell_of(row: SessionRow) -> Spell:
    """A session as analytics see it."""
    ingest_ms, viewer_ms = milliseconds(row.ingest_seconds), milliseconds(row.viewer_seconds)
    return Spell(row.started_ms, max(row.known_ms, row.started_ms), ingest_ms, viewer_ms)


async def close(conn: AsyncConnection, row: SessionRow, stopped_ms: int, now_ms: int) -> bool:
    """End an open session, and count it in the app's analytics, once and for good.

    A session that failed before any media came was no broadcast and is not counted.

    Args:
        row: With its final totals, error and recording.

    Returns:
        False where it was ended before: it stays as it is.
    """
    stopped_ms = max(stopped_ms, row.started_ms)  # the clock may have been set back
    ingest_seconds, viewer_seconds = round(row.ingest_seconds, 3), round(row.viewer_seconds, 3)
    counted = row.err_message is None or ingest_seconds > 0
    values = {
        "stopped_ms": stopped_ms,
        "known_ms": stopped_ms,
        "ingest_seconds": ingest_seconds,
        "viewer_seconds": viewer_seconds,
        "err_message": row.err_message,
        "recording": row.recording,
        "counted": counted,
        "updated_ms": now_ms,
    }
    statement = livestream_sessions.update().where(_c.id == row.id, _c.stopped_ms.is_(None)).values(**values)
    if (await conn.execute(statement)).rowcount == 0:
        return False
    if counted:
        spell = spell_of(
            replace(row, known_ms=stopped_ms, ingest_seconds=ingest_seconds, viewer_seconds=viewer_seconds)
        )
        await analytics.count(conn, row.app_id, row.livestream_id, row.id, spell)
    return True


async def delete(conn: AsyncConnection, session_id: str) -> None:
    """Delete a session that is in no analytics."""
    await conn.execute(session_health.delete().where(session_health.c.session_id == session_id))
    await conn.execute(livestream_sessions.delete().where(_c.id == session_id))


@dataclass(frozen=True, slots=True)
class Progress:
    """Totals of an open session, as known at `at_ms`."""

    session_id: str
    at_ms: int
    ingest_seconds: float
    viewer_seconds: float


_PROGRESS = (
    livestream_sessions.update()
    .where(_c.id == bindparam("of"), _c.stopped_ms.is_(None))
    .values(
        known_ms=bindparam("at"),
        updated_ms=bindparam("at"),
        ingest_seconds=bindparam("ingest"),
        viewer_seconds=bindparam("viewer"),
    )
)


async def save_progress(conn: AsyncConnection, progress: Sequence[Progress]) -> None:
    """Write many sessions' totals in one go; a session that has been closed keeps its final ones."""
    if not progress:
        return
    values = [
        {"of": entry.session_id, "at": entry.at_ms, "ingest": entry.ingest_seconds, "viewer": entry.viewer_seconds}
        for entry in progress
    ]
    await conn.execute(_PROGRESS, values)
