"""What an answer of the analytics costs where an app has had a million sessions in a year, on SQLite or PostgreSQL.

The sessions are written by one INSERT into a database of the first schema, then the migration counts them. The most
expensive ranges are asked for: all of the year, and ranges whose ends lie within a day. Beside each answer the same
question by SQL that reads every session of the range (its sums and counts only, without days and proportions), in the
same run. Run with `python -m benchmarks analytics [SESSIONS] [--postgres URL]`; the database of the URL is to be empty.
CPU time is that of this process: of PostgreSQL only the driver's.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from sqlalchemy import text
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

NUMBERS = {
    "sqlite": """WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :sessions),
  r AS MATERIALIZED (SELECT i, :start + abs(random()) % (:days * 86400000) AS begun, abs(random()) AS chance FROM n)""",
    "postgresql": """WITH r AS MATERIALIZED (
  SELECT i, CAST(:start + floor(random() * CAST(:days AS bigint) * 86400000) AS bigint) AS begun,
    CAST(floor(random() * 9e15) AS bigint) AS chance
  FROM generate_series(0, CAST(:sessions AS integer) - 1) AS n(i))""",
}
HEX = {"sqlite": "printf('%08x', i)", "postgresql": "lpad(to_hex(i), 8, '0')"}

FILL = """{numbers},
  s AS (SELECT *, CASE WHEN chance % 50 = 0 THEN 60000000 ELSE 60000 + chance % 7200000 END AS ms FROM r)
INSERT INTO livestream_sessions (id, livestream_id, app_id, node, invoked_ms, started_ms, stopped_ms, known_ms,
  ingest_seconds, viewer_seconds, err_message, recording, encoder, created_ms, updated_ms)
SELECT {hex} || '-0000-4000-8000-000000000000', 'l' || (chance % :livestreams), 'a', 'node', begun, begun,
  begun + ms, begun + ms, ms / 1000.0, ms / 1000.0 * (chance % 40), NULL,
  CASE WHEN chance % 3 = 0 THEN 'recordings/' || i || '/session.mp4' END, 'obs-output module', begun, begun
FROM s ORDER BY begun
"""
"""A session lasts an hour on average, one in fifty 17 hours; one in eighteen is over midnight."""

BOUND = """SELECT count(*), count(DISTINCT livestream_id), sum(known_ms - started_ms), sum(ingest_seconds),
  sum(viewer_seconds), sum(CASE WHEN recording IS NOT NULL THEN 1 ELSE 0 END) FROM livestream_sessions
WHERE app_id = 'a' AND started_ms < :high AND known_ms > :low"""


async def old_schema(database: Database) -> None:
    """Make it a database as it was before there were roll-ups."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "headwater.control:migrations")
    async with database.write() as conn:

        def down(connection: object) -> None:
            config.attributes["connection"] = connection
            command.downgrade(config, "0001")

        await conn.run_sync(down)


async def fill(database: Database, sessions: int) -> None:
    kind = "sqlite" if database.is_sqlite else "postgresql"
    async with database.write() as conn:
        await conn.execute(text("INSERT INTO accounts VALUES ('a', 'a', 0)"))
        await conn.execute(text("INSERT INTO apps VALUES ('a', 'a', 'a', 0)"))
        await conn.execute(
            text(
                "INSERT INTO livestreams (id, app_id, status, disabled, stream_key, stream_key_hash, playback_id,"
                " created_ms, updated_ms, invoked_ms) VALUES (:id, 'a', 'IDLE', :disabled, :id, :id, :id, 0, 0, 0)"
            ),
            [{"id": f"l{number}", "disabled": False} for number in range(LIVESTREAMS)],
        )
        values = {"sessions": sessions, "start": START, "days": DAYS, "livestreams": LIVESTREAMS}
        await conn.execute(text(FILL.format(numbers=NUMBERS[kind], hex=HEX[kind])), values)


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
            await analytics.hold_still(conn)
            await question(conn, low, high)
        wall.append((time.perf_counter() - before[0]) * 1000)
        cpu.append((time.process_time() - before[1]) * 1000)
    return sorted(wall), sorted(cpu)


async def bound(database: Database, low: int, high: int) -> float:
    """The least wall time of a scan of the range, in ms."""
    best = float("inf")
    async with database.read() as conn:
        for _ in range(BOUND_REPEAT):
            before = time.perf_counter()
            await conn.execute(text(BOUND), {"low": low, "high": high})
            best = min(best, (time.perf_counter() - before) * 1000)
    return best


async def run(folder: Path, sessions: int, url: str | None) -> None:
    database = await open_database(url, folder)
    await old_schema(database)
    before = time.perf_counter()
    await fill(database, sessions)
    await database.close()
    filled = time.perf_counter()
    database = await open_database(url, folder)
    migrated = time.perf_counter()
    print(f"{sessions} sessions of {LIVESTREAMS} livestreams in {DAYS} days, {len(RUNNING)} open ones")
    print(f"written in {filled - before:.1f} s, counted by the migration in {migrated - filled:.1f} s")
    if not database.is_sqlite:  # what its autovacuum does by itself, soon
        async with database.engine.connect() as conn:
            await (await conn.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))
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
            scan = await bound(database, low, high)
            print(
                f"{name:47} wall p50 {_at(wall, 50):6.2f} p99 {_at(wall, 99):6.2f} ms, CPU p50 {_at(cpu, 50):6.2f} "
                f"p99 {_at(cpu, 99):6.2f} ms; scan {scan:7.1f} ms, {scan / _at(wall, 50):6.1f} times"
            )
    finally:
        await database.close()


def _at(values: list[float], percent: int) -> float:
    return values[min(len(values) - 1, len(values) * percent // 100)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sessions", type=int, nargs="?", default=SESSIONS)
    parser.add_argument("--postgres", metavar="URL", help="of an empty database, in place of SQLite")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), options.sessions, options.postgres))


if __name__ == "__main__":
    main()
