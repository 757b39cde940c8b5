"""Recordings: one row each, for good; `change` is the one place where a row's status changes.

INVOKED ─► RECORDING ◄─► PAUSED ─► UPLOADING ─► UPLOADED        the file is being made, or carried away ─► it is there
   └───────────┴──────────┴───────────┴───────► ERRORED
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.repository.rows import columns_of, contains, many, one, page
from headwater.control.tables import livestreams, meetings, recordings
from headwater.control.webhooks import outbox


class RecordingStatus(StrEnum):
    INVOKED = "INVOKED"
    RECORDING = "RECORDING"
    PAUSED = "PAUSED"
    UPLOADING = "UPLOADING"
    UPLOADED = "UPLOADED"
    ERRORED = "ERRORED"


RUNNING = (RecordingStatus.INVOKED, RecordingStatus.RECORDING, RecordingStatus.PAUSED)
ENDED = (RecordingStatus.UPLOADED, RecordingStatus.ERRORED)

Span = tuple[int, int | None]

TO_STORE_LIMIT = 100
"""Looked at in one turn: where the store is down, the newest wait longest."""


@dataclass(frozen=True, slots=True)
class RecordingRow:
    """See `tables.recordings`; `spans` is its JSON."""

    id: str
    app_id: str
    livestream_id: str
    session_id: str
    node: str
    status: str
    file_name: str
    start_reason: str
    stop_reason: str | None
    invoked_ms: int
    started_ms: int | None
    stopped_ms: int | None
    seconds: float | None
    spans: str | None
    path: str | None
    file_size: int | None
    err_message: str | None
    clip_of: str | None
    clip_start: float | None
    clip_end: float | None
    remote: str | None
    sha256: str | None
    removed_ms: int | None
    created_ms: int
    updated_ms: int

    @property
    def is_there(self) -> bool:
        """Its file can be had."""
        return self.path is not None and self.removed_ms is None

    def spans_ms(self) -> list[Span] | None:
        """Wall times between which it records; None: the whole session."""
        return None if self.spans is None else msgspec.json.decode(self.spans, type=list[Span])


_COLUMNS = columns_of(recordings, RecordingRow)
_c = recordings.c


def spans_text(spans: Sequence[Span] | None) -> str | None:
    return None if spans is None else msgspec.json.encode(spans).decode()


async def insert(conn: AsyncConnection, row: RecordingRow) -> None:
    await conn.execute(recordings.insert().values({field.name: getattr(row, field.name) for field in fields(row)}))


async def change(
    conn: AsyncConnection, row: RecordingRow, status: RecordingStatus, now_ms: int, **values: Any
) -> RecordingRow:
    """Give a recording a status, and what comes with it; returns it as it is now.

    Every change of a status goes through here: whoever wants to hear of them hooks in at this one place.
    """
    changed = replace(row, status=status.value, updated_ms=now_ms, **values)
    await conn.execute(
        recordings.update().where(_c.id == row.id).values(status=status.value, updated_ms=now_ms, **values)
    )
    if status != row.status:
        await outbox.recording_status(conn, changed, now_ms)
    return changed


async def update(conn: AsyncConnection, recording_id: str, now_ms: int, **values: Any) -> None:
    """Set columns other than the status."""
    assert "status" not in values, "a status changes in `change`"
    await conn.execute(recordings.update().where(_c.id == recording_id).values(**values, updated_ms=now_ms))


async def delete(conn: AsyncConnection, recording_id: str) -> None:
    await conn.execute(recordings.delete().where(_c.id == recording_id))


async def find(conn: AsyncConnection, recording_id: str) -> RecordingRow | None:
    """A recording of whatever app."""
    return one(RecordingRow, (await conn.execute(select(*_COLUMNS).where(_c.id == recording_id))).one_or_none())


async def get(conn: AsyncConnection, app_id: str, recording_id: str, *, lock: bool = False) -> RecordingRow | None:
    query = select(*_COLUMNS).where(_c.id == recording_id, _c.app_id == app_id)
    query = query.with_for_update() if lock else query
    return one(RecordingRow, (await conn.execute(query)).one_or_none())


async def find_any(conn: AsyncConnection, recording_id: str) -> RecordingRow | None:
    """A recording of whatever app, locked: for the pipeline's events."""
    query = select(*_COLUMNS).where(_c.id == recording_id).with_for_update()
    return one(RecordingRow, (await conn.execute(query)).one_or_none())


async def of_session(conn: AsyncConnection, session_id: str) -> list[RecordingRow]:
    """Clips are not among them."""
    query = select(*_COLUMNS).where(_c.session_id == session_id, _c.clip_of.is_(None)).order_by(_c.invoked_ms, _c.id)
    return many(RecordingRow, (await conn.execute(query)).all())


async def running(conn: AsyncConnection, livestream_id: str) -> list[RecordingRow]:
    """Those of a livestream that record or pause, the newest first."""
    query = select(*_COLUMNS).where(_c.livestream_id == livestream_id, _c.status.in_([one.value for one in RUNNING]))
    return many(RecordingRow, (await conn.execute(query.order_by(_c.invoked_ms.desc(), _c.id))).all())


async def unfinished(conn: AsyncConnection, node: str) -> list[RecordingRow]:
    """Those of this server that have not come to an end."""
    query = select(*_COLUMNS).where(_c.node == node, _c.status.not_in([one.value for one in ENDED]))
    return many(RecordingRow, (await conn.execute(query.order_by(_c.invoked_ms, _c.id))).all())


async def to_store(conn: AsyncConnection, node: str) -> list[RecordingRow]:
    """Those of this server that are whole and not in the store yet, the oldest first; `TO_STORE_LIMIT` of them."""
    states = (RecordingStatus.UPLOADING.value, RecordingStatus.UPLOADED.value)
    query = select(*_COLUMNS).where(_c.node == node, _c.status.in_(states), _c.remote.is_(None))
    query = query.where(_c.path.is_not(None), _c.removed_ms.is_(None)).order_by(_c.invoked_ms, _c.id)
    return many(RecordingRow, (await conn.execute(query.limit(TO_STORE_LIMIT))).all())


async def is_stored(conn: AsyncConnection, path: str) -> bool:
    """Whether a file is a recording that the store has."""
    query = select(_c.id).where(_c.path == path, _c.remote.is_not(None)).limit(1)
    return (await conn.execute(query)).first() is not None


async def unmeasured(conn: AsyncConnection, node: str) -> list[RecordingRow]:
    """Those of this server that are there, and whose size nobody has written down."""
    query = select(*_COLUMNS).where(_c.node == node, _c.path.is_not(None), _c.file_size.is_(None))
    return many(RecordingRow, (await conn.execute(query.where(_c.removed_ms.is_(None)))).all())


async def is_kept(conn: AsyncConnection, path: str) -> bool:
    """Whether a file is a recording that is there."""
    query = select(_c.id).where(_c.path == path, _c.removed_ms.is_(None)).limit(1)
    return (await conn.execute(query)).first() is not None


async def list_page(
    conn: AsyncConnection,
    app_id: str,
    *,
    meeting_id: str | None,
    livestream_id: str | None,
    search: str | None,
    statuses: Sequence[str] | None,
    expired: bool | None,
    from_ms: int | None,
    to_ms: int | None,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[RecordingRow], int]:
    """A page of an app's recordings and how many there are.

    Args:
        search: Id of the meeting or of the livestream, or a part of its title or name.
        expired: Whether the file has been removed.
        from_ms, to_ms: Bounds of `invoked_ms`, both inclusive.
    """
    query: Select[Any] = select(*_COLUMNS).where(_c.app_id == app_id, _c.clip_of.is_(None))
    if meeting_id is not None or search:
        query = query.join(livestreams, livestreams.c.id == _c.livestream_id)
    if meeting_id is not None:
        query = query.where(livestreams.c.meeting_id == meeting_id)
    if search:
        query = query.outerjoin(meetings, meetings.c.id == livestreams.c.meeting_id)
        exact = [livestreams.c.meeting_id == search, livestreams.c.id == search]
        query = query.where(or_(*exact, contains(meetings.c.title, search), contains(livestreams.c.name, search)))
    if livestream_id is not None:
        query = query.where(_c.livestream_id == livestream_id)
    if statuses is not None:
        query = query.where(_c.status.in_(statuses))
    if expired is not None:
        query = query.where(_c.removed_ms.is_not(None) if expired else _c.removed_ms.is_(None))
    if from_ms is not None:
        query = query.where(_c.invoked_ms >= from_ms)
    if to_ms is not None:
        query = query.where(_c.invoked_ms <= to_ms)
    order = (_c.invoked_ms, _c.id)
    query = query.order_by(*((column.desc() for column in order) if descending else order))
    return await page(conn, RecordingRow, query, offset, limit)


async def clips_of(conn: AsyncConnection, recording_id: str) -> list[RecordingRow]:
    """The clips of a recording, the newest first."""
    query = select(*_COLUMNS).where(_c.clip_of == recording_id).order_by(_c.invoked_ms.desc(), _c.id)
    return many(RecordingRow, (await conn.execute(query)).all())


async def total_size(conn: AsyncConnection, node: str) -> int:
    """Bytes of this server's recordings that are there."""
    query = select(func.coalesce(func.sum(_c.file_size), 0)).where(_c.node == node, _c.removed_ms.is_(None))
    return int((await conn.execute(query)).scalar_one())


async def oldest(conn: AsyncConnection, node: str, *, before_ms: int | None, limit: int) -> list[RecordingRow]:
    """Finished recordings of this server that are there, the one that ended first first.

    Args:
        before_ms: Only those that ended before.
    """
    query = select(*_COLUMNS).where(_c.node == node, _c.status == RecordingStatus.UPLOADED.value)
    query = query.where(_c.path.is_not(None), _c.removed_ms.is_(None))
    query = query.where(~_clip_under_way())
    if before_ms is not None:
        query = query.where(_c.stopped_ms < before_ms)
    return many(RecordingRow, (await conn.execute(query.order_by(_c.stopped_ms, _c.id).limit(limit))).all())


async def lock_removable(conn: AsyncConnection, recording_ids: Sequence[str]) -> set[str]:
    """Lock some finished recordings; returns those that are there and of which no clip is being made."""
    await conn.execute(select(_c.id).where(_c.id.in_(recording_ids)).order_by(_c.id).with_for_update())
    # A statement of its own: it sees what those did who had the locks before.
    query = select(_c.id).where(_c.id.in_(recording_ids), _c.removed_ms.is_(None), ~_clip_under_way())
    return set((await conn.execute(query)).scalars())


def _clip_under_way() -> ColumnElement[bool]:
    clips = recordings.alias("clips")
    return exists().where(clips.c.clip_of == _c.id, clips.c.status == RecordingStatus.UPLOADING.value)


async def remove(conn: AsyncConnection, recording_ids: Sequence[str], now_ms: int) -> None:
    """Note that files are gone."""
    statement = recordings.update().where(_c.id.in_(recording_ids), _c.removed_ms.is_(None))
    await conn.execute(statement.values(removed_ms=now_ms, updated_ms=now_ms))


async def gone(conn: AsyncConnection, node: str, since_ms: int) -> list[RecordingRow]:
    """Those of this server that were removed lately: a crash may have come before their files were."""
    query = select(*_COLUMNS).where(_c.node == node, _c.path.is_not(None), _c.removed_ms >= since_ms)
    return many(RecordingRow, (await conn.execute(query)).all())
