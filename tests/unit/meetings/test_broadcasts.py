"""Broadcasts by livestream: started, stopped, and what is told of those that end by themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from headwater.errors import LimitReached
from headwater.meetings import broadcasts as module
from headwater.meetings.broadcast import Broadcast, Tally
from headwater.meetings.broadcasts import FAILED, MeetingBroadcasts
from headwater.meetings.compositor import wire
from headwater.meetings.compositor.settings import CompositorSettings
from headwater.rooms import Broadcasts


class FakeBroadcast:
    """Remembers what it was made with."""

    made: list[FakeBroadcast]

    def __init__(
        self,
        tap: Any,
        url: str,
        width: int,
        height: int,
        settings: Any,
        *,
        ended: Callable[[str], None],
        tally: Tally,
    ) -> None:
        self.tap, self.url, self.size, self.ended = tap, url, (width, height), ended
        self.state = "new"
        FakeBroadcast.made.append(self)

    def start(self) -> None:
        self.state = "running"

    async def stop(self) -> None:
        self.state = "stopped"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeBroadcast]:
    FakeBroadcast.made = []
    monkeypatch.setattr(module, "Broadcast", FakeBroadcast)
    return FakeBroadcast.made


def broadcasts(told: list[tuple[str, str, str]], limit: int = 16) -> MeetingBroadcasts:
    async def failed(livestream_id: str, code: str, why: str) -> None:
        told.append((livestream_id, code, why))

    tap: Any = lambda meeting_id: f"tap of {meeting_id}"  # noqa: E731 - a Tap is not called here
    return MeetingBroadcasts(tap, failed, CompositorSettings(max_broadcasts=limit))


async def test_one_starts_once_and_stops(made: list[FakeBroadcast]) -> None:
    all_: Broadcasts = (mine := broadcasts([]))
    for _ in range(2):
        await all_.start("m", "live", "rtmp://127.0.0.1:1935/live/", "key", 640, 360)
    (one,) = made
    assert (one.tap, one.url, one.size, one.state) == (
        "tap of m",
        "rtmp://127.0.0.1:1935/live/key",
        (640, 360),
        "running",
    )
    await all_.stop("m", "live")
    await all_.stop("m", "live")
    assert one.state == "stopped"
    assert mine.find("live") is None
    assert mine.running == 0


async def test_one_that_ends_by_itself_is_told_and_makes_room(made: list[FakeBroadcast]) -> None:
    told: list[tuple[str, str, str]] = []
    mine = broadcasts(told, limit=1)
    await mine.start("m", "live", "rtmp://h/live", "key", 640, 360)
    with pytest.raises(LimitReached):
        await mine.start("n", "other", "rtmp://h/live", "key", 640, 360)
    made[0].ended("the ingest refuses the broadcast")
    await asyncio.sleep(0)
    assert told == [("live", FAILED, "The ingest refuses the broadcast")]
    await mine.start("n", "other", "rtmp://h/live", "key", 640, 360)
    await mine.stop_all()
    assert made[1].state == "stopped"


def test_a_tally_goes_on_over_restarts() -> None:
    tally, tap = Tally(), cast(Any, None)
    broadcast = Broadcast(tap, "rtmp://h/live/key", 640, 360, tally=tally)
    for report in (wire.Report(frames=30, skipped=1, cpu_s=0.5), wire.Report(frames=60, skipped=1, cpu_s=0.75)):
        broadcast._heard(report)
    broadcast.report = wire.Report()  # another process
    broadcast._heard(wire.Report(frames=10, cpu_s=0.25))
    assert (tally.pictures, tally.skipped, tally.cpu_s) == (70, 1, 1.0)
