"""One running API for the SDKs' tests: they are readers of a contract, and mind their own livestreams only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.service import Service, running_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("conformance") / "data") as running:
        yield running


@pytest.fixture(scope="session")
def tools() -> Path:
    """Where SDKs that are not dependencies of the project are kept; ignored by git, removed by `make clean`."""
    folder = Path(__file__).parents[2] / ".tools"
    folder.mkdir(exist_ok=True)
    return folder
