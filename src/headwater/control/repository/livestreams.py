"""Livestreams, and whom their keys and playback ids belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Select, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_playback_id, new_stream_key, new_uuid, secret_hash
from headwater.control.lifecycle import ACTIVE, Status
from headwater.control.repository.rows import columns_of, many, one, page
from headwater.control.tables import apps, livestream_sessions, livestreams, meetings, recordings


@dataclass(frozen=True, slots=True)
class LivestreamRow:
    id: str
    app_id: str
    meeting_id: str | None
    name: str | None
    status: str
    disabled: bool
    stream_key: str = field(repr=False)
    playback_id: str
    width: int | None
    height: int | None
    record: bool | None
    invoked_ms: int
    ended_ms: int | None
    created_ms: int
    updated_ms: int


BAD_KEY = ("ERR_BAD_STREAM_KEY", "There is no livestream with this stream key.")
NO_KEY = ("ERR_BAD_STREAM_KEY", "No stream key was given.")
DISABLED = ("ERR_LIVESTREAM_DISABLED", "The livestream is disabled.")
ENDED = ("ERR_LIVESTREAM_ENDED", "The meeting's livestream was stopped; start it again to get a new key.")
"""Why a publisher is refused."""

_COLUMNS = columns_of(livestreams, LivestreamRow)
_THERE = livestreams.c.deleted_ms.is_(None)
_WHOLE = recordings.c.path.is_not(None) & recordings.c.removed_ms.is_(None) & recordings.c.clip_of.is_(None)


APPS_LIMIT = 500
"""Ids of one statement: databases bound its parameters."""


async def apps_of(conn: AsyncConnection, livestream_ids: Sequence[str]) -> dict[str, str]:
    """Which app each livestream belongs to, deleted ones too; unknown ones are left out."""
    found: dict[str, str] = {}
    for start in range(0, len(livestream_ids), APPS_LIMIT):
        query = select(livestreams.c.id, livestreams.c.app_id)
        query = query.where(livestreams.c.id.in_(livestream_ids[start : start + APPS_LIMIT]))
        found |= {row.id: row.app_id for row in await conn.execute(query)}
    return found


async def create(
    conn: AsyncConnection,
    app_id: str,
    *,
    name: str | None,
    now_ms: int,
    meeting_id: str | None = None,
    width: int | None = None,
    height: int | None = None,
    record: bool | None = None,
) -> LivestreamRow:
    """Make a livestream: INVOKED, enabled, with a new key and a new playback id."""
    values: dict[str, Any] = {
        "id": new_uuid(),
        "app_id": app_id,
        "meeting_id": meeting_id,
        "name": name,
        "status": Status.INVOKED.value,
        "disabled": False,
        "stream_key": new_stream_key(),
        "playback_id": new_playback_id(),
        "width": width,
        "height": height,
        "record": record,
        "invoked_ms": now_ms,
        "ended_ms": None,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    row = LivestreamRow(**values)
    await conn.execute(livestreams.insert().values(**values, stream_key_hash=secret_hash(row.stream_key)))
    return row


async def get(conn: AsyncConnection, app_id: str, livestream_id: str) -> LivestreamRow | None:
    query = select(*_COLUMNS).where(livestreams.c.id == livestream_id, livestreams.c.app_id == app_id, _THERE)
    return one(LivestreamRow, (await conn.execute(query)).one_or_none())


async def get_many(conn: AsyncConnection, livestream_ids: Iterable[str]) -> dict[str, LivestreamRow]:
    """Livestreams by id, deleted ones too."""
    query = select(*_COLUMNS).where(livestreams.c.id.in_(list(livestream_ids)))
    return {row.id: row for row in many(LivestreamRow, (await conn.execute(query)).all())}


async def lock(conn: AsyncConnection, app_id: str, livestream_id: str) -> LivestreamRow | None:
    """As `get`, holding off others who lock the same livestream until this transaction ends."""
    query = select(*_COLUMNS).where(livestreams.c.id == livestream_id, livestreams.c.app_id == app_id, _THERE)
    return one(LivestreamRow, (await conn.execute(query.with_for_update())).one_or_none())


async def find_any(conn: AsyncConnection, livestream_id: str) -> LivestreamRow | None:
    """A livestream of whatever app, deleted or not: for the pipeline's events."""
    query = select(*_COLUMNS).where(livestreams.c.id == livestream_id).with_for_update()
    return one(LivestreamRow, (await conn.execute(query)).one_or_none())


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """A livestream as its stream key finds it, with the account it belongs to.

    Attributes:
        record: Whether its sessions are recorded, by itself, its meeting or its app, in this order; None: nobody says.
    """

    id: str
    app_id: str
    account_id: str
    name: str | None
    disabled: bool
    stream_key: str = field(repr=False)
    playback_id: str
    ended_ms: int | None
    record: bool | None


async def find_by_keys(conn: AsyncConnection, key_hashes: Sequence[str]) -> dict[str, KeyOwner]:
    """The livestreams of stream keys, by the keys' hashes."""
    columns = livestreams.c
    query = select(
        columns.stream_key_hash,
        columns.id,
        columns.app_id,
        apps.c.account_id,
        columns.name,
        columns.disabled,
        columns.stream_key,
        columns.playback_id,
        columns.ended_ms,
        columns.record,
        apps.c.record,
        meetings.c.settings,
    )
    query = query.join(apps, apps.c.id == columns.app_id).outerjoin(meetings, meetings.c.id == columns.meeting_id)
    query = query.where(columns.stream_key_hash.in_(key_hashes), _THERE)
    found: dict[str, KeyOwner] = {}
    for key_hash, *of, own, of_app, meeting_settings in await conn.execute(query):
        of.append(_recorded(own, of_app, meeting_settings))
        found[key_hash] = KeyOwner(*of)
    return found


def _recorded(own: bool | None, of_app: bool | None, meeting_settings: str | None) -> bool | None:
    if own is not None:
        return own
    on_start = meeting_settings is not None and bool(msgspec.json.decode(meeting_settings).get("record_on_start"))
    return True if on_start else of_app


async def refusal(conn: AsyncConnection, livestream_id: str) -> tuple[str, str] | None:
    """Why nobody may publish to a livestream now, as (code, sentence), or None: its key's holder may."""
    columns = livestreams.c
    query = select(columns.disabled, columns.ended_ms, columns.deleted_ms).where(columns.id == livestream_id)
    row = (await conn.execute(query)).one_or_none()
    if row is None or row.deleted_ms is not None:
        return BAD_KEY
    if row.disabled:
        return DISABLED
    return ENDED if row.ended_ms is not None else None


@dataclass(frozen=True, slots=True)
class PlaybackRow:
    """A livestream as its playback id finds it; `recording` is the path of its newest one that is there."""

    id: str
    playback_id: str
    name: str | None
    disabled: bool
    recording: str | None


async def find_by_playback_ids(conn: AsyncConnection, playback_ids: Sequence[str]) -> dict[str, PlaybackRow]:
    """The livestreams of playback ids, by those."""
    recording = (
        select(recordings.c.path)
        .where(recordings.c.livestream_id == livestreams.c.id, _WHOLE)
        .order_by(recordings.c.invoked_ms.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = livestreams.c
    query = select(columns.id, columns.playback_id, columns.name, columns.disabled, recording)
    query = query.where(columns.playback_id.in_(playback_ids), _THERE)
    return {row.playback_id: PlaybackRow(*row) for row in await conn.execute(query)}


SESSION_NAME_LENGTH = 13
"""Of a session's id, with its dash: as much as the URLs of its media have."""


async def find_recordings(conn: AsyncConnection, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """Recordings of ended sessions, by (playback id, first `SESSION_NAME_LENGTH` of the session's id)."""
    columns = livestreams.c
    name = func.substr(recordings.c.session_id, 1, SESSION_NAME_LENGTH)
    query = select(columns.playback_id, name, recordings.c.path)
    query = query.join(livestreams, columns.id == recordings.c.livestream_id)
    query = query.where(columns.playback_id.in_([playback_id for playback_id, _ in names]), _THERE)
    query = query.where(name.in_([session for _, session in names]), _WHOLE)
    query = query.order_by(recordings.c.seconds)  # of several of one session, the longest is its
    return {(playback_id, session): recording for playback_id, session, recording in await conn.execute(query)}


async def active_of_meeting(conn: AsyncConnection, app_id: str, meeting_id: str) -> LivestreamRow | None:
    """The livestream of a meeting that was started and neither stopped nor ended."""
    sessions = livestream_sessions.c
    open_session = exists().where(sessions.livestream_id == livestreams.c.id, sessions.stopped_ms.is_(None))
    query = _of_meeting(app_id, meeting_id).where(livestreams.c.ended_ms.is_(None))
    query = query.where(livestreams.c.status.in_([status.value for status in ACTIVE]) | open_session).limit(1)
    return one(LivestreamRow, (await conn.execute(query)).one_or_none())


async def end_of_meeting(conn: AsyncConnection, meeting_id: str, now_ms: int) -> None:
    """Close a meeting's earlier livestreams for good: only the newest one's key admits anybody."""
    match = (livestreams.c.meeting_id == meeting_id, livestreams.c.ended_ms.is_(None))
    await conn.execute(livestreams.update().where(*match).values(ended_ms=now_ms))


async def newest_of_meeting(conn: AsyncConnection, app_id: str, meeting_id: str) -> LivestreamRow | None:
    query = _of_meeting(app_id, meeting_id).limit(1)
    return one(LivestreamRow, (await conn.execute(query)).one_or_none())


async def newest_of(conn: AsyncConnection, meeting_id: str) -> LivestreamRow | None:
    """The newest livestream of a meeting of whatever app."""
    query = select(*_COLUMNS).where(livestreams.c.meeting_id == meeting_id, _THERE)
    query = query.order_by(livestreams.c.created_ms.desc(), livestreams.c.id.desc()).limit(1)
    return one(LivestreamRow, (await conn.execute(query)).one_or_none())


def _of_meeting(app_id: str, meeting_id: str) -> Select[Any]:
    match = (livestreams.c.meeting_id == meeting_id, livestreams.c.app_id == app_id, _THERE)
    return select(*_COLUMNS).where(*match).order_by(livestreams.c.created_ms.desc(), livestreams.c.id.desc())


async def list_page(
    conn: AsyncConnection,
    app_id: str,
    *,
    exclude_meetings: bool,
    status: str | None,
    live_ids: Sequence[str],
    from_ms: int | None,
    to_ms: int | None,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[LivestreamRow], int]:
    """A page of an app's livestreams and how many there are.

    Args:
        status: As stored; `live_ids` are the livestreams known to be LIVE whatever is stored.
        from_ms, to_ms: Bounds of `created_ms`, both inclusive.
    """
    columns = livestreams.c
    query = select(*_COLUMNS).where(columns.app_id == app_id, _THERE)
    if exclude_meetings:
        query = query.where(columns.meeting_id.is_(None))
    if status == Status.LIVE:
        query = query.where((columns.status == status) | columns.id.in_(live_ids))
    elif status is not None:
        query = query.where(columns.status == status, columns.id.not_in(live_ids))
    if from_ms is not None:
        query = query.where(columns.created_ms >= from_ms)
    if to_ms is not None:
        query = query.where(columns.created_ms <= to_ms)
    order = (columns.created_ms, columns.id)
    query = query.order_by(*((column.desc() for column in order) if descending else order))
    return await page(conn, LivestreamRow, query, offset, limit)


async def update(conn: AsyncConnection, livestream_id: str, now_ms: int, **values: Any) -> None:
    """Set columns of a livestream; the caller has checked whose it is."""
    statement = livestreams.update().where(livestreams.c.id == livestream_id)
    await conn.execute(statement.values(**values, updated_ms=now_ms))


async def reset_key(conn: AsyncConnection, livestream_id: str, now_ms: int) -> str:
    """Give a livestream a new key; the old one admits nobody any more."""
    key = new_stream_key()
    await update(conn, livestream_id, now_ms, stream_key=key, stream_key_hash=secret_hash(key))
    return key
