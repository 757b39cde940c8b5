"""Participants of meetings: who may come in, as what, and by which tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_uuid
from headwater.control.presets import Definition, definition
from headwater.control.repository.presets import PresetRow
from headwater.control.repository.rows import many, one, page
from headwater.control.tables import meetings, participants, presets


@dataclass(frozen=True, slots=True)
class ParticipantRow:
    """`preset_name` is the name that the preset was asked for by."""

    id: str
    app_id: str
    meeting_id: str
    custom_participant_id: str
    preset_id: str
    preset_name: str
    name: str | None
    picture: str | None
    token_serial: int
    created_ms: int
    updated_ms: int


_c = participants.c
_COLUMNS = (
    _c.id,
    _c.app_id,
    _c.meeting_id,
    _c.custom_participant_id,
    _c.preset_id,
    func.coalesce(_c.preset_alias, presets.c.name).label("preset_name"),
    _c.name,
    _c.picture,
    _c.token_serial,
    _c.created_ms,
    _c.updated_ms,
)
_THERE = _c.deleted_ms.is_(None)


def _all() -> Select[Any]:
    return select(*_COLUMNS).join(presets, presets.c.id == _c.preset_id).where(_THERE)


def _preset(preset: PresetRow, name: str) -> dict[str, str | None]:
    """The columns of a preset that was asked for by a name."""
    return {"preset_id": preset.id, "preset_alias": name if name != preset.name else None}


async def create(
    conn: AsyncConnection,
    app_id: str,
    meeting_id: str,
    *,
    custom_id: str,
    preset: PresetRow,
    preset_name: str,
    name: str | None,
    picture: str | None,
    now_ms: int,
) -> ParticipantRow:
    values: dict[str, Any] = {
        "id": new_uuid(),
        "app_id": app_id,
        "meeting_id": meeting_id,
        "custom_participant_id": custom_id,
        "name": name,
        "picture": picture,
        "token_serial": 1,
        "created_ms": now_ms,
        "updated_ms": now_ms,
    }
    await conn.execute(participants.insert().values(**values, **_preset(preset, preset_name)))
    return ParticipantRow(**values, preset_id=preset.id, preset_name=preset_name)


async def get(conn: AsyncConnection, meeting_id: str, participant_id: str) -> ParticipantRow | None:
    """A participant of a meeting, whose app the caller has checked."""
    query = _all().where(_c.id == participant_id, _c.meeting_id == meeting_id)
    return one(ParticipantRow, (await conn.execute(query)).one_or_none())


async def get_many(conn: AsyncConnection, meeting_id: str, ids: Sequence[str]) -> list[ParticipantRow]:
    """Participants of a meeting by their ids, the oldest first."""
    query = _all().where(_c.meeting_id == meeting_id, _c.id.in_(ids)).order_by(_c.created_ms, _c.id)
    return many(ParticipantRow, (await conn.execute(query)).all())


async def of_custom_id(conn: AsyncConnection, meeting_id: str, custom_id: str) -> ParticipantRow | None:
    query = _all().where(_c.meeting_id == meeting_id, _c.custom_participant_id == custom_id)
    return one(ParticipantRow, (await conn.execute(query)).one_or_none())


async def list_page(
    conn: AsyncConnection, meeting_id: str, *, offset: int, limit: int
) -> tuple[list[ParticipantRow], int]:
    """A page of a meeting's participants, the oldest first, and how many there are."""
    query = _all().where(_c.meeting_id == meeting_id).order_by(_c.created_ms, _c.id)
    return await page(conn, ParticipantRow, query, offset, limit)


async def count(conn: AsyncConnection, meeting_id: str) -> int:
    query = select(func.count()).select_from(participants).where(_c.meeting_id == meeting_id, _THERE)
    return int((await conn.execute(query)).scalar_one())


async def update(
    conn: AsyncConnection,
    participant_id: str,
    now_ms: int,
    *,
    preset: PresetRow | None = None,
    preset_name: str = "",
    **values: Any,
) -> None:
    """Set columns of a participant; the caller has checked whose it is."""
    if preset is not None:
        values |= _preset(preset, preset_name)
    await conn.execute(participants.update().where(_c.id == participant_id).values(**values, updated_ms=now_ms))


async def renew_tokens(conn: AsyncConnection, participant_id: str, now_ms: int) -> int:
    """Tokens so far are not valid any more; returns the number of those that are."""
    statement = participants.update().where(_c.id == participant_id)
    statement = statement.values(token_serial=_c.token_serial + 1, updated_ms=now_ms)
    return int((await conn.execute(statement.returning(_c.token_serial))).scalar_one())


async def delete(conn: AsyncConnection, participant_id: str, now_ms: int) -> None:
    """Remove a participant; the row stays for the sessions that name it."""
    await conn.execute(
        participants.update().where(_c.id == participant_id).values(deleted_ms=now_ms, updated_ms=now_ms)
    )


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who stands at the door: a participant with its meeting and its preset.

    Attributes:
        meeting_settings, preset_settings: JSON texts.
    """

    id: str
    app_id: str
    meeting_id: str
    custom_participant_id: str
    name: str | None
    picture: str | None
    token_serial: int
    preset_name: str
    role: str
    preset_settings: str
    title: str | None
    status: str
    meeting_settings: str

    @property
    def definition(self) -> Definition:
        return definition(self.role, msgspec.json.decode(self.preset_settings))


async def visitors(conn: AsyncConnection, participant_ids: Sequence[str]) -> dict[str, Visitor]:
    """Participants by id; those who were removed are left out."""
    query = select(
        _c.id,
        _c.app_id,
        _c.meeting_id,
        _c.custom_participant_id,
        _c.name,
        _c.picture,
        _c.token_serial,
        func.coalesce(_c.preset_alias, presets.c.name),
        presets.c.role,
        presets.c.settings,
        meetings.c.title,
        meetings.c.status,
        meetings.c.settings.label("meeting_settings"),
    )
    query = query.join(presets, presets.c.id == _c.preset_id).join(meetings, meetings.c.id == _c.meeting_id)
    rows = (await conn.execute(query.where(_c.id.in_(participant_ids), _THERE))).all()
    return {visitor.id: visitor for visitor in many(Visitor, rows)}
