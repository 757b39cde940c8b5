"""Recordings in an app's analytics: counted once, as their file is whole, and in proportion where a range cuts them.

    recordings.counted               it is in `analytics_days`; nothing that analytics read of it changes any more
    analytics_overnight_recordings   (app, day, recording): it was going on when that day began

A recording counts by itself: two of one session are two, and minutes are those that its file plays. Clips are not
counted, nor is what came to nothing. `repository/analytics.py` has the sessions, and the questions.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import Sums, Take, day_of, day_start, milliseconds, split_take, spread_take, take
from headwater.control.repository.recordings import Span
from headwater.control.repository.roll_ups import adding
from headwater.control.tables import (
    RECORDING_NOW,
    analytics_days,
    analytics_overnight_recordings,
    livestream_sessions,
    recordings,
)

_c = recordings.c
_FACTS = (_c.started_ms, _c.stopped_ms, _c.seconds, _c.spans)


async def count(conn: AsyncConnection, recording_id: str) -> None:
    """Add a recording to the roll-ups: once, in the transaction that says that its file is whole.

    Its seconds are stored as whole milliseconds, and it has a start and an end. A clip is left out.
    """
    ours = recordings.update().where(_c.id == recording_id, _c.clip_of.is_(None), ~_c.counted)
    if (await conn.execute(ours.values(counted=True))).rowcount == 0:
        return
    row = (await conn.execute(select(_c.app_id, *_FACTS).where(_c.id == recording_id))).one()
    parts = spread_take(take_of(*row[1:]))
    await conn.execute(
        adding(conn.dialect.name, analytics_days),
        [{"app_id": row[0], "day": day, **asdict(sums)} for day, sums in parts],
    )
    if len(parts) > 1:
        rows = [{"app_id": row[0], "day": day, "recording_id": recording_id} for day, _ in parts[1:]]
        await conn.execute(analytics_overnight_recordings.insert(), rows)


def take_of(start_ms: int, end_ms: int, seconds: float | None, spans: str | None) -> Take:
    """A recording as its columns have it."""
    decoded = None if spans is None else msgspec.json.decode(spans, type=list[Span])
    return take(start_ms, end_ms, None if seconds is None else milliseconds(seconds), decoded)


async def going_on(conn: AsyncConnection, app_id: str, now_ms: int) -> list[Take]:
    """An app's recordings that are not counted yet, as they are now: one ends with its session at the latest."""
    c = livestream_sessions.c
    query = (
        select(_c.started_ms, _c.stopped_ms, _c.spans, c.stopped_ms)
        .join_from(recordings, livestream_sessions, c.id == _c.session_id, isouter=True)
        .where(_c.app_id == app_id, text(RECORDING_NOW))
    )
    found = []
    for started_ms, stopped_ms, spans, session_ms in await conn.execute(query):
        if started_ms is not None:
            end_ms = next(end for end in (stopped_ms, session_ms, now_ms) if end is not None)
            found.append(take_of(started_ms, end_ms, None, spans))
    return found


async def rest(conn: AsyncConnection, app_id: str, low: int, high: int) -> Sums:
    """Sum up a range within one day: what lies in it by the database, what reaches out of it here."""
    inside = and_(_c.started_ms >= low, _c.stopped_ms <= high)
    query = select(func.count(), func.coalesce(func.sum(_c.seconds), 0.0)).where(_begun(app_id, low, high), inside)
    number, seconds = (await conn.execute(query)).one()
    # Each recording's seconds are stored as whole milliseconds, so the sum's nearest millisecond is the exact sum.
    sums = Sums(recordings=int(number), recorded_ms=milliseconds(seconds))
    out = select(*_FACTS).where(_begun(app_id, low, high), or_(_c.started_ms < low, _c.stopped_ms > high))
    for row in await conn.execute(out.union_all(_overnight(app_id, low))):
        for _, part in split_take(take_of(*row), low, high):
            sums.add(part)
    return sums


def _begun(app_id: str, low: int, high: int) -> ColumnElement[bool]:
    """Counted recordings of a range within one day that began on that day."""
    in_it = or_(_c.stopped_ms > low, _c.started_ms >= low)
    return and_(_c.app_id == app_id, _c.counted, _c.started_ms >= day_start(low), _c.started_ms < high, in_it)


def _overnight(app_id: str, low: int) -> Select[Any]:
    """Counted recordings that were going on as a moment's day began, and at that moment."""
    columns = analytics_overnight_recordings.c
    query = select(*_FACTS).join_from(analytics_overnight_recordings, recordings, _c.id == columns.recording_id)
    return query.where(columns.app_id == app_id, columns.day == day_of(low), _c.stopped_ms > low)
