"""Recordings are counted by themselves in the analytics, not as the sessions that had one; `repository/takes.py`."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

from headwater.analytics.days import Sums, milliseconds, spread_take, take
from headwater.control.migrations.reading import ROWS_AT_ONCE, rows_of

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ADD = """INSERT INTO analytics_days
  (app_id, day, sessions, session_ms, ingest_ms, viewer_ms, recordings, recorded_ms)
VALUES (:app_id, :day, 0, 0, 0, 0, :recordings, :recorded_ms)
ON CONFLICT (app_id, day) DO UPDATE SET recordings = excluded.recordings, recorded_ms = excluded.recorded_ms"""


def upgrade() -> None:
    op.add_column("recordings", sa.Column("counted", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_table(
        "analytics_overnight_recordings",
        sa.Column("app_id", sa.String(length=36), nullable=False),
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("recording_id", sa.String(length=36), nullable=False),
        sa.ForeignKeyConstraint(["app_id"], ["apps.id"], name=op.f("fk_analytics_overnight_recordings_app_id")),
        sa.ForeignKeyConstraint(
            ["recording_id"], ["recordings.id"], name=op.f("fk_analytics_overnight_recordings_recording_id")
        ),
        sa.PrimaryKeyConstraint("app_id", "day", "recording_id", name=op.f("pk_analytics_overnight_recordings")),
        sqlite_with_rowid=False,
    )
    _settle()
    _index("counted", ["app_id", "started_ms"], sqlite="counted = 1", postgresql="counted")
    going_on = "status IN ('RECORDING', 'PAUSED', 'UPLOADING') AND path IS NULL AND clip_of IS NULL"
    _index("going_on", ["app_id"], sqlite=going_on, postgresql=going_on)
    _fill()
    op.drop_column("livestream_sessions", "recorded")


def downgrade() -> None:
    recorded: sa.Column[bool] = sa.Column("recorded", sa.Boolean(), server_default=sa.false(), nullable=False)
    op.add_column("livestream_sessions", recorded)
    op.execute("UPDATE livestream_sessions SET recorded = (recording IS NOT NULL) WHERE stopped_ms IS NOT NULL")
    for name in ("going_on", "counted"):
        op.drop_index(f"ix_recordings_{name}", "recordings")
    op.drop_table("analytics_overnight_recordings")
    op.drop_column("recordings", "counted")


def _index(name: str, columns: list[str], *, sqlite: str, postgresql: str) -> None:
    op.create_index(
        f"ix_recordings_{name}",
        "recordings",
        columns,
        sqlite_where=sa.text(sqlite),
        postgresql_where=sa.text(postgresql),
    )


def _settle() -> None:
    """Fix what counts of the recordings that are whole, in whole milliseconds; none ends before it starts."""
    number, real = ("", "") if op.get_bind().dialect.name == "sqlite" else ("::numeric", "::double precision")
    start = "coalesce(started_ms, invoked_ms)"
    end = f"CASE WHEN stopped_ms >= {start} THEN stopped_ms ELSE {start} END"
    op.execute(
        f"UPDATE recordings SET counted = (1 = 1), started_ms = {start}, stopped_ms = {end},"
        f" seconds = round(coalesce(seconds, (({end}) - {start}) / 1000.0){number}, 3){real}"
        " WHERE path IS NOT NULL AND clip_of IS NULL"
    )


def _fill() -> None:
    op.execute("UPDATE analytics_days SET recordings = 0, recorded_ms = 0")
    days: defaultdict[tuple[str, int], Sums] = defaultdict(Sums)
    overnight: list[dict[str, Any]] = []
    query = "SELECT app_id, id, started_ms, stopped_ms, seconds, spans FROM recordings WHERE counted"
    for app_id, recording_id, start, end, seconds, text in rows_of(query):
        spans = None if text is None else msgspec.json.decode(text, type=list[tuple[int, int | None]])
        parts = spread_take(take(start, end, milliseconds(seconds), spans))
        for day, sums in parts:
            days[app_id, day].add(sums)
        overnight += [{"app_id": app_id, "day": day, "recording_id": recording_id} for day, _ in parts[1:]]
    _write(sa.text(ADD), [{"app_id": app, "day": day, **asdict(sums)} for (app, day), sums in days.items()])
    table = sa.table("analytics_overnight_recordings", *map(sa.column, ("app_id", "day", "recording_id")))
    _write(table.insert(), overnight)


def _write(statement: Any, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), ROWS_AT_ONCE):
        op.get_bind().execute(statement, rows[start : start + ROWS_AT_ONCE])
