"""Analytics: the databases' sums are those of the definition, computed here the long way."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headwater.analytics.days import DAY_MS, Day, Spell, add, day_start, days_of, shares
from headwater.analytics.sessions import by_day, totals
from headwater.control.database import Database, open_database
from headwater.control.repository import accounts, livestreams, sessions
from headwater.control.repository.sessions import SessionRow
from headwater.control.tables import livestream_sessions
from tests.unit.control.support import Api
from tests.unit.control.test_http import refused

START = day_start(1_700_000_000_000)
TIMES = st.integers(START, START + 6 * DAY_MS)


class TestShares:
    @given(TIMES, st.integers(0, 3 * DAY_MS), TIMES, st.integers(0, 6 * DAY_MS))
    def test_a_session_is_split_without_loss(self, start: int, length: int, low: int, width: int) -> None:
        """Each part lies on its day and in the range; parts of ranges side by side add up to those of the whole."""
        spell = Spell(start, start + length, 1.0, 1.0, False)
        parts = list(shares(spell, low, low + width))
        for day, ms, share in parts:
            assert day % DAY_MS == 0
            assert 0 <= ms <= min(DAY_MS, length)
            assert share == pytest.approx(ms / length if length else 1.0)
        middle = low + width // 2
        left, right = (sum(part[2] for part in shares(spell, *ends)) for ends in ((low, middle), (middle, low + width)))
        assert left + right == pytest.approx(sum(part[2] for part in parts))
        whole = sum(part[2] for part in shares(spell, START - DAY_MS, START + 20 * DAY_MS))
        assert whole == pytest.approx(1.0)

    def test_over_midnight(self) -> None:
        spell = Spell(START + DAY_MS - 3_600_000, START + DAY_MS + 3 * 3_600_000, 1.0, 1.0, False)
        assert list(shares(spell, START, START + 9 * DAY_MS)) == [
            (START, 3_600_000, 0.25),
            (START + DAY_MS, 10_800_000, 0.75),
        ]

    def test_days_of_a_range(self) -> None:
        assert list(days_of(START + 5, START + DAY_MS)) == [START]
        assert list(days_of(START + 5, START + DAY_MS + 1)) == [START, START + DAY_MS]
        assert list(days_of(START, START)) == [START]


@pytest.fixture
async def filled(tmp_path: Path, database_url: str | None) -> AsyncIterator[tuple[Database, str, list[SessionRow]]]:
    """300 sessions of two apps over six days: short ones, over midnight, over days, over at once, still open."""
    database = await open_database(database_url, tmp_path)
    chance = random.Random(7)
    rows = []
    async with database.write() as conn:
        account = await accounts.create_account(conn, "a", 1)
        apps = [(await accounts.create_app(conn, account, "a", 1)).id for _ in range(2)]
        for number in range(300):
            app = apps[number % 2]
            livestream = await livestreams.create(conn, app, name=None, now_ms=1)
            started = START + chance.randrange(6 * DAY_MS)
            length = chance.choice([0, 1000, 3_600_000, 8 * 3_600_000, 2 * DAY_MS])
            rows.append(
                SessionRow(
                    id=f"s{number}",
                    livestream_id=livestream.id,
                    app_id=app,
                    node="n",
                    invoked_ms=started,
                    started_ms=started,
                    stopped_ms=None if number % 10 == 0 else started + length,
                    known_ms=started + length,
                    ingest_seconds=length / 1000 * chance.random(),
                    viewer_seconds=length / 1000 * chance.random() * 50,
                    err_message=None,
                    recording="x.mp4" if number % 3 == 0 else None,
                    encoder="",
                    created_ms=started,
                    updated_ms=started,
                )
            )
            await sessions.insert(conn, rows[-1])
    yield database, apps[0], [row for row in rows if row.app_id == apps[0]]
    await database.close()


RANGES = [
    (START, START + 8 * DAY_MS),
    (START + DAY_MS // 3, START + 2 * DAY_MS + 12_345),
    (START + 2 * DAY_MS, START + 3 * DAY_MS),
    (START + 20 * DAY_MS, START + 21 * DAY_MS),
    (START + DAY_MS, START + DAY_MS),
]


def the_long_way(rows: list[SessionRow], low: int, high: int) -> dict[int, Day]:
    days = days_of(low, high)
    for row in rows:
        recorded = row.recording is not None
        add(days, Spell(row.started_ms, row.known_ms, row.ingest_seconds, row.viewer_seconds, recorded), low, high)
    return days


async def test_by_day(filled: tuple[Database, str, list[SessionRow]]) -> None:
    database, app, rows = filled
    for low, high in RANGES:
        async with database.read() as conn:
            got = await by_day(conn, livestream_sessions, app, low, high)
        wanted = the_long_way(rows, low, high)
        assert [day.start_ms for day in got] == list(wanted)
        for day in got:
            expected = wanted[day.start_ms]
            assert (day.sessions, day.recordings) == (expected.sessions, expected.recordings)
            for name in ("session_ms", "ingest_seconds", "viewer_seconds", "recorded_seconds"):
                assert getattr(day, name) == pytest.approx(getattr(expected, name)), name


async def test_totals(filled: tuple[Database, str, list[SessionRow]]) -> None:
    database, app, rows = filled
    for low, high in RANGES:
        async with database.read() as conn:
            got = await totals(conn, livestream_sessions, app, low, high)
        days = the_long_way(rows, low, high).values()
        assert got.ingest_seconds == pytest.approx(sum(day.ingest_seconds for day in days))
        assert got.viewer_seconds == pytest.approx(sum(day.viewer_seconds for day in days))
        touched = {
            row.livestream_id
            for row in rows
            if list(shares(Spell(row.started_ms, row.known_ms, 0, 0, False), low, high))
        }
        assert got.livestreams == len(touched)


async def test_ends_of_a_range(tmp_path: Path, database_url: str | None) -> None:
    """A session that ended as the range begins, or begins as it ends, is not in it; one that was over at once is."""
    database = await open_database(database_url, tmp_path)
    try:
        async with database.write() as conn:
            account = await accounts.create_account(conn, "a", 1)
            app = (await accounts.create_app(conn, account, "a", 1)).id
            for number, (started, ended) in enumerate([(10, 20), (40, 50), (20, 20)]):
                of = (await livestreams.create(conn, app, name=None, now_ms=1)).id
                times = {"invoked_ms": 1, "started_ms": started, "stopped_ms": ended, "known_ms": ended}
                row = SessionRow(
                    id=str(number),
                    livestream_id=of,
                    app_id=app,
                    node="n",
                    **times,
                    ingest_seconds=1.0,
                    viewer_seconds=1.0,
                    err_message=None,
                    recording=None,
                    encoder="",
                    created_ms=1,
                    updated_ms=1,
                )
                await sessions.insert(conn, row)
        async with database.read() as conn:
            assert (await totals(conn, livestream_sessions, app, 20, 40)).livestreams == 1
            assert (await totals(conn, livestream_sessions, app, 19, 41)).livestreams == 3
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


def test_the_sessions_index_is_used(tmp_path: Path) -> None:
    """A range of a big history is read by index, not by walking the table."""

    async def plan() -> str:
        database = await open_database(None, tmp_path)
        try:
            async with database.read() as conn:
                found = await conn.exec_driver_sql(
                    "EXPLAIN QUERY PLAN SELECT sum(ingest_seconds) FROM livestream_sessions"
                    " WHERE app_id = 'a' AND known_ms >= 5 AND started_ms < 9"
                )
                return str(found.all())
        finally:
            await database.close()

    assert "ix_livestream_sessions_app_id_known_ms" in asyncio.run(plan())
