"""Adding to a roll-up."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite


@cache
def adding(dialect: str, table: Table) -> Any:
    """INSERT that adds to the row that is there already."""
    insert = sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)
    sums = {column.key: column + insert.excluded[column.key] for column in table.c if not column.primary_key}
    return insert.on_conflict_do_update(index_elements=list(table.primary_key), set_=sums)
