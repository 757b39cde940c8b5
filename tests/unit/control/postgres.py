"""A real PostgreSQL of the tests' own: in a temporary folder, on a Unix socket, gone afterwards."""

from __future__ import annotations

import asyncio
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from tests.support import require

_numbers = itertools.count()


class Postgres:
    """A running server; every test gets a database of its own."""

    def __init__(self, folder: Path, binaries: Path, who: dict[str, Any]) -> None:
        self._folder = folder
        self._binaries = binaries
        self._who = who
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["listen_addresses=", "fsync=off", "max_connections=50", "shared_buffers=16MB"]
        command = [self._binaries / "postgres", "-D", self._folder / "data", "-k", self._folder]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [*command, *(word for option in options for word in ("-c", option))],
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                **self._who,
            )
        asyncio.run(_answering(self._folder, self._server))

    def stop(self) -> None:
        """Stop it at once, as a crash does: connections break."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait(20)
            self._server = None

    def url(self, name: str) -> str:
        return f"postgresql://hw@/{name}?host={self._folder}"

    def new_database(self) -> str:
        """Create an empty database and return its URL."""
        name = f"test_{next(_numbers)}"

        async def create() -> None:
            connection = await asyncpg.connect(host=str(self._folder), user="hw", database="postgres")
            try:
                await connection.execute(f"CREATE DATABASE {name}")
            finally:
                await connection.close()

        asyncio.run(create())
        return self.url(name)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start PostgreSQL, as an unprivileged user where we are root (it refuses to run as root)."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="hwpg"))  # a short path: a Unix socket's has at most 107 characters
    who = _unprivileged(folder)
    try:
        command = [binaries / "initdb", "-D", folder / "data", "-U", "hw", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, **who)
        server = Postgres(folder, binaries, who)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _binaries() -> Path:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    return Path(require(str(folders[-1] / "postgres") if folders else "postgres", why="the PostgreSQL tests")).parent


def _unprivileged(folder: Path) -> dict[str, Any]:
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


async def _answering(folder: Path, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        try:
            connection = await asyncpg.connect(host=str(folder), user="hw", database="postgres")
        except (OSError, asyncpg.PostgresError):
            if server.poll() is not None:
                raise RuntimeError((folder / "log").read_text()) from None
            await asyncio.sleep(0.05)
        else:
            await connection.close()
            return
    raise RuntimeError("PostgreSQL did not start")
