"""What systemd hears: a real datagram socket is at the other end."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.telemetry.systemd import Supervisor


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


async def heard(systemd: socket.socket) -> str:
    return (await asyncio.to_thread(systemd.recv, 100)).decode()


async def test_it_is_ready_lives_and_stops(systemd: socket.socket) -> None:
    environ = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())}
    supervisor = Supervisor(environ)
    supervisor.ready()
    assert [await heard(systemd) for _ in range(4)] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]
    supervisor.close()
    supervisor.stopping()
    while (said := await heard(systemd)) == "WATCHDOG=1":
        pass
    assert said == "STOPPING=1"


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}])
async def test_no_watchdog_no_word(systemd: socket.socket, watchdog: dict[str, str]) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": systemd.getsockname(), **watchdog})
    supervisor.ready()
    supervisor.stopping()
    assert [await heard(systemd), await heard(systemd)] == ["READY=1", "STOPPING=1"]


async def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    for environ in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        supervisor = Supervisor(environ)
        supervisor.ready()
        supervisor.stopping()
        supervisor.close()
