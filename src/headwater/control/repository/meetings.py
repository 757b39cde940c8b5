"""Meetings: stored; their media is another part's business."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_uuid
from headwater.control.repository.rows import columns_of, contains, many, one, page
from headwater.control.tables import meetings


@dataclass(frozen=True, slots=True)
class MeetingRow:
    """`settings` is the JSON text of everything that is not a column."""

    id: str
    app_id: str
    title: str | None
    status: str
    settings: str
    created_ms: int
    updated_ms: int


_COLUMNS = columns_of(meetings, MeetingRow)


async def create(
    conn: AsyncConnection, app_id: str, *, title: str | None, status: str, settings: str, now_ms: int
) -> MeetingRow:
    row = MeetingRow(new_uuid(), app_id, title, status, settings, now_ms, now_ms)
    await conn.execute(
        meetings.insert().values(
            id=row.id,
            app_id=app_id,
            title=title,
            status=status,
            settings=settings,
            created_ms=now_ms,
            updated_ms=now_ms,
        )
    )
    return row


async def get(conn: AsyncConnection, app_id: str, meeting_id: str) -> MeetingRow | None:
    query = select(*_COLUMNS).where(meetings.c.id == meeting_id, meetings.c.app_id == app_id)
    return one(MeetingRow, (await conn.execute(query)).one_or_none())


async def get_many(conn: AsyncConnection, meeting_ids: Iterable[str]) -> dict[str, MeetingRow]:
    """Meetings by id."""
    query = select(*_COLUMNS).where(meetings.c.id.in_(list(meeting_ids)))
    return {row.id: row for row in many(MeetingRow, (await conn.execute(query)).all())}


async def apps_of(conn: AsyncConnection, meeting_ids: Sequence[str]) -> dict[str, str]:
    """Which app each meeting belongs to; unknown ones are left out.

    Args:
        meeting_ids: Some hundreds at most: each is a parameter of one statement.
    """
    query = select(meetings.c.id, meetings.c.app_id).where(meetings.c.id.in_(meeting_ids))
    return {row.id: row.app_id for row in await conn.execute(query)}


async def lock(conn: AsyncConnection, app_id: str, meeting_id: str) -> MeetingRow | None:
    """As `get`, holding off others who lock the same meeting until this transaction ends."""
    query = select(*_COLUMNS).where(meetings.c.id == meeting_id, meetings.c.app_id == app_id).with_for_update()
    return one(MeetingRow, (await conn.execute(query)).one_or_none())


async def find_any(conn: AsyncConnection, meeting_id: str) -> MeetingRow | None:
    """A meeting of whatever app."""
    query = select(*_COLUMNS).where(meetings.c.id == meeting_id)
    return one(MeetingRow, (await conn.execute(query)).one_or_none())


async def lock_any(conn: AsyncConnection, meeting_id: str) -> MeetingRow | None:
    """A meeting of whatever app, locked: for the rooms' events."""
    query = select(*_COLUMNS).where(meetings.c.id == meeting_id).with_for_update()
    return one(MeetingRow, (await conn.execute(query)).one_or_none())


async def update(
    conn: AsyncConnection, meeting_id: str, *, title: str | None, status: str, settings: str, now_ms: int
) -> None:
    statement = meetings.update().where(meetings.c.id == meeting_id)
    await conn.execute(statement.values(title=title, status=status, settings=settings, updated_ms=now_ms))


async def list_page(
    conn: AsyncConnection,
    app_id: str,
    *,
    search: str | None,
    status: str | None,
    from_ms: int | None,
    to_ms: int | None,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[MeetingRow], int]:
    """A page of an app's meetings and how many there are; the times bound `created_ms`, both inclusive."""
    query = select(*_COLUMNS).where(meetings.c.app_id == app_id)
    if search:
        query = query.where(or_(contains(meetings.c.title, search), meetings.c.id == search))
    if status is not None:
        query = query.where(meetings.c.status == status)
    if from_ms is not None:
        query = query.where(meetings.c.created_ms >= from_ms)
    if to_ms is not None:
        query = query.where(meetings.c.created_ms <= to_ms)
    order = (meetings.c.created_ms, meetings.c.id)
    query = query.order_by(*((column.desc() for column in order) if descending else order))
    return await page(conn, MeetingRow, query, offset, limit)
