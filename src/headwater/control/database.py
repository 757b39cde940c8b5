"""The database: how it is opened, migrated, read and written.

SQLite is the default: one file in WAL mode with `synchronous=FULL`. In WAL mode FULL syncs the log at every commit, so
a committed transaction survives `kill -9` and power loss (https://www.sqlite.org/pragma.html#pragma_synchronous);
NORMAL survives only the former, EXTRA adds nothing in WAL mode. PostgreSQL does the same with its default
`synchronous_commit = on`.

Writers of one process queue up before they take a connection, so that whoever floods the API with writes leaves
connections to those who read, viewers above all. SQLite has one writer at a time: its own busy handler polls, and
blocks a thread meanwhile. Other processes (migrations, the command line) meet at that handler.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from headwater.errors import OperatorError

SQLITE_BUSY_TIMEOUT_MS = 10_000
"""How long a writer waits for another process's transaction; ours take milliseconds."""

POOL_SIZE = 5
"""Connections of one process. The API's requests hold one for about a millisecond each."""

POSTGRES_WRITERS = 3
"""Writers at once where the database takes several; the rest of the pool is for readers."""

MIGRATION_LOCK = 0x4845_4144
"""PostgreSQL advisory lock ("HEAD") under which one of several starting processes migrates."""


class DatabaseAway(OperatorError):
    """No connection to the database can be had."""


_NO_CONNECTION = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What drivers raise where they cannot connect; SQLAlchemy hands these on as they are."""


class Database:
    """An open database; `read()` and `write()` give a connection in a transaction.

    Attributes:
        errors: Statements that failed and connections that could not be had, so far.
    """

    def __init__(self, engine: AsyncEngine, url: URL) -> None:
        self.engine = engine
        self.url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.errors = 0
        event.listen(engine.sync_engine, "handle_error", self._failed)
        self._writers = asyncio.Semaphore(1 if self.is_sqlite else POSTGRES_WRITERS)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads.

        Raises:
            DatabaseAway: there is no connection.
        """
        async with self._connection() as conn, conn.begin():
            yield conn

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is durable once the block has ended without an error.

        Raises:
            DatabaseAway: there is no connection.
        """
        async with self._writers, self._connection() as conn:
            await conn.execution_options(headwater_write=True)
            async with conn.begin():
                yield conn

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AsyncConnection]:
        connected = False
        try:
            async with self.engine.connect() as conn:
                connected = True
                yield conn
        except _NO_CONNECTION as error:
            if connected:
                raise
            self.errors += 1
            raise DatabaseAway(f"no connection to the database: {error or type(error).__name__}") from error

    def _failed(self, _context: object) -> None:
        self.errors += 1

    @property
    def connections_in_use(self) -> int:
        """Of `POOL_SIZE`."""
        pool = self.engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    async def close(self) -> None:
        await self.engine.dispose()


async def open_database(url: str | None, data_dir: Path) -> Database:
    """Open (create) and migrate the database.

    Args:
        url: As `ControlSettings.database_url`.
        data_dir: An existing folder, for the default.

    Raises:
        OperatorError: the URL makes no sense, or the database cannot be reached or migrated.
    """
    parsed = _parse_url(url, data_dir)
    database = Database(_engine(parsed), parsed)
    try:
        await migrate(database)
    except (SQLAlchemyError, OSError, DatabaseAway) as error:
        await database.close()
        raise OperatorError(f"cannot open the database {parsed.render_as_string()}: {error}") from error
    except BaseException:
        await database.close()
        raise
    return database


def _parse_url(url: str | None, data_dir: Path) -> URL:
    if url is None:
        return URL.create("sqlite+aiosqlite", database=str(data_dir / "headwater.db"))
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise OperatorError("the database URL is none: use postgresql://USER:PASSWORD@HOST/NAME") from error
    drivers = {"postgresql": "postgresql+asyncpg", "postgres": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
    backend = parsed.drivername.split("+")[0]
    if backend not in drivers:
        raise OperatorError(f"the database is to be postgresql or sqlite, not {backend}")
    if backend == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise OperatorError("an SQLite database has to be a file: state must outlive the process")
    return parsed.set(drivername=drivers[backend])


def _engine(url: URL) -> AsyncEngine:
    # hide_parameters: the values of a statement may be keys, and errors are logged.
    if url.get_backend_name() != "sqlite":
        # pre-ping: a connection that the server or a proxy has dropped while idle is replaced, not an error.
        return create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0, pool_pre_ping=True, hide_parameters=True)
    engine = create_async_engine(url, pool_size=POOL_SIZE, max_overflow=0, hide_parameters=True)
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: `_begin_sqlite` does
    cursor = connection.cursor()
    for pragma in (
        f"busy_timeout = {SQLITE_BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(conn: Connection) -> None:
    # A writer takes its lock at once: upgrading a read transaction fails where another process wrote in between.
    write = conn.get_execution_options().get("headwater_write")
    conn.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


async def migrate(database: Database) -> None:
    """Bring the schema to the newest version; safe where several processes start at the same time."""
    if not database.is_sqlite:
        async with database.write() as conn:
            await conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            await conn.run_sync(_upgrade)
        return
    path = Path(str(database.url.database))
    lock = await asyncio.to_thread(_lock_file, path.with_name(path.name + ".lock"))
    try:
        _create_private(path)
        async with database.write() as conn:
            await conn.run_sync(_upgrade)
    finally:
        os.close(lock)


def _lock_file(path: Path) -> int:
    """Take the file lock: switching to WAL mode does not wait for another process that does the same."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _create_private(path: Path) -> None:
    """Make the file before SQLite does, for its owner only: it holds stream keys. WAL and SHM files copy its mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    os.chmod(path, 0o600)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", "headwater.control:migrations")
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
