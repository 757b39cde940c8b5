"""The event log of a livestream: what its owner may want to read afterwards."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository.rows import columns_of, page
from headwater.control.tables import events

KEPT_PER_LIVESTREAM = 1000
"""Entries kept of each livestream: weeks of an ordinary one, and a bound for one whose encoder retries every second."""

CODE_LIMIT = 64
MESSAGE_LIMIT = 1024
"""Characters kept; parts of a message can come from a publisher."""


@dataclass(frozen=True, slots=True)
class EventRow:
    id: int
    livestream_id: str
    session_id: str | None
    at_ms: int
    kind: str
    code: str
    message: str


_COLUMNS = columns_of(events, EventRow)


async def append(
    conn: AsyncConnection,
    livestream_id: str,
    *,
    at_ms: int,
    kind: str,
    message: str,
    code: str = "",
    session_id: str | None = None,
) -> None:
    """Add an entry, and forget the oldest beyond `KEPT_PER_LIVESTREAM`."""
    values = {
        "livestream_id": livestream_id,
        "session_id": session_id,
        "at_ms": at_ms,
        "kind": kind,
        "code": plain_text(code, CODE_LIMIT),
        "message": plain_text(message, MESSAGE_LIMIT),
    }
    await conn.execute(events.insert().values(**values))
    oldest_kept = (
        select(events.c.id)
        .where(events.c.livestream_id == livestream_id)
        .order_by(events.c.id.desc())
        .offset(KEPT_PER_LIVESTREAM - 1)
        .limit(1)
        .scalar_subquery()
    )
    await conn.execute(delete(events).where(events.c.livestream_id == livestream_id, events.c.id < oldest_kept))


async def list_page(
    conn: AsyncConnection, livestream_id: str, *, offset: int, limit: int
) -> tuple[list[EventRow], int]:
    """A page of a livestream's log, the newest first, and how many entries there are."""
    query = select(*_COLUMNS).where(events.c.livestream_id == livestream_id).order_by(events.c.id.desc())
    return await page(conn, EventRow, query, offset, limit)


def plain_text(text: str, limit: int) -> str:
    """Text from a stranger as a log and every database can hold it: no control characters, no lone surrogates, cut."""
    cut = text[:limit].encode("utf-8", "replace").decode("utf-8")
    return cut if cut.isprintable() else "".join(char if char.isprintable() else " " for char in cut)
