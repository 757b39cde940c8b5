"""How a migration reads a large table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

ROWS_AT_ONCE = 10_000
"""Rows read or written together: some megabytes."""


def rows_of(query: str) -> Iterator[Any]:
    """The rows of a query, few at a time; read them to the end.

    The driver's own cursors of PostgreSQL stay open until the transaction ends, and no later migration of the same
    transaction could alter the table: this one is closed.
    """
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        yield from connection.execute(sa.text(query).execution_options(yield_per=ROWS_AT_ONCE))
        return
    connection.execute(sa.text(f"DECLARE migrated NO SCROLL CURSOR FOR {query}"))
    while rows := connection.execute(sa.text(f"FETCH FORWARD {ROWS_AT_ONCE} FROM migrated")).all():
        yield from rows
    connection.execute(sa.text("CLOSE migrated"))
