"""An app's analytics: roll-ups that are written together with the end of a session, and questions to them.

    analytics_days             (app, day) ─► sums
    analytics_livestream_days  (livestream, day): it was broadcast on that day
    analytics_returns          (app, day, previous day) ─► livestreams, see `headwater.analytics.returns`
    analytics_overnight        (app, day, session): it was open when that day began

A question reads a row a day. Only the parts of a range that are no whole days are summed up from sessions: those that
began on that day, by index, and those of `analytics_overnight`. Open sessions are in no roll-up; the caller adds them.
Recordings are counted by themselves: `repository/takes.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, text, union
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import (
    Spell,
    Sums,
    Take,
    cut,
    day_of,
    day_start,
    days_of,
    milliseconds,
    split,
    split_take,
    spread,
)
from headwater.analytics.returns import NEVER, changes
from headwater.control.repository import takes
from headwater.control.repository.roll_ups import adding
from headwater.control.tables import (
    analytics_days,
    analytics_livestream_days,
    analytics_overnight,
    analytics_returns,
    livestream_sessions,
)

_c = livestream_sessions.c

IDS_OF_A_QUESTION = 500
"""Values of one IN: databases take some thousands of parameters."""

_SUMS = [field.name for field in fields(Sums)]
_SESSION_SUMS = _SUMS[:4]


@dataclass(frozen=True, slots=True)
class Running:
    """An open session with its totals so far."""

    livestream_id: str
    spell: Spell


@dataclass(frozen=True, slots=True)
class Totals:
    """What an app's sessions of a time range add up to; `livestreams` counts those that had one."""

    livestreams: int
    sums: Sums


async def count(conn: AsyncConnection, app_id: str, livestream_id: str, session_id: str, spell: Spell) -> None:
    """Add a session that has ended to the roll-ups: once, in the transaction that closes it.

    The caller holds the livestream's lock. Rows are written in order, so that those who do the same wait for each other
    and never in a circle.
    """
    parts = spread(spell)
    await conn.execute(
        adding(conn.dialect.name, analytics_days),
        [{"app_id": app_id, "day": day, **asdict(sums)} for day, sums in parts],
    )
    days = [day for day, _ in parts]
    if len(days) > 1:
        rows = [{"app_id": app_id, "day": day, "session_id": session_id} for day in days[1:]]
        await conn.execute(analytics_overnight.insert(), rows)
    await _count_livestream(conn, app_id, livestream_id, days)


async def _count_livestream(conn: AsyncConnection, app_id: str, livestream_id: str, days: Sequence[int]) -> None:
    columns = analytics_livestream_days.c
    of_it = columns.livestream_id == livestream_id
    query = select(columns.day).where(of_it, columns.day.between(days[0], days[-1]))
    known = set((await conn.execute(query)).scalars())
    new = [day for day in days if day not in known]
    if not new:
        return
    before = select(func.max(columns.day)).where(of_it, columns.day < days[0]).scalar_subquery()
    after = select(func.min(columns.day)).where(of_it, columns.day > days[-1]).scalar_subquery()
    previous, following = (await conn.execute(select(before, after))).one()
    change = sorted(changes(known, new, NEVER if previous is None else previous, following).items())
    rows = [{"livestream_id": livestream_id, "day": day} for day in new]
    await conn.execute(analytics_livestream_days.insert(), rows)
    await conn.execute(
        adding(conn.dialect.name, analytics_returns),
        [{"app_id": app_id, "day": day, "previous_day": gone, "livestreams": by} for (day, gone), by in change],
    )


async def hold_still(conn: AsyncConnection) -> None:
    """Let all questions of this transaction, this being its first, see one state: no session is open and ended too."""
    if conn.dialect.name != "sqlite":  # where a transaction is so by itself
        await conn.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        # Each reads some thousand rows by index; starting processes for that takes ten times as long.
        await conn.execute(text("SET LOCAL max_parallel_workers_per_gather = 0"))


async def by_day(
    conn: AsyncConnection,
    app_id: str,
    from_ms: int,
    to_ms: int,
    running: Iterable[Running],
    recording: Iterable[Take] = (),
) -> dict[int, Sums]:
    """Each day of a range, also the empty ones.

    Args:
        recording: Recordings that are not counted yet, as they are now.
    """
    days = {day: Sums() for day in days_of(from_ms, to_ms)}
    for row in await conn.execute(_whole_days(app_id, from_ms, to_ms)):
        days[row[0]].add(_sums(row[1:]))
    for low, high in cut(from_ms, to_ms).rests:
        days[day_of(low)].add(await _rest(conn, app_id, low, high))
        days[day_of(low)].add(await takes.rest(conn, app_id, low, high))
    for session in running:
        for day, sums in split(session.spell, from_ms, to_ms):
            days[day].add(sums)
    for take in recording:
        for day, sums in split_take(take, from_ms, to_ms):
            days[day].add(sums)
    return days


async def totals(conn: AsyncConnection, app_id: str, from_ms: int, to_ms: int, running: Sequence[Running]) -> Totals:
    """Sum up a range; of the sessions alone, since nobody asks for recordings without days."""
    columns = [func.coalesce(func.sum(analytics_days.c[name]), 0) for name in _SESSION_SUMS]
    query = _whole_days(app_id, from_ms, to_ms).with_only_columns(*columns)
    sums = _sums((await conn.execute(query)).one())
    for low, high in cut(from_ms, to_ms).rests:
        sums.add(await _rest(conn, app_id, low, high))
    live: set[str] = set()
    for session in running:
        for _, part in split(session.spell, from_ms, to_ms):
            sums.add(part)
            live.add(session.livestream_id)
    return Totals(await _livestreams(conn, app_id, from_ms, to_ms, live), sums)


def _whole_days(app_id: str, from_ms: int, to_ms: int) -> Select[Any]:
    columns, days = analytics_days.c, cut(from_ms, to_ms).days
    query = select(columns.day, *(columns[name] for name in _SUMS))
    return query.where(columns.app_id == app_id, _within(columns.day, days))


def _sums(values: Sequence[Any]) -> Sums:
    return Sums(*(int(value) for value in values))


async def _rest(conn: AsyncConnection, app_id: str, low: int, high: int) -> Sums:
    """Sum up a range within one day: what lies in it by the database, what reaches out of it here."""
    inside = and_(_c.started_ms >= low, _c.known_ms <= high)
    begun = _begun(app_id, low, high)
    query = select(
        func.count(),
        func.coalesce(func.sum(_c.known_ms - _c.started_ms), 0),
        func.coalesce(func.sum(_c.ingest_seconds), 0.0),
        func.coalesce(func.sum(_c.viewer_seconds), 0.0),
    )
    sessions, ms, ingest, viewer = (await conn.execute(query.where(*begun, inside))).one()
    # Each session's seconds are stored as whole milliseconds, so the sum's nearest millisecond is the exact sum.
    sums = Sums(int(sessions), int(ms), milliseconds(ingest), milliseconds(viewer))
    columns = (_c.started_ms, _c.known_ms, _c.ingest_seconds, _c.viewer_seconds)
    out = select(*columns).where(*begun, or_(_c.started_ms < low, _c.known_ms > high))
    overnight = _overnight(app_id, low).with_only_columns(*columns, maintain_column_froms=True)
    for row in await conn.execute(out.union_all(overnight)):
        for _, part in split(spell_of(*row), low, high):
            sums.add(part)
    return sums


def spell_of(start_ms: int, end_ms: int, ingest_seconds: float, viewer_seconds: float) -> Spell:
    return Spell(start_ms, end_ms, milliseconds(ingest_seconds), milliseconds(viewer_seconds))


def _begun(app_id: str, low: int, high: int) -> Sequence[ColumnElement[bool]]:
    """Ended sessions of a range within one day that began on that day."""
    in_it = or_(_c.known_ms > low, _c.started_ms >= low)
    return _c.app_id == app_id, _c.counted, _c.started_ms >= day_start(low), _c.started_ms < high, in_it


def _overnight(app_id: str, low: int) -> Select[Any]:
    """Ended sessions that were open as a moment's day began, and at that moment."""
    columns = analytics_overnight.c
    query = select(_c.livestream_id).join_from(analytics_overnight, livestream_sessions, _c.id == columns.session_id)
    return query.where(columns.app_id == app_id, columns.day == day_of(low), _c.known_ms > low)


async def _livestreams(conn: AsyncConnection, app_id: str, from_ms: int, to_ms: int, live: set[str]) -> int:
    """How many livestreams had a session in a range; `live` are those that have an open one in it."""
    parts = cut(from_ms, to_ms)
    columns, whole = analytics_returns.c, parts.days
    query = select(func.coalesce(func.sum(columns.livestreams), 0)).where(
        columns.app_id == app_id, _within(columns.day, whole), columns.previous_day < whole.start
    )
    number = int((await conn.execute(query)).scalar_one())
    others = set(live) - await _broadcast_on(conn, sorted(live), whole)
    if parts.rests:
        touched = union(*(query for rest in parts.rests for query in _touched(app_id, *rest))).subquery()
        days = analytics_livestream_days.c
        there = exists().where(days.livestream_id == touched.c.livestream_id, _within(days.day, whole))
        others.update((await conn.execute(select(touched.c.livestream_id).where(~there))).scalars())
    return number + len(others)


def _touched(app_id: str, low: int, high: int) -> tuple[Select[Any], Select[Any]]:
    return select(_c.livestream_id).where(*_begun(app_id, low, high)), _overnight(app_id, low)


async def _broadcast_on(conn: AsyncConnection, livestream_ids: Sequence[str], days: range) -> set[str]:
    """Those of some livestreams that have an ended session on some days."""
    columns = analytics_livestream_days.c
    found: set[str] = set()
    for start in range(0, len(livestream_ids), IDS_OF_A_QUESTION):
        some = livestream_ids[start : start + IDS_OF_A_QUESTION]
        query = (
            select(columns.livestream_id).distinct().where(columns.livestream_id.in_(some), _within(columns.day, days))
        )
        found.update((await conn.execute(query)).scalars())
    return found


def _within(day: ColumnElement[int], days: range) -> ColumnElement[bool]:
    return and_(day >= days.start, day < days.stop)
