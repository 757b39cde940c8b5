"""What an answer of the analytics costs where an app has had a million sessions in a year, on SQLite.

The sessions are written by one INSERT into a database of the first schema, then the migration counts them. The most
expensive ranges are asked for: all of the year, and ranges whose ends lie within a day. Beside each answer the same
question by SQL that reads every session of the range (its sums and counts only, without days and proportions), in the
same run. Run with `python -m benchmarks analytics [SESSIONS]`.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import DAY_MS, Spell
from headwater.control.database import Database, open_database
from headwater.control.repository import analytics, takes
from headwater.control.repository.analytics import Running

SESSIONS = 1_000_000
LIVESTREAMS = 20_000
DAYS = 365
START = 20_454 * DAY_MS
HALF = DAY_MS // 2
REPEAT = 200
BOUND_REPEAT = 5
END = START + DAYS * DAY_MS
RUNNING = [Running(f"l{number}", Spell(END - DAY_MS, END, 9, 9)) for number in range(100)]

FILL = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :sessions),
  r AS MATERIALIZED (SELECT i, :start + abs(random()) % (:days * 86400000) AS begun, abs(random()) AS chance FROM n),
  s AS (SELECT *, CASE WHEN chance % 50 = 0 THEN 60000000 ELSE 60000 + chance % 7200000 END AS ms FROM r)
INSERT INTO livestream_sessions
SELECT printf('%08x-0000-4000-8000-000000000000', i), 'l' || (chance % :livestreams), 'a', 'node', begun, begun,
  begun + ms, begun + ms, ms / 1000.0, ms / 1000.0 * (chance % 40), NULL,
  CASE WHEN chance % 3 = 0 THEN 'recordings/' || i || '/session.mp4' END, 'obs-output module', begun, begun
FROM s ORDER BY begun
"""
"""A session lasts an hour on average, one in fifty 17 hours; one in eighteen is over midnight."""

BOUND = """SELECT count(*), count(DISTINCT livestream_id), sum(known_ms - started_ms), sum(ingest_seconds),
  sum(viewer_seconds), sum(recording IS NOT NULL) FROM livestream_sessions
WHERE app_id = 'a' AND started_ms < :high AND known_ms > :low"""


async def old_schema(folder: Path) -> Path:
    """A database as it was before there were roll-ups."""
    from alembic import command
    from alembic.config import Config

    database = await open_database(None, folder)
    config = Config()
    config.set_main_option("script_location", "headwater.control:migrations")
    try:
        async with database.write() as conn:

            def down(connection: object) -> None:
                config.attributes["connection"] = connection
                command.downgrade(config, "0001")

            await conn.run_sync(down)
    finally:
        await database.close()
    return Path(str(database.url.database))


def fill(path: Path, sessions: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("INSERT INTO accounts VALUES ('a', 'a', 0)")
        connection.execute("INSERT INTO apps VALUES ('a', 'a', 'a', 0)")
        connection.executemany(
            "INSERT INTO livestreams (id, app_id, status, disabled, stream_key, stream_key_hash, playback_id,"
            " invoked_ms, created_ms, updated_ms) VALUES (?1, 'a', 'IDLE', 0, ?1, ?1, ?1, 0, 0, 0)",
            [(f"l{number}",) for number in range(LIVESTREAMS)],
        )
        values = {"sessions": sessions, "start": START, "days": DAYS, "livestreams": LIVESTREAMS}
        connection.execute(FILL, values)
    connection.close()


Question = Callable[[AsyncConnection, int, int], Awaitable[object]]


async def overall(conn: AsyncConnection, low: int, high: int) -> object:
    return await analytics.totals(conn, "a", low, high, RUNNING)


async def by_day(conn: AsyncConnection, low: int, high: int) -> object:
    return await analytics.by_day(conn, "a", low, high, RUNNING, await takes.going_on(conn, "a", END))


async def measured(database: Database, question: Question, low: int, high: int) -> tuple[list[float], list[float]]:
    """Wall and CPU time of each answer, in ms, of all threads of the process."""
    wall, cpu = [], []
    for _ in range(REPEAT):
        before = time.perf_counter(), time.process_time()
        async with database.read() as conn:
            await question(conn, low, high)
        wall.append((time.perf_counter() - before[0]) * 1000)
        cpu.append((time.process_time() - before[1]) * 1000)
    return sorted(wall), sorted(cpu)


def bound(path: Path, low: int, high: int) -> float:
    """The least wall time of a scan of the range, in ms."""
    connection = sqlite3.connect(path)
    best = float("inf")
    for _ in range(BOUND_REPEAT):
        before = time.perf_counter()
        connection.execute(BOUND, {"low": low, "high": high}).fetchone()
        best = min(best, (time.perf_counter() - before) * 1000)
    connection.close()
    return best


async def run(folder: Path, sessions: int) -> None:
    path = await old_schema(folder)
    before = time.perf_counter()
    fill(path, sessions)
    filled = time.perf_counter()
    database = await open_database(None, folder)
    migrated = time.perf_counter()
    size = path.stat().st_size / 1e6
    print(f"{sessions} sessions of {LIVESTREAMS} livestreams in {DAYS} days, {len(RUNNING)} open ones, {size:.0f} MB")
    print(f"written in {filled - before:.1f} s, counted by the migration in {migrated - filled:.1f} s")
    try:
        for name, question, (low, high) in (
            ("overall, the last 30 days", overall, (END - 30 * DAY_MS, END)),
            ("overall, the year", overall, (START, END)),
            ("overall, the year less half a day at each end", overall, (START + HALF, END - HALF)),
            ("overall, 30 days that end within days", overall, (START + HALF, START + 30 * DAY_MS + HALF)),
            ("overall, 12 hours", overall, (START + HALF, START + DAY_MS)),
            ("day-wise, the last 30 days", by_day, (END - 30 * DAY_MS, END)),
            ("day-wise, the year", by_day, (START, END)),
            ("day-wise, the year less half a day at each end", by_day, (START + HALF, END - HALF)),
        ):
            wall, cpu = await measured(database, question, low, high)
            scan = bound(path, low, high)
            print(
                f"{name:47} wall p50 {_at(wall, 50):6.2f} p99 {_at(wall, 99):6.2f} ms, CPU p50 {_at(cpu, 50):6.2f} "
                f"p99 {_at(cpu, 99):6.2f} ms; scan {scan:7.1f} ms, {scan / _at(wall, 50):6.1f} times"
            )
    finally:
        await database.close()


def _at(values: list[float], percent: int) -> float:
    return values[min(len(values) - 1, len(values) * percent // 100)]


def main() -> None:
    sessions = int(sys.argv[1]) if len(sys.argv) > 1 else SESSIONS
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), sessions))


if __name__ == "__main__":
    main()
