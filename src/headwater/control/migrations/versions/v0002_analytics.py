"""Analytics as roll-ups, filled from the sessions that have ended; `repository/analytics.py` describes them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from operator import itemgetter
from typing import Any

import sqlalchemy as sa
from alembic import op

from headwater.analytics.days import Spell, Sums, milliseconds, spread
from headwater.analytics.returns import pairs
from headwater.control.migrations.reading import ROWS_AT_ONCE, rows_of

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SUMS = ("sessions", "session_ms", "ingest_ms", "viewer_ms", "recordings", "recorded_ms")


def upgrade() -> None:
    _create()
    op.drop_index("ix_livestream_sessions_app_id_known_ms", "livestream_sessions")
    for name in ("counted", "recorded"):
        op.add_column("livestream_sessions", sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False))
    _settle()
    _index("counted", ["app_id", "started_ms"], sqlite="counted = 1", postgresql="counted")
    _index("open", ["app_id"], sqlite="stopped_ms IS NULL", postgresql="stopped_ms IS NULL")
    _fill()


def downgrade() -> None:
    for name in ("open", "counted"):
        op.drop_index(f"ix_livestream_sessions_{name}", "livestream_sessions")
    for name in ("counted", "recorded"):
        op.drop_column("livestream_sessions", name)
    op.create_index("ix_livestream_sessions_app_id_known_ms", "livestream_sessions", ["app_id", "known_ms"])
    for name in ("overnight", "returns", "livestream_days", "days"):
        op.drop_table(f"analytics_{name}")


def _create() -> None:
    sums = [sa.Column(name, sa.BigInteger(), nullable=False) for name in SUMS]
    _table("analytics_days", _key("app_id", "apps"), _day("day"), *sums)
    _table("analytics_livestream_days", _key("livestream_id", "livestreams"), _day("day"))
    count = sa.Column("livestreams", sa.BigInteger(), nullable=False)
    _table("analytics_returns", _key("app_id", "apps"), _day("day"), _day("previous_day"), count)
    _table("analytics_overnight", _key("app_id", "apps"), _day("day"), _key("session_id", "livestream_sessions"))


def _table(name: str, *columns: sa.Column[Any]) -> None:
    keys = [column.name for column in columns if column.primary_key]
    constraints: list[sa.Constraint] = [sa.PrimaryKeyConstraint(*keys, name=op.f(f"pk_{name}"))]
    for column in columns:
        if "refers_to" in column.info:
            refers_to = [f"{column.info['refers_to']}.id"]
            constraints.append(sa.ForeignKeyConstraint([column.name], refers_to, name=op.f(f"fk_{name}_{column.name}")))
    op.create_table(name, *columns, *constraints, sqlite_with_rowid=False)


def _key(name: str, table: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(length=36), primary_key=True, nullable=False, info={"refers_to": table})


def _day(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), primary_key=True, autoincrement=False, nullable=False)


def _index(name: str, columns: list[str], *, sqlite: str, postgresql: str) -> None:
    op.create_index(
        f"ix_livestream_sessions_{name}",
        "livestream_sessions",
        columns,
        sqlite_where=sa.text(sqlite),
        postgresql_where=sa.text(postgresql),
    )


def _settle() -> None:
    """Fix what counts of the sessions that have ended, in whole milliseconds; none ends before it starts."""
    number, real = ("", "") if op.get_bind().dialect.name == "sqlite" else ("::numeric", "::double precision")
    op.execute(
        "UPDATE livestream_sessions SET"
        " counted = (err_message IS NULL OR ingest_seconds >= 0.0005), recorded = (recording IS NOT NULL),"
        f" ingest_seconds = round(ingest_seconds{number}, 3){real},"
        f" viewer_seconds = round(viewer_seconds{number}, 3){real},"
        " stopped_ms = CASE WHEN stopped_ms < started_ms THEN started_ms ELSE stopped_ms END,"
        " known_ms = CASE WHEN stopped_ms < started_ms THEN started_ms ELSE stopped_ms END"
        " WHERE stopped_ms IS NOT NULL"
    )


def _fill() -> None:
    """Recordings are left to revision 0007, which counts them by themselves."""
    days: defaultdict[tuple[str, int], Sums] = defaultdict(Sums)
    returns: Counter[tuple[str, int, int]] = Counter()
    livestream_days, overnight = _Rows("analytics_livestream_days"), _Rows("analytics_overnight")
    for (livestream_id, app_id), rows in groupby(_sessions(), itemgetter(0, 1)):
        touched: set[int] = set()
        for _, _, session_id, start, end, ingest, viewer in rows:
            parts = spread(Spell(start, end, milliseconds(ingest), milliseconds(viewer)))
            for day, sums in parts:
                days[app_id, day].add(sums)
                touched.add(day)
            overnight.add({"app_id": app_id, "day": day, "session_id": session_id} for day, _ in parts[1:])
        livestream_days.add({"livestream_id": livestream_id, "day": day} for day in touched)
        returns.update((app_id, *pair) for pair in pairs(sorted(touched)))
    livestream_days.write()
    overnight.write()
    _write("analytics_days", [{"app_id": app, "day": day, **asdict(sums)} for (app, day), sums in days.items()])
    names = ("app_id", "day", "previous_day", "livestreams")
    _write("analytics_returns", [dict(zip(names, (*key, count), strict=True)) for key, count in returns.items()])


def _sessions() -> Iterator[Any]:
    """The sessions that count, those of a livestream together."""
    return rows_of(
        "SELECT livestream_id, app_id, id, started_ms, known_ms, ingest_seconds, viewer_seconds"
        " FROM livestream_sessions WHERE counted ORDER BY livestream_id"
    )


class _Rows:
    """Rows on their way to a table, written when there are enough of them."""

    def __init__(self, table: str) -> None:
        self._table = table
        self._rows: list[dict[str, object]] = []

    def add(self, rows: Iterable[dict[str, object]]) -> None:
        self._rows.extend(rows)
        if len(self._rows) >= ROWS_AT_ONCE:
            self.write()

    def write(self) -> None:
        _write(self._table, self._rows)
        self._rows.clear()


def _write(table: str, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        some = rows[start : start + ROWS_AT_ONCE]
        columns = sa.table(table, *(sa.column(name) for name in some[0]))
        op.get_bind().execute(columns.insert(), some)
