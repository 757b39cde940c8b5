"""Accounts and apps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_account_id, new_uuid
from headwater.control.repository import presets
from headwater.control.repository.rows import columns_of, contains, one, page
from headwater.control.tables import accounts, apps


@dataclass(frozen=True, slots=True)
class AppRow:
    id: str
    account_id: str
    name: str
    record: bool | None
    created_ms: int


_APP = columns_of(apps, AppRow)


async def create_account(conn: AsyncConnection, name: str, now_ms: int, *, account_id: str | None = None) -> str:
    account_id = account_id or new_account_id()
    await conn.execute(accounts.insert().values(id=account_id, name=name, created_ms=now_ms))
    return account_id


async def create_app(
    conn: AsyncConnection, account_id: str, name: str, now_ms: int, *, app_id: str | None = None
) -> AppRow:
    """Make an app, with the presets that every app begins with."""
    row = AppRow(app_id or new_uuid(), account_id, name, None, now_ms)
    await conn.execute(
        apps.insert().values(id=row.id, account_id=row.account_id, name=row.name, created_ms=row.created_ms)
    )
    await presets.create_first(conn, row.id, now_ms)
    return row


async def get_app(conn: AsyncConnection, account_id: str, app_id: str) -> AppRow | None:
    """An app of this account; another account's app does not exist for it."""
    query = select(*_APP).where(apps.c.id == app_id, apps.c.account_id == account_id)
    return one(AppRow, (await conn.execute(query)).one_or_none())


async def lock_app(conn: AsyncConnection, app_id: str) -> None:
    """Hold off others who lock the same app until this transaction ends."""
    await conn.execute(select(apps.c.id).where(apps.c.id == app_id).with_for_update())


async def update_app(conn: AsyncConnection, app_id: str, **values: Any) -> None:
    """Set columns of an app; the caller has checked whose it is."""
    await conn.execute(apps.update().where(apps.c.id == app_id).values(**values))


async def list_apps(
    conn: AsyncConnection,
    account_id: str,
    *,
    only_app: str | None,
    search: str | None,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[AppRow], int]:
    """A page of the account's apps and how many there are; `only_app` for a token that is bound to one."""
    query = select(*_APP).where(apps.c.account_id == account_id)
    if only_app is not None:
        query = query.where(apps.c.id == only_app)
    if search:
        query = query.where(contains(apps.c.name, search))
    order = (apps.c.created_ms, apps.c.id)
    query = query.order_by(*((column.desc() for column in order) if descending else order))
    return await page(conn, AppRow, query, offset, limit)
