"""What tests share: programs that must be there, and a real server as a process."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

DRAIN_S = 10
"""From SIGTERM to the exit, as promised."""


def require(program: str, *, why: str = "") -> str:
    """The path of a program, or a skip with a reason; a failure instead where HEADWATER_REQUIRE_ALL is set."""
    found = shutil.which(program) or (program if os.path.exists(program) else None)
    if found is None:
        reason = f"{program} is not installed{': ' + why if why else ''}"
        if os.environ.get("HEADWATER_REQUIRE_ALL"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass
class Server:
    """A running `headwater serve`.

    Attributes:
        ready: What `--ready-file` holds: addresses by name (`http`, `rtmp`, and `https`, `rtmps` where asked for).
        credentials: What `DIR/credentials.json` holds.
    """

    process: subprocess.Popen[bytes]
    data: Path
    log: Path
    ready: dict[str, Any]
    credentials: dict[str, str]

    @property
    def http(self) -> str:
        return f"http://{self.ready['http']}"

    @property
    def rtmp(self) -> str:
        return f"rtmp://{self.ready['rtmp']}/live/"

    def kill(self) -> None:
        """`kill -9`, as a crash does."""
        self.process.kill()
        self.process.wait(10)

    def terminate(self) -> int:
        """SIGTERM, and the exit code that it drains to, within the promised time."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


def start_server(data: Path, *arguments: str, env: dict[str, str] | None = None, wait_s: float = 30) -> Server:
    """Start `headwater serve` on free ports and wait until it is ready."""
    data.parent.mkdir(parents=True, exist_ok=True)
    ready_file = data.parent / f"{data.name}.ready.json"
    ready_file.unlink(missing_ok=True)
    log = data.parent / f"{data.name}.log"
    command = [sys.executable, "-m", "headwater", "serve", "--data", str(data), "--ready-file", str(ready_file)]
    if "--http" not in arguments:
        command += ["--http", "127.0.0.1:0"]
    if "--rtmp" not in arguments:
        command += ["--rtmp", "127.0.0.1:0"]
    if "--webrtc" not in arguments:
        command += ["--webrtc", "127.0.0.1:0"]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, *arguments], stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}
        )
    deadline = time.monotonic() + wait_s
    while not ready_file.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"headwater serve did not get ready:\n{log.read_text()[-4000:]}")
        time.sleep(0.02)
    ready = json.loads(ready_file.read_text())
    credentials = json.loads((data / "credentials.json").read_text())
    return Server(process, data, log, ready, credentials)


@contextmanager
def running_server(data: Path, *arguments: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """`start_server`, ended at the end of the block."""
    server = start_server(data, *arguments, env=env)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.terminate()
            try:
                server.process.wait(15)
            except subprocess.TimeoutExpired:
                server.process.kill()
                server.process.wait()
