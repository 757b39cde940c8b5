"""Meeting sessions: from the first participant to the last, and who was in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository.rows import columns_of, contains, many, one, page
from headwater.control.tables import meeting_peers, meeting_sessions, meetings


@dataclass(frozen=True, slots=True)
class MeetingSessionRow:
    """Attributes:
    live: How many are inside.
    live_joined_ms: When those came, added up.
    left_ms: How long those were inside together who have left.
    most: How many were inside at once.
    title: The meeting's, as it is now.
    """

    id: str
    app_id: str
    meeting_id: str
    node: str
    started_ms: int
    ended_ms: int | None
    known_ms: int
    end_reason: str | None
    live: int
    live_joined_ms: int
    left_ms: int
    most: int
    created_ms: int
    updated_ms: int
    title: str | None

    def consumed_ms(self, now_ms: int) -> int:
        """How long all participants were inside, together."""
        return self.left_ms + max(0, self.live * now_ms - self.live_joined_ms)


@dataclass(frozen=True, slots=True)
class PeerRow:
    """One stay of a participant; as it was then."""

    id: str
    session_id: str
    participant_id: str
    custom_participant_id: str
    name: str
    preset_name: str
    joined_ms: int
    left_ms: int | None
    leave_reason: str | None


_c = meeting_sessions.c
_p = meeting_peers.c
_COLUMNS = (*(_c[field.name] for field in fields(MeetingSessionRow) if field.name != "title"), meetings.c.title)
_PEER = columns_of(meeting_peers, PeerRow)


def _all() -> Select[Any]:
    return select(*_COLUMNS).join(meetings, meetings.c.id == _c.meeting_id)


async def insert(
    conn: AsyncConnection, session_id: str, app_id: str, meeting_id: str, node: str, started_ms: int
) -> None:
    times = dict.fromkeys(("started_ms", "known_ms", "created_ms", "updated_ms"), started_ms)
    counts = dict.fromkeys(("live", "live_joined_ms", "left_ms", "most"), 0)
    values = {"id": session_id, "app_id": app_id, "meeting_id": meeting_id, "node": node, **times, **counts}
    await conn.execute(meeting_sessions.insert().values(**values))


async def get(conn: AsyncConnection, app_id: str, session_id: str) -> MeetingSessionRow | None:
    query = _all().where(_c.id == session_id, _c.app_id == app_id)
    return one(MeetingSessionRow, (await conn.execute(query)).one_or_none())


async def find_any(conn: AsyncConnection, session_id: str) -> MeetingSessionRow | None:
    """A session of whatever app: for the rooms' events."""
    return one(MeetingSessionRow, (await conn.execute(_all().where(_c.id == session_id))).one_or_none())


async def open_of(conn: AsyncConnection, meeting_id: str) -> MeetingSessionRow | None:
    query = _all().where(_c.meeting_id == meeting_id, _c.ended_ms.is_(None))
    return one(MeetingSessionRow, (await conn.execute(query)).one_or_none())


async def left_open(conn: AsyncConnection, node: str) -> list[MeetingSessionRow]:
    """Sessions of this server that nobody has closed."""
    query = _all().where(_c.ended_ms.is_(None), _c.node == node).order_by(_c.started_ms)
    return many(MeetingSessionRow, (await conn.execute(query)).all())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions to list; None: whichever.

    Attributes:
        search: In the meeting's title, or a whole id of a meeting or session.
        from_ms, to_ms: Bounds of when they started, both inclusive.
        least, most: Bounds of how many were inside at once, both inclusive.
    """

    meeting_id: str | None = None
    search: str | None = None
    live: bool | None = None
    from_ms: int | None = None
    to_ms: int | None = None
    least: int | None = None
    most: int | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        found: list[ColumnElement[bool]] = []
        if self.meeting_id is not None:
            found.append(_c.meeting_id == self.meeting_id)
        if self.search:
            found.append(
                or_(contains(meetings.c.title, self.search), _c.meeting_id == self.search, _c.id == self.search)
            )
        if self.live is not None:
            found.append(_c.ended_ms.is_(None) if self.live else _c.ended_ms.is_not(None))
        for column, low, high in ((_c.started_ms, self.from_ms, self.to_ms), (_c.most, self.least, self.most)):
            if low is not None:
                found.append(column >= low)
            if high is not None:
                found.append(column <= high)
        return found


async def list_page(
    conn: AsyncConnection,
    app_id: str,
    wanted: Wanted,
    *,
    by_minutes: bool,
    descending: bool,
    now_ms: int,
    offset: int,
    limit: int,
) -> tuple[list[MeetingSessionRow], int]:
    """A page of an app's sessions, by when they started or by participants' minutes, and how many there are."""
    consumed = _c.left_ms + _c.live * literal(now_ms, BigInteger) - _c.live_joined_ms
    order: Sequence[ColumnElement[Any]] = (consumed if by_minutes else _c.started_ms, _c.id)
    query = _all().where(_c.app_id == app_id, *wanted.conditions())
    query = query.order_by(*((column.desc() for column in order) if descending else order))
    return await page(conn, MeetingSessionRow, query, offset, limit)


async def find_peer(conn: AsyncConnection, peer_id: str) -> PeerRow | None:
    return one(PeerRow, (await conn.execute(select(*_PEER).where(_p.id == peer_id))).one_or_none())


async def inside(conn: AsyncConnection, session_id: str) -> list[PeerRow]:
    """Who has not left."""
    query = select(*_PEER).where(_p.session_id == session_id, _p.left_ms.is_(None)).order_by(_p.joined_ms, _p.id)
    return many(PeerRow, (await conn.execute(query)).all())


async def peer_of(conn: AsyncConnection, session_id: str, of: str) -> PeerRow | None:
    """A stay by its own id, or the newest one of a participant's id."""
    query = select(*_PEER).where(_p.session_id == session_id, or_(_p.id == of, _p.participant_id == of))
    query = query.order_by(_p.joined_ms.desc(), _p.id.desc()).limit(1)
    return one(PeerRow, (await conn.execute(query)).one_or_none())


async def list_peers(
    conn: AsyncConnection,
    session_id: str,
    *,
    search: str | None,
    by_duration: bool,
    descending: bool,
    now_ms: int,
    offset: int,
    limit: int,
) -> tuple[list[PeerRow], int]:
    """A page of the stays of a session, by when they began or by how long they are, and how many there are."""
    query = select(*_PEER).where(_p.session_id == session_id)
    if search:
        ids = (_p.id == search, _p.participant_id == search, _p.custom_participant_id == search)
        query = query.where(or_(contains(_p.name, search), *ids))
    duration = func.coalesce(_p.left_ms, now_ms) - _p.joined_ms
    order: Sequence[ColumnElement[Any]] = (duration if by_duration else _p.joined_ms, _p.id)
    query = query.order_by(*((column.desc() for column in order) if descending else order))
    return await page(conn, PeerRow, query, offset, limit)


async def joined(conn: AsyncConnection, row: PeerRow) -> None:
    await conn.execute(meeting_peers.insert().values(**{field.name: getattr(row, field.name) for field in fields(row)}))
    await _add_up(conn, row.session_id, row.joined_ms)


async def left(conn: AsyncConnection, row: PeerRow, at_ms: int, reason: str) -> None:
    """A stay is over; the clock may have been set back."""
    at_ms = max(at_ms, row.joined_ms)
    await conn.execute(meeting_peers.update().where(_p.id == row.id).values(left_ms=at_ms, leave_reason=reason))
    await _add_up(conn, row.session_id, at_ms)


async def _add_up(conn: AsyncConnection, session_id: str, at_ms: int) -> None:
    """Bring a session's counts into step with its stays."""
    there = _p.left_ms.is_(None)
    query = select(
        func.count().filter(there),
        func.coalesce(func.sum(_p.joined_ms).filter(there), 0),
        func.coalesce(func.sum(_p.left_ms - _p.joined_ms).filter(~there), 0),
    ).where(_p.session_id == session_id)
    live, live_joined_ms, left_ms = (await conn.execute(query)).one()
    session = (await conn.execute(select(_c.most, _c.known_ms).where(_c.id == session_id))).one()
    values = {"live": live, "live_joined_ms": int(live_joined_ms), "left_ms": int(left_ms)}
    values |= {"most": max(session.most, live), "known_ms": max(session.known_ms, at_ms), "updated_ms": at_ms}
    await conn.execute(meeting_sessions.update().where(_c.id == session_id).values(**values))


async def end(conn: AsyncConnection, row: MeetingSessionRow, at_ms: int, reason: str, now_ms: int) -> None:
    at_ms = max(at_ms, row.started_ms)
    values = {"ended_ms": at_ms, "known_ms": at_ms, "end_reason": reason, "updated_ms": now_ms}
    await conn.execute(meeting_sessions.update().where(_c.id == row.id).values(**values))


_KNOWN = (
    meeting_sessions.update()
    .where(_c.id == bindparam("of"), _c.ended_ms.is_(None))
    .values(known_ms=bindparam("at"), updated_ms=bindparam("at"))
)


async def known(conn: AsyncConnection, session_ids: Sequence[str], at_ms: int) -> None:
    """Sessions are open now: a crash ends them here or later."""
    if session_ids:
        await conn.execute(_KNOWN, [{"of": session_id, "at": at_ms} for session_id in session_ids])
