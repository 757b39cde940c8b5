"""The database: migrations, starting together, what survives a crash, who may read the file."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from headwater.control import Addresses, ControlPlane, ControlSettings
from headwater.control.database import POOL_SIZE, Database, open_database
from headwater.control.history import Recovered, recover
from headwater.control.repository import sessions
from headwater.control.repository.sessions import SessionRow
from headwater.control.tables import metadata
from headwater.errors import OperatorError
from tests.unit.control.support import Api


def head() -> str | None:
    config = Config()
    config.set_main_option("script_location", "headwater.control:migrations")
    return ScriptDirectory.from_config(config).get_current_head()


class TestMigrations:
    async def test_they_make_the_tables_that_the_code_knows(self, tmp_path: Path, database_url: str | None) -> None:
        database = await open_database(database_url, tmp_path)
        try:
            async with database.read() as conn:
                differences = await conn.run_sync(_differences)
        finally:
            await database.close()
        assert differences == []

    async def test_opening_again_changes_nothing(self, tmp_path: Path, database_url: str | None) -> None:
        for _ in range(2):
            database = await open_database(database_url, tmp_path)
            async with database.read() as conn:
                assert (await conn.execute(text("SELECT version_num FROM alembic_version"))).scalar_one() == head()
            await database.close()

    async def test_several_may_start_at_once(self, tmp_path: Path, database_url: str | None) -> None:
        """In one process here; processes meet at the same file lock or advisory lock."""
        opened = await asyncio.gather(*(open_database(database_url, tmp_path) for _ in range(4)))
        for database in opened:
            await database.close()

    def test_several_processes_may_start_at_once(self, tmp_path: Path, database_url: str | None) -> None:
        """All of them get ready, and there is one account."""
        data = tmp_path / "data"
        processes = [_plane_process(data, database_url, "exit") for _ in range(3)]
        outputs = [process.communicate(timeout=60) for process in processes]
        assert [process.returncode for process in processes] == [0, 0, 0], outputs
        accounts = {json.loads(output)["account_id"] for output, _ in outputs}
        assert len(accounts) == 1


def _differences(connection: Connection) -> list[object]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, metadata))


_PLANE = """
import asyncio, json, sys, time
from pathlib import Path
from dataclasses import asdict
from headwater.control import Addresses, ControlPlane, ControlSettings
from headwater.events import SessionOpened, SessionPlayable, SessionProgress
from headwater.control.repository import livestreams

async def main():
    plane = await ControlPlane.open(ControlSettings(Path(sys.argv[1]), database_url=sys.argv[2] or None))
    credentials = await plane.announce(Addresses(http=("127.0.0.1", 8080)))
    answer = asdict(credentials)
    if sys.argv[3] == "live":
        async with plane._database.write() as conn:
            row = await livestreams.create(conn, credentials.app_id, name="live", now_ms=1)
        now = time.time_ns() // 1_000_000
        plane.listen(SessionOpened(row.id, "s1", now, "obs", "r"))
        plane.listen(SessionPlayable(row.id, "s1", now))
        plane.listen(SessionProgress(row.id, "s1", now + 5000, 5.0, 8.5))
        assert await plane.settle()
        answer["livestream_id"] = row.id
        print(json.dumps(answer), flush=True)
        await asyncio.sleep(60)
    print(json.dumps(answer), flush=True)
    await plane.close()

asyncio.run(main())
"""


def _plane_process(data: Path, database_url: str | None, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _PLANE, str(data), database_url or "", what]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


class TestCrash:
    async def test_what_was_acknowledged_survives_kill_9(self, tmp_path: Path, database_url: str | None) -> None:
        """The next start closes the session with the totals that were durable, and the API answers so."""
        process = _plane_process(tmp_path / "data", database_url, "live")
        assert process.stdout is not None
        line = await asyncio.to_thread(process.stdout.readline)
        process.kill()
        process.communicate()
        before = json.loads(line)

        plane = await ControlPlane.open(ControlSettings(tmp_path / "data", database_url=database_url))
        try:
            asked: list[tuple[str, str]] = []

            async def nothing_recorded(session: SessionRow) -> None:
                asked.append((session.id, session.livestream_id))

            for _ in range(2):  # once closed it is closed
                await plane.recover(nothing_recorded)
            assert asked == [("s1", before["livestream_id"])]
            credentials = await plane.announce(Addresses(http=("127.0.0.1", 8080)))
            assert credentials is not None
            assert credentials.api_token == before["api_token"]
            async with plane._database.read() as conn:
                row = (
                    await conn.execute(
                        text(
                            "SELECT l.status, s.ingest_seconds, s.viewer_seconds, s.stopped_ms - s.started_ms AS ms,"
                            " s.recording FROM livestreams l JOIN livestream_sessions s ON s.livestream_id = l.id"
                        )
                    )
                ).one()
            assert tuple(row) == ("IDLE", 5.0, 8.5, 5000, None)
        finally:
            await plane.close()

    @pytest.mark.parametrize(
        ("end_s", "seconds", "expected"),
        [
            (7.5, 7.0, (7500, 7.0)),  # newer than the last progress: what plays counts
            (3.0, 3.0, (5000, 5.0)),  # the recording had stopped before
            (7.5, 60.0, (7500, 7.5)),  # media that came faster than it plays
            (10**6, 10**6, (9000, 9.0)),  # nothing ends in the future
        ],
    )
    async def test_a_session_ends_with_its_recording(
        self, any_api: Api, end_s: float, seconds: float, expected: tuple[int, float]
    ) -> None:
        """Its totals agree with the recording that plays, and never fall behind what was already told."""
        made = await any_api.create("live")
        broadcast = await any_api.broadcasts.publish(made["stream_key"])
        any_api.broadcasts.progress(made["id"], 5.0, 8.5)
        assert await any_api.plane.settle()
        start_ms = broadcast.started_ms
        recorded = Recovered("recordings/s.mp4", start_ms + round(end_s * 1000), seconds)
        async with any_api.plane._database.write() as conn:
            session = await sessions.find_any(conn, broadcast.session_id)
            assert session is not None
            await recover(conn, session, recorded, start_ms + 9000)
            closed = await sessions.find_any(conn, broadcast.session_id)
        assert closed is not None and closed.stopped_ms is not None
        assert (closed.stopped_ms - start_ms, closed.ingest_seconds) == expected
        assert (closed.known_ms, closed.viewer_seconds) == (closed.stopped_ms, 8.5)
        assert closed.recording == "recordings/s.mp4"

    async def test_every_commit_is_synced_to_disk(self, tmp_path: Path) -> None:
        """WAL with synchronous=FULL (2) on every connection: a commit returns after the log has reached the disk."""
        database = await open_database(None, tmp_path)
        try:
            for _ in range(3):
                async with database.read() as conn:
                    assert (await conn.execute(text("PRAGMA synchronous"))).scalar_one() == 2
                    assert (await conn.execute(text("PRAGMA journal_mode"))).scalar_one() == "wal"
                    assert (await conn.execute(text("PRAGMA foreign_keys"))).scalar_one() == 1
        finally:
            await database.close()

    async def test_a_write_that_fails_leaves_nothing(self, tmp_path: Path, database_url: str | None) -> None:
        database = await open_database(database_url, tmp_path)
        insert = text("INSERT INTO accounts (id, name, created_ms) VALUES ('a', 'b', 1)")
        try:
            with pytest.raises(RuntimeError):
                async with database.write() as conn:
                    await conn.execute(insert)
                    raise RuntimeError
            async with database.read() as conn:
                assert (await conn.execute(text("SELECT count(*) FROM accounts"))).scalar_one() == 0
        finally:
            await database.close()

    async def test_many_writers_and_readers_at_once(self, tmp_path: Path, database_url: str | None) -> None:
        database = await open_database(database_url, tmp_path)

        async def write(number: int) -> None:
            async with database.write() as conn:
                await conn.execute(text("SELECT count(*) FROM accounts"))
                statement = text("INSERT INTO accounts (id, name, created_ms) VALUES (:id, 'b', 1)")
                await conn.execute(statement, {"id": str(number)})

        async def read() -> None:
            async with database.read() as conn:
                await conn.execute(text("SELECT count(*) FROM accounts"))

        try:
            await asyncio.gather(*(write(number) for number in range(40)), *(read() for _ in range(40)))
            async with database.read() as conn:
                assert (await conn.execute(text("SELECT count(*) FROM accounts"))).scalar_one() == 40
        finally:
            await database.close()

    async def test_writers_leave_connections_to_readers(self, tmp_path: Path, database_url: str | None) -> None:
        """However many want to write, and however long that takes."""
        database = await open_database(database_url, tmp_path)
        written = asyncio.Event()

        async def write() -> None:
            async with database.write():
                await written.wait()

        writers = [asyncio.create_task(write()) for _ in range(POOL_SIZE + 1)]
        try:
            await asyncio.sleep(0)
            async with asyncio.timeout(10), database.read() as conn:
                assert (await conn.execute(text("SELECT count(*) FROM accounts"))).scalar_one() == 0
        finally:
            written.set()
            await asyncio.gather(*writers)
            await database.close()

    async def test_what_is_in_use_and_what_failed_is_counted(self, tmp_path: Path, database_url: str | None) -> None:
        database = await open_database(database_url, tmp_path)
        try:
            assert (database.connections_in_use, database.errors) == (0, 0)
            async with database.read(), database.read():
                assert database.connections_in_use == 2
            with pytest.raises(SQLAlchemyError):
                async with database.read() as conn:
                    await conn.execute(text("SELECT nothing FROM nowhere"))
            assert (database.connections_in_use, database.errors) == (0, 1)
        finally:
            await database.close()

    async def test_other_processes_writing_in_between(self, tmp_path: Path, database_url: str | None) -> None:
        """Whoever reads first and writes then is not refused because somebody else wrote meanwhile."""
        databases = [await open_database(database_url, tmp_path) for _ in range(3)]
        statement = text("INSERT INTO accounts (id, name, created_ms) VALUES (:id, 'b', 1)")

        async def write(database: Database, name: str) -> None:
            for number in range(10):
                async with database.write() as conn:
                    await conn.execute(text("SELECT count(*) FROM accounts"))
                    await asyncio.sleep(0)
                    await conn.execute(statement, {"id": f"{name}{number}"})

        try:
            await asyncio.gather(*(write(database, str(index)) for index, database in enumerate(databases)))
            async with databases[0].read() as conn:
                assert (await conn.execute(text("SELECT count(*) FROM accounts"))).scalar_one() == 30
        finally:
            for database in databases:
                await database.close()


class TestFiles:
    async def test_only_the_owner_may_read(self, tmp_path: Path) -> None:
        """The database holds stream keys and the credentials a token: nobody else's, whatever the umask."""
        previous = os.umask(0)
        try:
            plane = await ControlPlane.open(ControlSettings(tmp_path / "data"))
            await plane.announce(Addresses(http=("127.0.0.1", 8080)))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "data").iterdir()}
            await plane.close()
        finally:
            os.umask(previous)
        assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700
        for name in ("headwater.db", "headwater.db-wal", "headwater.db-shm", "credentials.json", "headwater.db.lock"):
            assert modes[name] == 0o600, name


class TestUnusable:
    @pytest.mark.parametrize("url", ["mysql://localhost/x", "not a url", "sqlite://", "sqlite:///:memory:"])
    async def test_a_url_that_cannot_work(self, tmp_path: Path, url: str) -> None:
        with pytest.raises(OperatorError):
            await open_database(url, tmp_path)

    async def test_a_server_that_is_away(self, tmp_path: Path) -> None:
        """The message names the database, and not its password."""
        with pytest.raises(OperatorError) as failure:
            await open_database(f"postgresql://user:s3cret@/x?host={tmp_path}", tmp_path)
        assert "s3cret" not in str(failure.value)

    async def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "headwater.db").write_bytes(b"not a database, not at all" * 100)
        with pytest.raises(OperatorError):
            await open_database(None, tmp_path)

    async def test_a_data_folder_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("")
        with pytest.raises(OperatorError):
            await ControlPlane.open(ControlSettings(tmp_path / "data"))


class TestCredentials:
    async def _start(self, data: Path, port: int = 8080) -> dict[str, str] | None:
        plane = await ControlPlane.open(ControlSettings(data))
        try:
            await plane.announce(Addresses(http=("127.0.0.1", port)))
        finally:
            await plane.close()
        path = data / "credentials.json"
        return json.loads(path.read_text()) if path.exists() else None

    async def test_the_file_keeps_its_token_and_follows_the_address(self, tmp_path: Path) -> None:
        first = await self._start(tmp_path / "d")
        second = await self._start(tmp_path / "d", 9090)
        assert first is not None
        assert second == {**first, "base_url": "http://127.0.0.1:9090/client/v4"}

    async def test_a_file_that_was_removed_stays_away(self, tmp_path: Path) -> None:
        await self._start(tmp_path / "d")
        (tmp_path / "d" / "credentials.json").unlink()
        assert await self._start(tmp_path / "d") is None

    async def test_a_new_database_takes_the_files_account(self, tmp_path: Path) -> None:
        """So a crash between the file and the commit is mended, and an operator can choose the token beforehand."""
        first = await self._start(tmp_path / "d")
        for path in (tmp_path / "d").glob("headwater.db*"):
            path.unlink()
        assert await self._start(tmp_path / "d") == first
        plane = await ControlPlane.open(ControlSettings(tmp_path / "d"))
        async with plane._database.read() as conn:
            assert (await conn.execute(text("SELECT id FROM accounts"))).scalar_one() == first["account_id"]  # type: ignore[index]
        await plane.close()

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"account_id": "x", "app_id": "y", "api_token": "z"}'])
    async def test_a_damaged_file_is_never_overwritten(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "d").mkdir()
        (tmp_path / "d" / "credentials.json").write_text(content)
        with pytest.raises(OperatorError):
            await self._start(tmp_path / "d")
        assert (tmp_path / "d" / "credentials.json").read_text() == content
