"""Aggregates of livestream sessions, computed by the database where it can.

The table is an argument: it belongs to the control plane. It has the columns `app_id`, `livestream_id`, `started_ms`,
`known_ms` (the end, or until when the totals are known), `ingest_seconds`, `viewer_seconds` and `recording`, and an
index on (`app_id`, `known_ms`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, case, func, literal, not_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import DAY_MS, Day, Spell, add, days_of


@dataclass(frozen=True, slots=True)
class Totals:
    """What an app's sessions of a time range add up to; `livestreams` counts those that had one."""

    livestreams: int
    ingest_seconds: float
    viewer_seconds: float


async def totals(conn: AsyncConnection, sessions: Table, app_id: str, from_ms: int, to_ms: int) -> Totals:
    """Sum up the sessions of a range; those that reach out of it count in proportion. One pass of the index."""
    if to_ms <= from_ms:
        return Totals(0, 0.0, 0.0)
    columns = sessions.c
    low = case((columns.started_ms < from_ms, literal(from_ms)), else_=columns.started_ms)
    high = case((columns.known_ms > to_ms, literal(to_ms)), else_=columns.known_ms)
    length = columns.known_ms - columns.started_ms
    share = case((length <= 0, literal(1.0)), else_=(high - low) * literal(1.0) / func.nullif(length, 0))
    query = select(
        func.count(columns.livestream_id.distinct()),
        func.coalesce(func.sum(columns.ingest_seconds * share), 0.0),
        func.coalesce(func.sum(columns.viewer_seconds * share), 0.0),
    ).where(columns.app_id == app_id, _touches(columns, from_ms, to_ms))
    livestreams, ingest, viewer = (await conn.execute(query)).one()
    return Totals(int(livestreams), float(ingest), float(viewer))


async def by_day(conn: AsyncConnection, sessions: Table, app_id: str, from_ms: int, to_ms: int) -> list[Day]:
    """Each day of a range, also the empty ones.

    Sessions that lie within one day and within the range are summed up by the database; the few that cross midnight or
    an end of the range are split here.
    """
    days = days_of(from_ms, to_ms)
    columns = sessions.c
    day = columns.started_ms // DAY_MS
    whole = and_(day == columns.known_ms // DAY_MS, columns.started_ms >= from_ms, columns.known_ms < to_ms)
    mine = and_(columns.app_id == app_id, _touches(columns, from_ms, to_ms))
    recorded = columns.recording.is_not(None)
    grouped = select(
        day,
        func.count(),
        func.sum(columns.known_ms - columns.started_ms),
        func.sum(columns.ingest_seconds),
        func.sum(columns.viewer_seconds),
        func.sum(case((recorded, 1), else_=0)),
        func.sum(case((recorded, columns.ingest_seconds), else_=0.0)),
    )
    for row in await conn.execute(grouped.where(mine, whole).group_by(day)):
        number, *sums = row
        start = int(number) * DAY_MS
        count, session_ms, ingest, viewer, recordings, recorded_seconds = sums
        days[start] = Day(
            start, int(count), float(session_ms), float(ingest), float(viewer), int(recordings), float(recorded_seconds)
        )
    split = select(
        columns.started_ms, columns.known_ms, columns.ingest_seconds, columns.viewer_seconds, recorded
    ).where(mine, not_(whole))
    async for row in await conn.stream(split):
        add(days, Spell(*row), from_ms, to_ms)
    return list(days.values())


def _touches(columns: Any, from_ms: int, to_ms: int) -> ColumnElement[bool]:
    """Sessions with time in the range, and those that began in it and were over at once."""
    # The first condition repeats what follows from the second, as a bound that the index can use.
    return and_(
        columns.known_ms >= from_ms,
        columns.started_ms < to_ms,
        or_(columns.known_ms > from_ms, columns.started_ms >= from_ms),
    )
