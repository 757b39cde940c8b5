"""API tokens: stored as hashes, looked up by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control.ids import new_token, new_uuid, secret_hash
from headwater.control.repository.rows import columns_of, many, one, page
from headwater.control.tables import tokens


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token without its secret; `app_id` None: good for all apps of the account."""

    id: str
    account_id: str
    app_id: str | None
    name: str
    permission: str
    hash: str
    created_ms: int
    revoked_ms: int | None


_COLUMNS = columns_of(tokens, TokenRow)


async def create(
    conn: AsyncConnection,
    account_id: str,
    *,
    app_id: str | None,
    name: str,
    permission: str,
    now_ms: int,
    secret: str | None = None,
) -> tuple[TokenRow, str]:
    """Make a token; its secret is returned here and never again."""
    secret = secret or new_token()
    row = TokenRow(new_uuid(), account_id, app_id, name, permission, secret_hash(secret), now_ms, None)
    await conn.execute(
        tokens.insert().values(
            id=row.id,
            account_id=account_id,
            app_id=app_id,
            name=name,
            permission=permission,
            hash=row.hash,
            created_ms=now_ms,
        )
    )
    return row, secret


async def find(conn: AsyncConnection, token_hashes: Sequence[str]) -> dict[str, TokenRow]:
    """The valid tokens of some hashes, by those."""
    query = select(*_COLUMNS).where(tokens.c.hash.in_(token_hashes), tokens.c.revoked_ms.is_(None))
    return {row.hash: row for row in many(TokenRow, (await conn.execute(query)).all())}


async def list_page(conn: AsyncConnection, account_id: str, *, offset: int, limit: int) -> tuple[list[TokenRow], int]:
    query = select(*_COLUMNS).where(tokens.c.account_id == account_id, tokens.c.revoked_ms.is_(None))
    query = query.order_by(tokens.c.created_ms.desc(), tokens.c.id)
    return await page(conn, TokenRow, query, offset, limit)


async def revoke(conn: AsyncConnection, account_id: str, token_id: str, now_ms: int) -> TokenRow | None:
    """Revoke a token of this account; None where there is no valid one."""
    match = (tokens.c.id == token_id, tokens.c.account_id == account_id, tokens.c.revoked_ms.is_(None))
    row = one(TokenRow, (await conn.execute(select(*_COLUMNS).where(*match))).one_or_none())
    if row is not None:
        await conn.execute(tokens.update().where(*match).values(revoked_ms=now_ms))
    return row
