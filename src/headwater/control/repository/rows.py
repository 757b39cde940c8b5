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


async def count(conn: AsyncConnection, query: Select[Any]) -> int:
    """How many rows a query has, its order and page left off."""
    inner = query.order_by(None).limit(None).offset(None).with_only_columns(func.count(), maintain_column_froms=True)
    return int((await conn.execute(inner)).scalar_one())


def contains(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Case-insensitive substring match; `%` and `_` stand for themselves."""
    return func.lower(column).contains(text.lower(), autoescape=True)
