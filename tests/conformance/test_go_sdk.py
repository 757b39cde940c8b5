"""The official Go SDK through every operation, with the documentation's own examples.

Its first build compiles the client of a whole cloud and takes minutes, so `make test` leaves it out: `make conformance`
runs it where Go is installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conformance.service import Service, write_access

SOURCE = Path(__file__).parent / "go"
BUILD_LIMIT_S = 1500


@pytest.mark.skipif(not os.environ.get("HEADWATER_CONFORMANCE_GO"), reason="slow to build: make conformance runs it")
@pytest.mark.timeout(BUILD_LIMIT_S + 60)
def test_every_operation(service: Service, tools: Path, tmp_path: Path) -> None:
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    folder = tools / "go-sdk"
    folder.mkdir(exist_ok=True)
    for name in ("go.mod", "livestreams_test.go"):
        shutil.copy(SOURCE / name, folder)
    access = write_access(service, tmp_path / "access.json")
    environment = {**os.environ, "ACCESS": str(access), "GOFLAGS": "-mod=mod"}
    subprocess.run([go, "mod", "download", "all"], cwd=folder, env=environment, check=True, timeout=300)
    command = [go, "test", "-count=1", "./..."]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=BUILD_LIMIT_S)
    assert run.returncode == 0, run.stdout + run.stderr
