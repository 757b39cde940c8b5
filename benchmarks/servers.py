"""A real `headwater serve` for the benchmarks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server process and how to reach it."""

    pid: int
    ready: dict[str, Any]
    credentials: dict[str, str]

    @property
    def rtmp_port(self) -> int:
        return int(self.ready["rtmp"].rsplit(":", 1)[1])

    def create(self, name: str) -> dict[str, Any]:
        """One livestream, through the API."""
        url = (
            f"http://{self.ready['http']}/client/v4/accounts/{self.credentials['account_id']}"
            f"/realtime/kit/{self.credentials['app_id']}/livestreams"
        )
        headers = {"Authorization": f"Bearer {self.credentials['api_token']}", "Content-Type": "application/json"}
        request = urllib.request.Request(url, json.dumps({"name": name}).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            data: dict[str, Any] = json.load(response)["data"]
        return data

    def create_livestreams(self, count: int) -> list[str]:
        """The stream keys of new livestreams."""
        return [self.create(f"bench-{k}")["stream_key"] for k in range(count)]


@contextmanager
def headwater(folder: Path, *, recording: bool = True, arguments: tuple[str, ...] = ()) -> Iterator[RunningServer]:
    """A server on free ports, its data in `folder`; without `recording` nothing is written but the database."""
    ready_file = folder / "ready.json"
    environment = dict(os.environ)
    environment |= {"HEADWATER_CONTROL_REQUESTS_PER_S": "10000", "HEADWATER_LOG_LEVEL": "warning"}
    if not recording:
        environment["HEADWATER_LIVESTREAM_DISK"] = "false"
    command = [sys.executable, "-m", "headwater", "serve", "--data", str(folder / "data")]
    command += [
        "--http",
        "127.0.0.1:0",
        "--rtmp",
        "127.0.0.1:0",
        "--webrtc",
        "127.0.0.1:0",
        "--ready-file",
        str(ready_file),
        *arguments,
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not ready_file.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("headwater serve did not get ready")
            time.sleep(0.05)
        credentials = json.loads((folder / "data" / "credentials.json").read_text())
        yield RunningServer(process.pid, json.loads(ready_file.read_text()), credentials)
    finally:
        process.terminate()
        process.wait(20)
