"""Webhooks of an app."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_uuid
from headwater.control.repository.rows import columns_of, many, one
from headwater.control.tables import webhook_lanes, webhooks


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """`events` is a JSON array of names."""

    id: str
    app_id: str
    name: str
    url: str
    events: str
    enabled: bool
    created_ms: int
    updated_ms: int

    @property
    def event_names(self) -> list[str]:
        names: list[str] = json.loads(self.events)
        return names


_COLUMNS = columns_of(webhooks, WebhookRow)
_c = webhooks.c


async def create(
    conn: AsyncConnection, app_id: str, *, name: str, url: str, events: Sequence[str], enabled: bool, now_ms: int
) -> WebhookRow:
    row = WebhookRow(new_uuid(), app_id, name, url, json.dumps(list(events)), enabled, now_ms, now_ms)
    values = {column.key: getattr(row, column.key) for column in webhooks.columns}
    await conn.execute(webhooks.insert().values(**values))
    return row


async def get(conn: AsyncConnection, app_id: str, webhook_id: str, *, lock: bool = False) -> WebhookRow | None:
    """A webhook of this app; `lock` holds off others who lock it until this transaction ends."""
    query = select(*_COLUMNS).where(_c.id == webhook_id, _c.app_id == app_id)
    return one(WebhookRow, (await conn.execute(query.with_for_update() if lock else query)).one_or_none())


async def apps_of(conn: AsyncConnection, webhook_ids: Sequence[str]) -> dict[str, str]:
    """Which app each webhook belongs to; unknown ones are left out.

    Args:
        webhook_ids: Some hundreds at most: each is a parameter of one statement.
    """
    query = select(_c.id, _c.app_id).where(_c.id.in_(webhook_ids))
    return {row.id: row.app_id for row in await conn.execute(query)}


async def list_all(conn: AsyncConnection, app_id: str) -> list[WebhookRow]:
    """All webhooks of an app, the oldest first."""
    query = select(*_COLUMNS).where(_c.app_id == app_id).order_by(_c.created_ms, _c.id)
    return many(WebhookRow, (await conn.execute(query)).all())


async def count(conn: AsyncConnection, app_id: str) -> int:
    return int((await conn.execute(select(func.count()).where(_c.app_id == app_id))).scalar_one())


async def listening(conn: AsyncConnection, app_id: str, event: str) -> list[WebhookRow]:
    """The enabled webhooks of an app that want an event, in the one order in which everybody takes their lanes.

    They cannot be deleted until this transaction ends: its deliveries refer to them.
    """
    query = select(*_COLUMNS).where(_c.app_id == app_id, _c.enabled.is_(True)).order_by(_c.id)
    rows = many(WebhookRow, (await conn.execute(query.with_for_update(read=True, key_share=True))).all())
    return [row for row in rows if event in row.event_names]


async def update(conn: AsyncConnection, webhook_id: str, now_ms: int, **values: Any) -> None:
    """Set columns; the caller has checked whose it is. `events` is a list of names here."""
    if "events" in values:
        values["events"] = json.dumps(list(values["events"]))
    await conn.execute(webhooks.update().where(_c.id == webhook_id).values(**values, updated_ms=now_ms))


async def delete(conn: AsyncConnection, webhook_id: str) -> None:
    """Delete a webhook with its deliveries and their log; the caller has locked it."""
    # Whoever is writing down a delivery holds its lane, and then reads the delivery: lanes first, or both wait forever.
    await conn.execute(select(webhook_lanes.c.lane).where(webhook_lanes.c.webhook_id == webhook_id).with_for_update())
    await conn.execute(webhooks.delete().where(_c.id == webhook_id))
