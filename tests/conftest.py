"""Fixtures for every test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import Server, running_server

REAL_TIME = ("tests/e2e/", "tests/interop/")

os.environ.setdefault("HEADWATER_WEBRTC", "127.0.0.1:0")
"""Servers that tests start by their command take a free port: several run at one time."""

hypothesis.settings.register_profile(
    "headwater",
    deadline=None,
    max_examples=int(os.environ.get("HEADWATER_EXAMPLES", 100)),
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("headwater")
"""How long an example takes says how busy the machine is, not what the code does."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Encoders, players and browsers in real time share two cores with whatever else runs: what a pause of the machine
    broke is tried again, and pytest says so (`rerun`); what fails twice `make test` tries once more by itself."""
    for item in items:
        if item.nodeid.startswith(REAL_TIME):
            item.add_marker(pytest.mark.flaky(reruns=2 if item.get_closest_marker("alone") else 1))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real `headwater serve` of this test alone, on free ports of 127.0.0.1."""
    with running_server(tmp_path / "data") as running:
        yield running
