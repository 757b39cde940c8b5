"""Databases and control planes for the tests below; both databases where the state is at stake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from headwater.control import ControlPlane, ControlSettings
from tests.unit.control.postgres import Postgres, running_postgres
from tests.unit.control.support import Api, open_api


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str | None:
    """An empty database, once of each kind; None is SQLite's default."""
    if request.param == "sqlite":
        return None
    server: Postgres = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def settings(tmp_path: Path) -> ControlSettings:
    return ControlSettings(tmp_path / "data")


@pytest.fixture
async def api(settings: ControlSettings) -> AsyncIterator[Api]:
    """The API on SQLite."""
    plane = await ControlPlane.open(settings)
    opened = await open_api(plane)
    yield opened
    await opened.http.aclose()
    await plane.close()


@pytest.fixture
async def any_api(tmp_path: Path, database_url: str | None) -> AsyncIterator[Api]:
    """The API, once on each kind of database."""
    # One test calls every operation by one token, several times over.
    settings = ControlSettings(tmp_path / "data", database_url=database_url, requests_burst=1000)
    plane = await ControlPlane.open(settings)
    opened = await open_api(plane)
    yield opened
    await opened.http.aclose()
    await plane.close()
