"""How the viewers of livestream sessions fared: one row a session, which holds sums and percentiles of all of them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository import sessions
from headwater.control.tables import session_experiences

_c = session_experiences.c


async def save(conn: AsyncConnection, session_id: str, livestream_id: str, packed: str, at_ms: int) -> None:
    """Store a session's whole in the place of what was there; a session that is not known has none."""
    values = {"packed": packed, "updated_ms": at_ms}
    found = await conn.execute(session_experiences.update().where(_c.session_id == session_id).values(**values))
    if found.rowcount or await sessions.find_any(conn, session_id) is None:
        return
    await conn.execute(
        session_experiences.insert().values(session_id=session_id, livestream_id=livestream_id, **values)
    )


async def of_session(conn: AsyncConnection, session_id: str) -> tuple[str, int] | None:
    """A session's whole, packed, and when it was stored."""
    row = (await conn.execute(select(_c.packed, _c.updated_ms).where(_c.session_id == session_id))).one_or_none()
    return None if row is None else (row.packed, row.updated_ms)


async def of_livestream(
    conn: AsyncConnection, livestream_id: str, from_ms: int, to_ms: int, limit: int
) -> Sequence[tuple[str, int]]:
    """Those of a livestream's sessions that were last changed in a range, the newest first."""
    query = select(_c.packed, _c.updated_ms).where(
        _c.livestream_id == livestream_id, _c.updated_ms >= from_ms, _c.updated_ms < to_ms
    )
    rows = await conn.execute(query.order_by(_c.updated_ms.desc()).limit(limit))
    return [(row.packed, row.updated_ms) for row in rows]


async def delete(conn: AsyncConnection, session_id: str) -> None:
    await conn.execute(session_experiences.delete().where(_c.session_id == session_id))
