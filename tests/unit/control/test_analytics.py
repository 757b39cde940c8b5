"""Analytics: the roll-ups' answers are those of the definition, computed the long way; they never change afterwards."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from sqlalchemy import Connection, Select, event, select
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.analytics.days import DAY_MS, Spell
from headwater.control import ControlPlane, ControlSettings
from headwater.control.database import Database, open_database
from headwater.control.history import record
from headwater.control.migrations.versions import v0002_analytics, v0007_recording_days
from headwater.control.repository import analytics, livestreams, sessions, takes
from headwater.control.repository.analytics import Running
from headwater.control.repository.sessions import SessionRow
from headwater.control.tables import (
    analytics_days,
    analytics_livestream_days,
    analytics_overnight,
    analytics_overnight_recordings,
    analytics_returns,
    livestream_sessions,
    recordings,
)
from headwater.events import RecordingChanged, RecordingFailed, RecordingReady, SessionClosed, SessionOpened
from tests.unit.control.histories import BY_CALL, HISTORIES, START, History, Step, the_long_way
from tests.unit.control.support import Api, now_ms, open_api
from tests.unit.control.test_http import refused

RANGES = st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=6, max_size=6)
"""Ends of ranges, as numbers of the moments at which something changes."""

SPELL = Spell(START, START + 1, 1, 1)
ROLL_UPS = (
    analytics_days,
    analytics_livestream_days,
    analytics_overnight,
    analytics_overnight_recordings,
    analytics_returns,
)


async def check(conn: AsyncConnection, history: History, low: int, high: int) -> None:
    days, livestreams = the_long_way(history.all, [*history.takes, *history.going_on], low, high)
    recording = await takes.going_on(conn, history.app_id, history.now_ms)
    assert await analytics.by_day(conn, history.app_id, low, high, history.running, recording) == days
    totals = await analytics.totals(conn, history.app_id, low, high, history.running)
    assert totals.livestreams == livestreams
    for name in ("sessions", "session_ms", "ingest_ms", "viewer_ms"):
        assert getattr(totals.sums, name) == sum(getattr(sums, name) for sums in days.values()), name


def test_random_histories(tmp_path: Path, database_url: str | None) -> None:
    """Each answer is the definition's, to the millisecond, whatever happened: nights, leap days, crashes, failures."""
    with asyncio.Runner() as runner:
        database = runner.run(open_database(database_url, tmp_path))

        # Without shrinking, which takes minutes: a history of some forty steps can be read.
        @examples(
            max_examples=20,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(HISTORIES, RANGES)
        def one(steps: list[Step], ranges: list[tuple[int, int]]) -> None:
            runner.run(write_and_check(database, steps, ranges))

        try:
            one()
        finally:
            runner.run(database.close())


async def write_and_check(database: Database, steps: list[Step], ranges: list[tuple[int, int]]) -> None:
    async with database.write() as conn:
        history = await History.begin(conn)
        for step in steps:
            await history.take(conn, step)
        moments = turning_points(history)
        for range_ in ranges:
            low, high = sorted(moments[number % len(moments)] for number in range_)
            await check(conn, history, low, high)


def turning_points(history: History) -> list[int]:
    """Where an answer may go wrong: starts, ends and middles of sessions, and midnights."""
    moments = {START}
    for _, spell in history.all:
        middle = (spell.start_ms + spell.end_ms) // 2
        moments |= {spell.start_ms, spell.end_ms, spell.end_ms - 1, spell.end_ms + 1, middle}
    return sorted(moments | {moment + -moment % DAY_MS for moment in moments})


def random_steps(seed: int, count: int) -> list[Step]:
    chance = random.Random(seed)
    acts = ["open", "progress", "close", "close recorded", "fail at once", "fail", "crash", "crash recorded", *BY_CALL]
    times = [0, 60_000, 3_600_000, 20 * 3_600_000, 60 * 3_600_000]
    return [
        Step(chance.choice(times), chance.choice(acts), chance.randrange(2), chance.random() * 9e3, chance.random())
        for _ in range(count)
    ]


async def test_the_migration_counts_what_is_there(tmp_path: Path, database_url: str | None) -> None:
    """The roll-ups of a history that is older than they are, are those that would have grown with it.

    What was recorded by call is not known to the first schemas: recordings come from the one that counts them.
    """
    database = await open_database(database_url, tmp_path)
    try:
        async with database.write() as conn:
            for seed in range(2):
                history = await History.begin(conn)
                for step in random_steps(seed, 200):
                    await history.take(conn, step)
            before = await everything(conn)
            await conn.run_sync(migrate, v0007_recording_days.down_revision)
            await conn.execute(analytics_days.update().values(recordings=77, recorded_ms=7))  # as they were then
            await conn.run_sync(migrate, "head")
            assert await everything(conn) == before
            await check(conn, history, START, history.now_ms)
            assert len(before["analytics_overnight"]) > 10
            assert len(before["analytics_overnight_recordings"]) > 10
            await conn.run_sync(migrate, v0002_analytics.down_revision)
            await conn.run_sync(migrate, "head")
            after = await everything(conn)
            for of_recordings in ("recordings", "analytics_overnight_recordings"):
                del before[of_recordings], after[of_recordings]
            days = [[row[:6] for row in state.pop("analytics_days") if row[2]] for state in (before, after)]
            assert days[0] == days[1]
            assert after == before
    finally:
        await database.close()


async def everything(conn: AsyncConnection) -> dict[str, list[Any]]:
    c = livestream_sessions.c
    r = recordings.c
    questions: dict[str, Select[Any]] = {table.name: select(table) for table in ROLL_UPS}
    questions["sessions"] = select(c.id, c.known_ms, c.ingest_seconds, c.viewer_seconds, c.counted)
    questions["recordings"] = select(r.id, r.started_ms, r.stopped_ms, r.seconds, r.counted).where(r.counted)
    answers = {name: await conn.execute(query) for name, query in questions.items()}
    return {name: sorted(tuple(row) for row in rows) for name, rows in answers.items()}


def migrate(connection: Connection, to: str) -> None:
    config = Config()
    config.set_main_option("script_location", "headwater.control:migrations")
    config.attributes["connection"] = connection
    if to == "head":
        command.upgrade(config, to)
    else:
        command.downgrade(config, to)


async def test_servers_that_share_a_database(tmp_path: Path, database_url: str | None) -> None:
    """Sessions of one app that end at the same moment, on two servers, are all counted."""
    servers = [await open_database(database_url, tmp_path) for _ in range(2)]
    try:
        async with servers[0].write() as conn:
            history = await History.begin(conn)
            ids = [(await livestreams.create(conn, history.app_id, name=None, now_ms=1)).id for _ in range(30)]
            for id_ in ids:
                await record(conn, SessionOpened(id_, f"s-{id_[:30]}", START, "obs", "r"), "n")

        async def end(number: int, id_: str) -> None:
            async with servers[number % 2].write() as conn:
                end_ms = START + number % 3 * DAY_MS + 1000
                await record(conn, SessionClosed(id_, f"s-{id_[:30]}", end_ms, 10.0, 0.0, None, None), "n")

        await asyncio.gather(*(end(number, id_) for number, id_ in enumerate(ids)))
        async with servers[0].read() as conn:
            days = await analytics.by_day(conn, history.app_id, START, START + 3 * DAY_MS, [])
            totals = await analytics.totals(conn, history.app_id, START + DAY_MS, START + 3 * DAY_MS, [])
        assert [day.sessions for day in days.values()] == [30, 0, 0]
        assert sum(day.ingest_ms for day in days.values()) == 300_000
        assert totals.livestreams == 20
    finally:
        for server in servers:
            await server.close()


async def test_ends_of_a_range(tmp_path: Path, database_url: str | None) -> None:
    """A session that ended as the range begins, or begins as it ends, is not in it; one that was over at once is."""
    database = await open_database(database_url, tmp_path)
    try:
        async with database.write() as conn:
            history = await History.begin(conn)
            for after, act, livestream in (
                (10, "open", 0),
                (10, "close", 0),
                (0, "open", 1),
                (0, "close", 1),
                (20, "open", 0),
                (10, "close", 0),
            ):
                await history.take(conn, Step(after, act, livestream, 1.0, 1.0))
            for low, high, number in ((20, 40, 1), (19, 41, 2), (21, 40, 0), (20, 20, 0), (21, 41, 1)):
                found = await analytics.totals(conn, history.app_id, START + low, START + high, [])
                assert found.livestreams == number, (low, high)
    finally:
        await database.close()


class TestOverTheApi:
    async def test_a_broadcast_counts(self, any_api: Api) -> None:
        created = await any_api.create()
        await any_api.broadcasts.publish(created["stream_key"])
        any_api.broadcasts.progress(created["id"], 90, 45.4)
        any_api.broadcasts.close(created["id"], recording="r.mp4")
        totals_ = (await any_api.call("GET", "/analytics/livestreams/overall"))["data"]
        assert totals_ == {"count": 1, "total_ingest_seconds": 90, "total_viewer_seconds": 45}
        org = (await any_api.call("GET", "/analytics/daywise"))["data"]
        assert (org["session_stats"]["sessions_count"], org["recording_stats"]["recording_count"]) == (1, 1)
        assert org["recording_stats"]["recording_minutes_consumed"] == 1.5
        assert len(org["session_stats"]["day_stats"]) == 31

    async def test_parts_of_a_session_are_recordings_of_their_own(self, any_api: Api) -> None:
        """As they are now while they are recorded, and as their files play once they are whole."""
        created = await any_api.create()
        broadcast = await any_api.broadcasts.publish(created["stream_key"])
        began = broadcast.started_ms - 3_600_000  # an hour ago
        for id_, status, spans in (
            ("one", "UPLOADING", ((began, began + 60_000), (began + 120_000, began + 180_000))),
            ("two", "RECORDING", ((began + 180_000, None),)),
            ("lost", "RECORDING", ((began, None),)),
        ):
            ids = (created["id"], broadcast.session_id, began, id_)
            any_api.plane.listen(RecordingChanged(*ids, "RECORDING", ((began, None),), "API_CALL"))
            any_api.plane.listen(RecordingChanged(*ids[:2], began + 180_000, id_, status, spans, "API_CALL"))

        async def told() -> tuple[int, float]:
            stats = (await any_api.call("GET", "/analytics/daywise"))["data"]["recording_stats"]
            return stats["recording_count"], stats["recording_minutes_consumed"]

        count, minutes = await told()
        assert count == 3
        assert 2 + 57 + 60 <= minutes < 2 + 57 + 60 + 2
        any_api.broadcasts.close(created["id"], recording="recordings/two-part.mp4")
        for id_, seconds in (("one", 122.4), ("two", 60.0)):
            ids = (created["id"], broadcast.session_id, now_ms(), id_)
            any_api.plane.listen(RecordingReady(*ids, f"recordings/{id_}-part.mp4", 9, seconds, now_ms(), "API_CALL"))
        failed = (created["id"], broadcast.session_id, now_ms(), "lost")
        any_api.plane.listen(RecordingFailed(*failed, "ERR_NOTHING_RECORDED: no"))
        assert await told() == (2, 3.04)
        await any_api.call("DELETE", "/recordings/one")
        assert await told() == (2, 3.04)

    async def test_ranges(self, any_api: Api) -> None:
        """ISO and Unix seconds mean the same; whole days are named as asked."""
        iso = await any_api.call(
            "GET", "/analytics/livestreams/daywise?start_time=2023-07-15T00:00:00Z&end_time=2023-07-18T00:00:00Z"
        )
        unix = await any_api.call("GET", "/analytics/livestreams/daywise?start_time=1689379200&end_time=1689638400")
        assert iso == unix
        assert [row["date"] for row in iso["data"]] == ["2023-07-15", "2023-07-16", "2023-07-17"]
        org = (await any_api.call("GET", "/analytics/daywise?start_date=2022-09-01&end_date=2022-09-22"))["data"]
        days = [row["day"] for row in org["recording_stats"]["day_stats"]]
        assert (days[0], days[-1], len(days)) == ("2022-09-01", "2022-09-22", 22)
        by_end = (await any_api.call("GET", "/analytics/daywise?end_date=2022-09-22"))["data"]
        assert by_end["session_stats"]["day_stats"][0]["day"] == "2022-08-23"

    @pytest.mark.parametrize(
        "path",
        [
            "/daywise?start_date=2022-09-02&end_date=2022-09-01",
            "/daywise?start_date=2022-9-2",
            "/daywise?start_date=2020-01-01&end_date=2022-01-01",
            "/daywise?start_date=2999-01-01",
            "/livestreams/daywise?start_time=1&end_time=99999999999",
            "/livestreams/overall?start_time=yesterday",
            "/livestreams/overall?start_time=5&end_time=4",
        ],
    )
    async def test_ranges_that_cannot_be(self, api: Api, path: str) -> None:
        refused(await api.http.get(api.app + "/analytics" + path), 400)

    async def test_by_default_the_last_30_days(self, any_api: Api) -> None:
        """All three calls cover the same days: today, and 30 before it."""
        await broadcast_in_the_past(any_api, days_ago=30)
        await broadcast_in_the_past(any_api, days_ago=31)
        totals = (await any_api.call("GET", "/analytics/livestreams/overall"))["data"]
        days = (await any_api.call("GET", "/analytics/livestreams/daywise"))["data"]
        org = (await any_api.call("GET", "/analytics/daywise"))["data"]
        assert totals == {"count": 1, "total_ingest_seconds": 60, "total_viewer_seconds": 90}
        assert [day["count"] for day in days] == [1] + [0] * 30
        assert org["session_stats"]["sessions_minutes_consumed"] == 1
        ever = (await any_api.call("GET", "/analytics/livestreams/overall?start_time=0"))["data"]
        assert ever["count"] == 2

    async def test_an_open_session_counts_as_it_is_now(self, api: Api) -> None:
        """With numbers that are not in the database yet, and with its final ones as it ends."""
        created = await api.create()
        await api.broadcasts.publish(created["stream_key"])
        api.broadcasts.open[created["id"]].ingest_seconds = 30.0
        running = (await api.call("GET", "/analytics/livestreams/overall"))["data"]
        assert running == {"count": 1, "total_ingest_seconds": 30, "total_viewer_seconds": 0}
        api.broadcasts.progress(created["id"], 20, 5)
        api.broadcasts.close(created["id"])
        assert (await api.call("GET", "/analytics/livestreams/overall"))["data"]["total_ingest_seconds"] == 20

    async def test_what_failed_before_any_media_is_no_broadcast(self, api: Api) -> None:
        """However often an encoder tries; what failed later is one."""
        created = await api.create()
        for ingest_seconds in (0, 0, 7):
            await api.broadcasts.publish(created["stream_key"], playable=False)
            api.broadcasts.progress(created["id"], ingest_seconds, 0)
            api.broadcasts.close(created["id"], error="ERR_UNSUPPORTED_CODEC: no.")
        org = (await api.call("GET", "/analytics/daywise"))["data"]["session_stats"]
        assert (org["sessions_count"], org["sessions_minutes_consumed"]) == (1, 0.117)

    async def test_no_number_changes_by_a_crash(self, tmp_path: Path, database_url: str | None) -> None:
        """What was told of ended sessions is told after a restart; the open one ends with what was known of it."""
        told: list[Any] = []
        for run in range(2):
            plane = await ControlPlane.open(ControlSettings(tmp_path / "data", database_url=database_url))
            await plane.recover(nothing_recorded)
            api = await open_api(plane)
            if run == 0:
                ended, live = await api.create(), await api.create()
                for created in (ended, live):
                    await api.broadcasts.publish(created["stream_key"])
                    api.broadcasts.progress(created["id"], 90.0, 45.0)
                api.broadcasts.close(ended["id"])
                await plane.settle()
                api.broadcasts.open.clear()  # nothing of it is known but what is durable
            paths = ("/livestreams/overall", "/livestreams/daywise", "/daywise")
            told.append([await api.call("GET", "/analytics" + path) for path in paths])
            await api.http.aclose()
            await plane.close()
        assert told[0] == told[1]
        assert told[0][0]["data"] == {"count": 2, "total_ingest_seconds": 180, "total_viewer_seconds": 90}


async def nothing_recorded(_session: SessionRow) -> None:
    return None


async def broadcast_in_the_past(api: Api, *, days_ago: int) -> None:
    created = await api.create()
    at_ms = now_ms() - now_ms() % DAY_MS - days_ago * DAY_MS
    session_id = f"{days_ago}-days-ago"
    api.plane.listen(SessionOpened(created["id"], session_id, at_ms, "obs", "r"))
    api.plane.listen(SessionClosed(created["id"], session_id, at_ms + 60_000, 60.0, 90.0, None, None))


class TestPlans:
    """A question is answered by index, not by walking through the sessions."""

    async def test_sqlite(self, tmp_path: Path) -> None:
        database = await open_database(None, tmp_path)
        seen: list[tuple[str, Any]] = []

        def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
            if not statement.startswith("EXPLAIN"):
                seen.append((statement, parameters))

        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        try:
            async with database.read() as conn:
                await sessions.open_of_app(conn, "a")
                await analytics.totals(conn, "a", START + 1, START + 5 * DAY_MS + 1, [Running("l", SPELL)])
                await analytics.by_day(conn, "a", START + 1, START + 5 * DAY_MS + 1, [])
                await takes.going_on(conn, "a", START)
                plans = [
                    row[-1]
                    for statement, parameters in list(seen)
                    for row in await conn.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
                ]
        finally:
            await database.close()
        assert len(seen) > 8
        scans = [plan for plan in plans if plan.startswith("SCAN") and "(subquery" not in plan and "anon" not in plan]
        assert scans == []
        by_time = [plan for plan in plans if "ix_livestream_sessions_counted" in plan]
        assert by_time
        assert all("app_id=? AND started_ms>? AND started_ms<?" in plan for plan in by_time)
        assert any("ix_livestream_sessions_open" in plan for plan in plans)
        assert any("ix_recordings_going_on" in plan for plan in plans)
        by_time = [plan for plan in plans if "ix_recordings_counted" in plan]
        assert by_time
        assert all("app_id=? AND started_ms>? AND started_ms<?" in plan for plan in by_time)
