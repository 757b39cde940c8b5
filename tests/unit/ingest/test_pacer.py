"""When a publisher's socket wakes its reader: over a real one, since the kernel keeps the promise."""

from __future__ import annotations

import asyncio
import select
import socket
import sys
from collections.abc import AsyncIterator

import pytest

from headwater.pipeline.ingest.pacer import AHEAD_MS, LEAST_QUIET_MS, ReadPacer

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="SO_RCVLOWAT wakes by it on Linux only")

LONG_MS = 600_000.0
"""No timer of this length fires in a test."""


class Publisher:
    """Both ends of a TCP connection over loopback, and the pacer of the receiving one."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.sender = socket.create_connection(listener.getsockname())
            self.receiver, _ = listener.accept()
        self.pacer = ReadPacer(asyncio.get_running_loop(), self.receiver)

    def has_rate(self, bytes_per_ms: float) -> None:
        self.pacer._rate = bytes_per_ms

    def wakes_reader(self) -> bool:
        readable, _, _ = select.select([self.receiver], [], [], 0.05)
        return bool(readable)


@pytest.fixture
async def publisher() -> AsyncIterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.pacer.close()
    publisher.sender.close()
    publisher.receiver.close()


async def test_media_in_the_middle_of_a_part_waits(publisher: Publisher) -> None:
    publisher.has_rate(0.01)
    publisher.pacer.wait(LONG_MS)
    publisher.sender.sendall(bytes(100))
    assert not publisher.wakes_reader()
    publisher.pacer.wake()
    assert publisher.wakes_reader(), "what had come before is read once it is time to"


async def test_more_than_expected_is_read_at_once(publisher: Publisher) -> None:
    publisher.has_rate(0.01)
    publisher.pacer.wait(LONG_MS)  # 9,000 bytes
    publisher.sender.sendall(bytes(8_000))
    assert not publisher.wakes_reader()
    publisher.sender.sendall(bytes(8_000))
    assert publisher.wakes_reader()


async def test_the_end_of_the_publisher_is_read_at_once(publisher: Publisher) -> None:
    publisher.has_rate(0.01)
    publisher.pacer.wait(LONG_MS)
    publisher.sender.close()
    assert publisher.wakes_reader()


async def test_the_time_ends_the_quiet(publisher: Publisher) -> None:
    publisher.has_rate(1000.0)
    publisher.pacer.wait(AHEAD_MS + LEAST_QUIET_MS)
    publisher.sender.sendall(bytes(100))
    assert not select.select([publisher.receiver], [], [], 0)[0]
    await asyncio.sleep(LEAST_QUIET_MS / 1000 + 0.02)
    assert publisher.wakes_reader()


@pytest.mark.parametrize("rate,patience_ms", [(0.0, LONG_MS), (1000.0, 0.0), (1000.0, AHEAD_MS + LEAST_QUIET_MS - 1)])
async def test_without_a_rate_or_shortly_before_a_part_is_complete_nothing_waits(
    publisher: Publisher, rate: float, patience_ms: float
) -> None:
    publisher.has_rate(rate)
    publisher.pacer.wait(patience_ms)
    publisher.sender.sendall(b"1")
    assert publisher.wakes_reader()


async def test_the_kernel_bounds_what_waits(publisher: Publisher) -> None:
    """However large the mark: a full receive buffer would hold the publisher up for good."""
    publisher.has_rate(1e9)
    publisher.pacer.wait(LONG_MS)
    publisher.sender.setblocking(False)
    sent = 0
    while not publisher.wakes_reader():
        sent += publisher.sender.send(bytes(65_536))
    assert sent <= 1_000_000


async def test_closing_leaves_the_socket_open_and_read_at_once(publisher: Publisher) -> None:
    publisher.has_rate(0.01)
    publisher.pacer.wait(LONG_MS)
    publisher.pacer.close()
    publisher.pacer.close()
    publisher.sender.sendall(b"1")
    assert publisher.wakes_reader()
    assert publisher.receiver.recv(1) == b"1"


async def test_the_rate_is_learnt(publisher: Publisher) -> None:
    for count in (100_000, 200_000, 300_000):
        await asyncio.sleep(0.01)
        publisher.pacer.measure(count)
    assert publisher.pacer._rate > 100
