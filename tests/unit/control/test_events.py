"""The pipeline's events and what becomes of them: order, loss, repetition, a database that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError

from headwater.control import ControlPlane, ControlSettings, history, listener
from headwater.control.database import Database, DatabaseAway, open_database
from headwater.control.listener import EventWriter
from headwater.control.repository import accounts, event_log, health, livestreams, sessions
from headwater.events import (
    Event,
    PublishRejected,
    SessionClosed,
    SessionHealth,
    SessionInterrupted,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
    SessionResumed,
    SessionWarning,
)
from headwater.health import HealthSample
from tests.unit.control.postgres import Postgres, running_postgres
from tests.unit.control.support import now_ms, open_api

T0 = 1_700_000_000_000


@pytest.fixture
async def database(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    opened = await open_database(database_url, tmp_path)
    yield opened
    await opened.close()


async def new_livestream(database: Database) -> str:
    async with database.write() as conn:
        account = await accounts.create_account(conn, "a", T0)
        app = await accounts.create_app(conn, account, "a", T0)
        return (await livestreams.create(conn, app.id, name=None, now_ms=T0)).id


async def apply(database: Database, *events: Event) -> None:
    for event in events:
        async with database.write() as conn:
            await history.record(conn, event, "node")


async def state(database: Database, livestream_id: str) -> tuple[str, list[sessions.SessionRow]]:
    async with database.read() as conn:
        row = await livestreams.find_any(conn, livestream_id)
        rows, _ = await sessions.list_page(conn, livestream_id, offset=0, limit=100)
    assert row is not None
    return row.status, rows


def opened(livestream_id: str, session: str = "s1", at_ms: int = T0) -> SessionOpened:
    return SessionOpened(livestream_id, session, at_ms, "obs", "192.0.2.7:1")


def closed(livestream_id: str, session: str = "s1", at_ms: int = T0 + 9000, **values: Any) -> SessionClosed:
    defaults: dict[str, Any] = {"ingest_seconds": 9.0, "viewer_seconds": 4.5, "error": None, "recording": None}
    return SessionClosed(livestream_id, session, at_ms, **{**defaults, **values})


class TestHistory:
    async def test_interruption_and_return_stay_in_the_session(self, database: Database) -> None:
        of = await new_livestream(database)
        await apply(
            database,
            opened(of),
            SessionPlayable(of, "s1", T0 + 300),
            SessionInterrupted(of, "s1", T0 + 1000, T0 + 31_000, "connection lost"),
        )
        assert (await state(database, of))[0] == "LIVE"
        await apply(database, SessionResumed(of, "s1", T0 + 5000, False), closed(of, recording="recordings/s1.mp4"))
        status, rows = await state(database, of)
        assert (status, len(rows)) == ("IDLE", 1)
        async with database.read() as conn:
            log, _ = await event_log.list_page(conn, of, offset=0, limit=10)
        assert [entry.kind for entry in reversed(log)] == [
            "opened",
            "live",
            "interrupted",
            "resumed",
            "closed",
            "recorded",
        ]
        assert log[0].message == "The recording is ready: recordings/s1.mp4"
        until = f"{datetime.fromtimestamp((T0 + 31_000) / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"
        assert log[3].message == f"The publisher is gone (connection lost); it may come back until {until}."

    async def test_a_close_that_was_lost_is_made_up_for(self, database: Database) -> None:
        """There is one open session of a livestream: opening the next closes the one before where it was known."""
        of = await new_livestream(database)
        await apply(database, opened(of), SessionProgress(of, "s1", T0 + 5000, 5.0, 2.0), opened(of, "s2", T0 + 60_000))
        _, (second, first) = await state(database, of)
        assert (first.id, first.stopped_ms, first.ingest_seconds) == ("s1", T0 + 5000, 5.0)
        assert (second.id, second.stopped_ms) == ("s2", None)

    async def test_late_progress_does_not_change_final_totals(self, database: Database) -> None:
        of = await new_livestream(database)
        await apply(database, opened(of), closed(of), SessionProgress(of, "s1", T0 + 8000, 8.0, 1.0))
        _, (row,) = await state(database, of)
        assert (row.ingest_seconds, row.viewer_seconds, row.known_ms) == (9.0, 4.5, T0 + 9000)

    async def test_events_of_nobody_are_ignored(self, database: Database) -> None:
        ghost = "00000000-0000-4000-8000-000000000000"
        await apply(
            database,
            opened(ghost),
            SessionPlayable(ghost, "s", T0),
            SessionWarning(ghost, "s", T0, "X", "y"),
            closed(ghost),
            PublishRejected(ghost, T0, "E", "d", "r", "e"),
            PublishRejected(None, T0, "ERR_BAD_STREAM_KEY", "d", "r", "e"),
        )
        async with database.read() as conn:
            assert (await conn.execute(text("SELECT count(*) FROM events"))).scalar_one() == 0

    async def test_the_event_log_is_bounded(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(event_log, "KEPT_PER_LIVESTREAM", 5)
        of, other = await new_livestream(database), await new_livestream(database)
        await apply(database, opened(other))
        await apply(database, opened(of), *(SessionWarning(of, "s1", T0, "W", str(n)) for n in range(20)))
        async with database.read() as conn:
            log, total = await event_log.list_page(conn, of, offset=0, limit=100)
            _, others = await event_log.list_page(conn, other, offset=0, limit=100)
        assert [entry.message for entry in log] == ["19", "18", "17", "16", "15"]
        assert (total, others) == (5, 1)

    async def test_recovery_closes_what_a_crash_left_open(self, database: Database) -> None:
        """With the totals that were durable, ending where they were known; other servers' sessions are theirs."""
        of, theirs = await new_livestream(database), await new_livestream(database)
        await apply(database, opened(of), SessionPlayable(of, "s1", T0), SessionProgress(of, "s1", T0 + 5000, 5, 7.5))
        async with database.write() as conn:
            await history.record(conn, opened(theirs, "t1"), "another-node")
        async with database.write() as conn:
            (orphan,) = await sessions.left_open(conn, "node")
            assert orphan.id == "s1"
            await history.recover(conn, orphan, None, T0 + 900_000)
        status, (row,) = await state(database, of)
        assert status == "IDLE"
        assert (row.stopped_ms, row.ingest_seconds, row.viewer_seconds) == (T0 + 5000, 5.0, 7.5)
        assert row.err_message is None
        assert (await state(database, theirs))[1][0].stopped_ms is None
        async with database.read() as conn:
            assert await sessions.left_open(conn, "node") == []


def _events(of: str) -> st.SearchStrategy[list[Event]]:
    """Events as a broken pipeline might emit them: of a few sessions, in any order, any number of times."""
    session = st.sampled_from(["a", "b", "c"]).map(lambda name: f"{of[:8]}-{name}")
    at_ms = st.integers(T0, T0 + 100_000)
    seconds = st.floats(0, 1000)
    each = st.one_of(
        st.builds(SessionOpened, st.just(of), session, at_ms, st.text(max_size=5), st.just("r")),
        st.builds(SessionPlayable, st.just(of), session, at_ms),
        st.builds(SessionInterrupted, st.just(of), session, at_ms, at_ms, st.text(max_size=5)),
        st.builds(SessionResumed, st.just(of), session, at_ms, st.booleans()),
        st.builds(SessionProgress, st.just(of), session, at_ms, seconds, seconds),
        st.builds(SessionClosed, st.just(of), session, at_ms, seconds, seconds, st.none() | st.just("E: x"), st.none()),
        st.builds(PublishRejected, st.just(of), at_ms, st.just("E"), st.text(max_size=5), st.just("r"), st.text()),
    )
    return st.lists(each, max_size=12)


class TestAnySequence:
    """Whatever is emitted, the state stays a possible one."""

    @given(data=st.data())
    @settings(max_examples=25, deadline=None)
    def test_the_state_stays_sound(self, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
        """At most one session is open; final totals never change; LIVE means that a session is open; writing an
        event again right away changes nothing but the log."""
        folder = tmp_path_factory.getbasetemp() / "any-sequence"
        folder.mkdir(exist_ok=True)

        async def check() -> None:
            database = await open_database(None, folder)
            try:
                of = await new_livestream(database)
                final: dict[str, sessions.SessionRow] = {}
                for event in data.draw(_events(of)):
                    await apply(database, event)
                    before = await state(database, of)
                    await apply(database, event)
                    status, rows = await state(database, of)
                    assert (status, [_plain(row) for row in rows]) == (before[0], [_plain(row) for row in before[1]])
                    assert sum(row.stopped_ms is None for row in rows) <= 1
                    assert all(row.known_ms == row.stopped_ms for row in rows if row.stopped_ms is not None)
                    if status == "LIVE":
                        assert any(row.stopped_ms is None for row in rows)
                    for row in rows:
                        if row.id in final:  # it may have gone, but it does not change
                            assert _plain(row) == _plain(final[row.id])
                        if row.stopped_ms is not None:
                            final[row.id] = row
            finally:
                await database.close()

        asyncio.run(check())


def _plain(row: sessions.SessionRow) -> sessions.SessionRow:
    return replace(row, updated_ms=0)


class FlakyDatabase:
    """Fails to write as often as it is told, and keeps what was written in order."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.written: list[Event] = []
        self.transactions: list[int] = []

    @asynccontextmanager
    async def write(self) -> AsyncIterator[list[Event]]:
        if self.failures:
            raise self.failures.pop(0)
        pending: list[Event] = []
        yield pending
        self.written += pending
        self.transactions.append(len(pending))


def down() -> OperationalError:
    return OperationalError("INSERT", {}, Exception("connection refused"))


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> FlakyDatabase:
    """A database without SQL: `record` and `save_progress` append to its transaction."""
    fake = FlakyDatabase()

    async def record(conn: list[Event], event: Event, _node: str) -> None:
        if isinstance(event, SessionWarning) and event.code == "POISON":
            raise IntegrityError("INSERT", {}, Exception("refused"))
        conn.append(event)

    async def save_progress(conn: list[Event], progress: list[Any]) -> None:
        conn.extend(progress)

    monkeypatch.setattr(listener, "record", record)
    monkeypatch.setattr(listener, "save_progress", save_progress)
    monkeypatch.setattr(listener, "RETRY_FIRST_S", 0.0)
    return fake


def writer(fake: FlakyDatabase) -> EventWriter:
    return EventWriter(fake, "node")  # type: ignore[arg-type]


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that the test may stop."""
    with running_postgres() as server:
        yield server


async def test_postgresql_goes_and_comes_back(tmp_path: Path, own_postgres: Postgres) -> None:
    """Events of the outage are written afterwards, in order, and the API refuses with 503 meanwhile."""
    url = await asyncio.to_thread(own_postgres.new_database)
    plane = await ControlPlane.open(ControlSettings(tmp_path / "data", database_url=url))
    api = await open_api(plane)
    created = await api.create()
    await api.broadcasts.publish(created["stream_key"])
    assert await plane.settle(10)
    await asyncio.to_thread(own_postgres.stop)
    for number in range(5):
        plane.listen(SessionWarning(created["id"], "s", now_ms(), "W", str(number)))
    api.broadcasts.progress(created["id"], 9, 4)
    api.broadcasts.close(created["id"])
    assert (await api.http.get(api.app + "/livestreams")).status_code == 503
    await asyncio.to_thread(own_postgres.start)
    assert await plane.settle(20)
    shown = (await api.call("GET", f"/livestreams/{created['id']}"))["data"]
    assert (shown["livestream"]["status"], shown["session"]["ingest_seconds"]) == ("IDLE", 9.0)
    log = (await api.call("GET", f"/livestreams/{created['id']}/events"))["data"]
    assert [entry["message"] for entry in log if entry["kind"] == "warning"] == ["4", "3", "2", "1", "0"]
    await api.http.aclose()
    await plane.close()


class TestEventWriter:
    async def test_order_is_kept_through_an_outage(self, flaky: FlakyDatabase) -> None:
        flaky.failures = [down(), DatabaseAway("gone"), down()]
        events = writer(flaky)
        sent: list[Event] = [opened("l", f"s{n}") for n in range(20)]
        for event in sent:
            events.listen(event)
        events.start()
        assert await events.settle(5)
        await events.close(5)
        assert flaky.written == sent
        assert events.waiting == 0

    async def test_what_waits_together_is_one_transaction(self, flaky: FlakyDatabase) -> None:
        events = writer(flaky)
        for number in range(listener.BATCH_LIMIT + 1):
            events.listen(opened("l", f"s{number}"))
        events.start()
        await events.settle(5)
        await events.close(5)
        assert flaky.transactions == [listener.BATCH_LIMIT, 1]

    async def test_progress_is_coalesced(self, flaky: FlakyDatabase) -> None:
        """Of each session the newest is written, and none after its close."""
        events = writer(flaky)
        for number in range(100):
            events.listen(SessionProgress("l", "s1", T0 + number, float(number), 0.0))
            events.listen(SessionProgress("l", "s2", T0 + number, float(number), 0.0))
        events.listen(closed("l", "s2"))
        events.start()
        await events.settle(5, progress=True)
        await events.close(5)
        assert flaky.written[0] == closed("l", "s2")
        assert [(entry.session_id, entry.ingest_seconds) for entry in flaky.written[1:]] == [("s1", 99.0)]  # type: ignore[union-attr]

    async def test_one_bad_event_does_not_stop_the_rest(self, flaky: FlakyDatabase) -> None:
        events = writer(flaky)
        events.listen(opened("l", "s1"))
        events.listen(SessionWarning("l", "s1", T0, "POISON", "x"))
        events.listen(closed("l", "s1"))
        events.start()
        assert await events.settle(5)
        await events.close(5)
        assert flaky.written == [opened("l", "s1"), closed("l", "s1")]

    async def test_the_queue_is_bounded_and_the_essential_is_dropped_last(
        self, flaky: FlakyDatabase, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(listener, "QUEUE_LIMIT", 3)
        monkeypatch.setattr(listener, "ESSENTIAL_LIMIT", 5)
        events = writer(flaky)
        for number in range(10):
            events.listen(SessionWarning("l", "s", T0 + number, "W", "x"))
        for number in range(10):
            events.listen(opened("l", f"s{number}"))
        assert events.waiting == 5
        events.start()
        await events.settle(5)
        await events.close(5)
        assert flaky.written[3:] == [opened("l", "s0"), opened("l", "s1")]

    async def test_closing_gives_up_after_its_time(self, flaky: FlakyDatabase) -> None:
        flaky.failures = [down()] * 1_000_000
        events = writer(flaky)
        events.listen(opened("l"))
        events.start()
        assert not await events.settle(0.01)
        await events.close(0.01)
        assert events.waiting == 1

    async def test_settling_with_nothing_to_do_is_immediate(self, flaky: FlakyDatabase) -> None:
        events = writer(flaky)
        events.start()
        assert await events.settle(0)
        await events.close(1)


def health_of(first: int, count: int) -> tuple[HealthSample, ...]:
    return tuple(
        HealthSample(T0 + 1000 * k, 3_000_000, 128_000, 30.0, 2000, 0, 0, 5, 1.5) for k in range(first, first + count)
    )


async def test_health_is_kept_in_order_and_once(database: Database) -> None:
    livestream_id = await new_livestream(database)
    opened = SessionOpened(livestream_id, "s", T0, "OBS", "192.0.2.1:1")
    first, second = health_of(0, 10), health_of(10, 10)
    await apply(
        database,
        SessionHealth(livestream_id, "unknown", first),
        opened,
        SessionHealth(livestream_id, "s", first),
        SessionHealth(livestream_id, "s", first),
        SessionHealth(livestream_id, "s", second),
    )
    async with database.read() as conn:
        assert await health.samples_of(conn, "s", 0, 2**62) == [*first, *second]
        assert await health.samples_of(conn, "s", T0 + 8000, T0 + 12_000) == [*first[8:], *second[:2]]
        assert await health.samples_of(conn, "unknown", 0, 2**62) == []


async def test_old_health_is_forgotten(database: Database) -> None:
    livestream_id = await new_livestream(database)
    late = health_of(31 * 86_400, 10)
    await apply(
        database,
        SessionOpened(livestream_id, "s", T0, "OBS", "192.0.2.1:1"),
        SessionHealth(livestream_id, "s", health_of(0, 10)),
        SessionHealth(livestream_id, "s", late),
    )
    async with database.read() as conn:
        assert await health.samples_of(conn, "s", 0, 2**62) == list(late)
