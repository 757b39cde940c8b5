"""How columns become a typed row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, Table, func
from sqlalchemy.ext.asyncio import AsyncConnection

T = TypeVar("T")


def columns_of(table: Table, row_type: type[Any]) -> list[ColumnElement[Any]]:
    """The table's columns that a row type has, in its order."""
    return [table.c[field.name] for field in fields(row_type)]


def one(row_type: Callable[..., T], row: Sequence[Any] | None) -> T | None:
    return None if row is None else row_type(*row)


def many(row_type: Callable[..., T], rows: Sequence[Sequence[Any]]) -> list[T]:
    return [row_type(*row) for row in rows]


async def page(
    conn: AsyncConnection, row_type: Callable[..., T], query: Select[Any], offset: int, limit: int
) -> tuple[list[T], int]:
    """A page of an ordered query, and how many rows it has in all."""
    rows = many(row_type, (await conn.execute(query.offset(offset).limit(limit))).all())
    if len(rows) < limit and (rows or offset == 0):
        return rows, offset + len(rows)  # it is the last page: there is nothing to count
    total = query.order_by(None).with_only_columns(func.count(), maintain_column_froms=True)
    return rows, int((await conn.execute(total)).scalar_one())


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Case-insensitive substring match; `%` and `_` stand for themselves."""
    return func.lower(column).contains(text.lower(), autoescape=True)
