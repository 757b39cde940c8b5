"""Presets of an app: named roles of participants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_uuid
from headwater.control.presets import ALIASES, ROLES, Definition, definition
from headwater.control.repository.rows import columns_of, one, page
from headwater.control.tables import participants, presets


@dataclass(frozen=True, slots=True)
class PresetRow:
    """`settings` is the JSON text of what was given beside the role."""

    id: str
    app_id: str
    name: str
    role: str
    settings: str
    created_ms: int
    updated_ms: int

    @property
    def definition(self) -> Definition:
        return definition(self.role, msgspec.json.decode(self.settings))


_COLUMNS = columns_of(presets, PresetRow)
_c = presets.c


async def create_first(conn: AsyncConnection, app_id: str, now_ms: int) -> None:
    """Give a new app its presets."""
    for role in ROLES:
        await create(conn, app_id, name=role, role=role, settings={}, now_ms=now_ms)


async def create(
    conn: AsyncConnection, app_id: str, *, name: str, role: str, settings: dict[str, Any], now_ms: int
) -> PresetRow:
    row = PresetRow(new_uuid(), app_id, name, role, msgspec.json.encode(settings).decode(), now_ms, now_ms)
    values = {column.key: getattr(row, column.key) for column in presets.columns}
    await conn.execute(presets.insert().values(**values))
    return row


async def get(conn: AsyncConnection, app_id: str, preset_id: str, *, lock: bool = False) -> PresetRow | None:
    query = select(*_COLUMNS).where(_c.id == preset_id, _c.app_id == app_id)
    return one(PresetRow, (await conn.execute(query.with_for_update() if lock else query)).one_or_none())


async def named(conn: AsyncConnection, app_id: str, name: str) -> PresetRow | None:
    """A preset by its name, held so that it cannot be deleted before this transaction ends."""
    query = select(*_COLUMNS).where(_c.app_id == app_id, _c.name == name)
    query = query.with_for_update(read=True, key_share=True)
    return one(PresetRow, (await conn.execute(query)).one_or_none())


async def meant(conn: AsyncConnection, app_id: str, name: str) -> PresetRow | None:
    """As `named`, and where there is none of that name, the one that the product's name stands for."""
    row = await named(conn, app_id, name)
    return row if row is not None or name not in ALIASES else await named(conn, app_id, ALIASES[name])


async def list_page(conn: AsyncConnection, app_id: str, *, offset: int, limit: int) -> tuple[list[PresetRow], int]:
    """A page of an app's presets, the oldest first, and how many there are."""
    query = select(*_COLUMNS).where(_c.app_id == app_id).order_by(_c.created_ms, _c.name)
    return await page(conn, PresetRow, query, offset, limit)


async def count(conn: AsyncConnection, app_id: str) -> int:
    return int((await conn.execute(select(func.count()).where(_c.app_id == app_id))).scalar_one())


async def update(conn: AsyncConnection, preset_id: str, now_ms: int, *, name: str, settings: dict[str, Any]) -> None:
    text = msgspec.json.encode(settings).decode()
    await conn.execute(presets.update().where(_c.id == preset_id).values(name=name, settings=text, updated_ms=now_ms))


async def is_used(conn: AsyncConnection, preset_id: str) -> bool:
    """Whether a participant has it."""
    query = select(exists().where(participants.c.preset_id == preset_id, participants.c.deleted_ms.is_(None)))
    return bool((await conn.execute(query)).scalar_one())


async def delete(conn: AsyncConnection, preset_id: str) -> None:
    """Delete a preset that nobody uses; the caller has locked it."""
    await conn.execute(presets.delete().where(_c.id == preset_id))
