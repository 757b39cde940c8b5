"""Fixtures for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import Server, running_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A real `headwater serve` of this test alone, on free ports of 127.0.0.1."""
    with running_server(tmp_path / "data") as running:
        yield running
