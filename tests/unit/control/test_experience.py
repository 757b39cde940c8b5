"""How viewers fared: stored with their session, added up over sessions, shown by the API to whose they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from headwater.analytics.experience import Experience
from headwater.analytics.viewing import Facts
from headwater.control import history
from headwater.control.database import Database, open_database
from headwater.control.repository import accounts, experiences, livestreams
from headwater.control.tables import session_experiences
from headwater.events import Event, SessionClosed, SessionExperience, SessionOpened
from tests.unit.control.support import Api, now_ms

T0 = 1_700_000_000_000


@pytest.fixture
async def database(tmp_path: Path, database_url: str | None) -> AsyncIterator[Database]:
    opened = await open_database(database_url, tmp_path)
    yield opened
    await opened.close()


def whole(*facts: Facts) -> str:
    experience = Experience()
    for entry in facts:
        experience.put(None, entry)
    return experience.packed()


async def rows(database: Database) -> list[Any]:
    async with database.read() as conn:
        return list((await conn.execute(session_experiences.select())).all())


class TestHistory:
    async def test_the_newest_whole_is_kept_also_after_the_close(self, database: Database) -> None:
        async with database.write() as conn:
            app = await accounts.create_app(conn, await accounts.create_account(conn, "a", T0), "a", T0)
            of = (await livestreams.create(conn, app.id, name=None, now_ms=T0)).id
        events: list[Event] = [
            SessionExperience(of, "s1", T0, whole(Facts(1))),  # nobody knows that session yet
            SessionOpened(of, "s1", T0, "obs", "192.0.2.7:1"),
            SessionExperience(of, "s1", T0 + 1, whole(Facts(2))),
            SessionClosed(of, "s1", T0 + 9000, 9.0, 4.5, None, None),
            SessionExperience(of, "s1", T0 + 9001, whole(Facts(3), Facts(4))),
        ]
        for event in events:
            async with database.write() as conn:
                await history.record(conn, event, "node")
        (row,) = await rows(database)
        assert (row.session_id, row.livestream_id, row.updated_ms) == ("s1", of, T0 + 9001)
        assert Experience.unpacked(row.packed).totals["views"] == 2

    async def test_a_failure_that_is_forgotten_takes_it_along(self, database: Database) -> None:
        async with database.write() as conn:
            app = await accounts.create_app(conn, await accounts.create_account(conn, "a", T0), "a", T0)
            of = (await livestreams.create(conn, app.id, name=None, now_ms=T0)).id
        for number in range(3):
            failed: list[Event] = [
                SessionOpened(of, f"s{number}", T0 + number, "obs", "192.0.2.7:1"),
                SessionExperience(of, f"s{number}", T0 + number, whole(Facts(1))),
                SessionClosed(of, f"s{number}", T0 + number, 0.0, 0.0, "ERR_X: same", None),
            ]
            for event in failed:
                async with database.write() as conn:
                    await history.record(conn, event, "node")
        assert [row.session_id for row in await rows(database)] == ["s2"]

    async def test_the_range_is_read_by_an_index(self, database: Database) -> None:
        if not database.is_sqlite:
            pytest.skip("SQLite's plan")
        query = (
            "SELECT packed FROM session_experiences WHERE livestream_id = 'x' AND updated_ms >= 1 AND updated_ms < 2"
        )
        async with database.read() as conn:
            plan = (await conn.execute(text(f"EXPLAIN QUERY PLAN {query} ORDER BY updated_ms DESC"))).all()
            assert await experiences.of_livestream(conn, "x", 1, 2, 10) == []
        assert len(plan) == 1 and "USING INDEX" in plan[0].detail


async def broadcast(api: Api, *sessions: list[Facts]) -> tuple[str, list[str]]:
    """A livestream with these sessions; returns its id and theirs."""
    created = await api.create("x")
    names = []
    for facts in sessions:
        running = await api.broadcasts.publish(created["stream_key"])
        names.append(running.session_id)
        api.plane.listen(SessionExperience(created["id"], running.session_id, now_ms(), whole(*facts)))
        await api.broadcasts.stop(created["id"], "X", "over")
    return created["id"], names


async def shown(api: Api, path: str, **query: str) -> Any:
    return (await api.call("GET", f"{path}/experience", params=query))["data"]


class TestApi:
    async def test_a_session_and_all_of_them(self, any_api: Api) -> None:
        quick = Facts(500, 0, 0, 60_000, 3000.0, 2000.0)
        slow = Facts(4000, 2, 6000, 54_000, 1000.0, None)
        livestream, (first, second) = await broadcast(any_api, [quick, slow], [quick])
        one = await shown(any_api, f"/livestreams/sessions/{first}")
        assert (one["views"], one["started_views"], one["stalled_views"], one["stalls"]) == (2, 2, 1, 2)
        assert (one["stalled_seconds"], one["played_seconds"], one["rebuffering_ratio"]) == (6.0, 114.0, 0.05)
        assert one["startup_ms"] == {
            "count": 2,
            "mean": 2250.0,
            "p50": pytest.approx(500, rel=0.02),
            "p95": pytest.approx(4000, rel=0.02),
            "p99": pytest.approx(4000, rel=0.02),
        }
        assert one["rebuffering"]["p50"] == 0 and one["rebuffering"]["p99"] == pytest.approx(0.1, rel=0.02)
        assert (one["latency_ms"]["count"], one["bitrate_kbps"]["mean"]) == (1, 2000.0)
        both = await shown(any_api, f"/livestreams/{livestream}")
        assert (both["sessions"], both["views"]) == (2, 3)
        none = await shown(any_api, f"/livestreams/{livestream}", end_time="2020-01-01T00:00:00Z")
        assert (none["sessions"], none["updated_at"], none["startup_ms"]["p50"]) == (0, None, None)
        assert second != first

    async def test_a_session_without_reports_has_none(self, any_api: Api) -> None:
        created = await any_api.create("x")
        running = await any_api.broadcasts.publish(created["stream_key"])
        data = await shown(any_api, f"/livestreams/sessions/{running.session_id}")
        assert (data["views"], data["updated_at"], data["rebuffering_ratio"]) == (0, None, None)

    async def test_each_of_those_who_watch_now(self, any_api: Api) -> None:
        created = await any_api.create("x")
        path = f"/livestreams/{created['id']}/experience/viewings"
        assert (await any_api.call("GET", path))["data"] == []
        await any_api.broadcasts.publish(created["stream_key"])
        worst, _ = (await any_api.call("GET", path))["data"]
        assert worst == {
            "startup_ms": 500,
            "stalls": 2,
            "stalled_seconds": 6.0,
            "played_seconds": 54.0,
            "rebuffering_ratio": 0.1,
            "bitrate_kbps": 1000.0,
            "latency_ms": None,
        }

    async def test_what_is_not_there_is_404(self, any_api: Api) -> None:
        ghost = "00000000-0000-4000-8000-000000000000"
        of_livestream = f"/livestreams/{ghost}/experience"
        for path in (f"/livestreams/sessions/{ghost}/experience", of_livestream, f"{of_livestream}/viewings"):
            assert (await any_api.http.get(any_api.app + path)).status_code == 404
