"""Parts that say what a test wants to be read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

from headwater.analytics.experience import TOTALS
from headwater.control.plane import PlaneFacts
from headwater.events import LiveSnapshot
from headwater.pipeline.origin.tally import Tally
from headwater.rooms import Inside, RoomView
from headwater.telemetry.sources import Sources


@dataclass
class FakeIngest:
    serving: bool = True
    connections: int = 7
    turned_away: dict[str, int] = field(default_factory=lambda: {"connections": 3})
    bytes_received: int = 123_456


@dataclass
class FakeHttp:
    serving: bool = True
    connections: int = 11
    tally: Tally = field(default_factory=Tally)


@dataclass
class FakeOrigin:
    tally: Tally = field(default_factory=Tally)
    waiting: int = 5


@dataclass
class FakeRecorder:
    alive: bool = True
    queued_bytes: int = 1000
    failures: int = 2
    cpu_s: float = 0.5
    settings: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(queue_limit_bytes=4000))


@dataclass
class FakePlane:
    """Attributes: failure: what `ping` raises; hangs: it never answers."""

    failure: Exception | None = None
    hangs: bool = False
    pings: int = 0

    async def ping(self) -> None:
        self.pings += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure

    def facts(self) -> PlaneFacts:
        return PlaneFacts(2, 5, 1, 4, 6, 7, 8, 9)

    async def webhooks_waiting(self) -> tuple[int, float]:
        await self.ping()
        return 3, 4.5


@dataclass
class FakeWatched:
    """Attributes: known: whether anybody reports."""

    known: bool = True
    totals: dict[str, int] = field(default_factory=lambda: {name: 1500 + n for n, name in enumerate(TOTALS)})

    def quantiles(self, metric: str, shares: Sequence[float]) -> list[float | None]:
        return [1000 * share if self.known else None for share in shares]


class FakeWebRtc:
    counts = SimpleNamespace(received=1600, dropped_unknown=1601, dropped_stun=1602, unsent=1603)

    def peers(self) -> int:
        return 1604


class FakeRooms:
    """Two, one of them empty for now."""

    def all(self) -> list[RoomView]:
        inside = tuple(Inside(f"participant-{n}", f"custom-{n}", f"peer-{n}", 0) for n in range(3))
        return [RoomView("meeting-1", "session-1", 0, inside), RoomView("meeting-2", "session-2", 0, ())]


class FakeBroadcasts:
    running = 1700
    tally = SimpleNamespace(failed=1701, restarts=1702, pictures=1703, skipped=1704, cpu_s=1705.5)


def live(
    number: int, *, viewers: int = 10, publishing: bool = True, playable: bool = True, warnings: tuple[str, ...] = ()
) -> LiveSnapshot:
    ids = f"livestream-{number}", f"session-{number}"
    return LiveSnapshot(*ids, playable, publishing, 1.5, 2.5, viewers, warnings=warnings)


def sources(
    tmp_path: Path = Path("/"),
    *,
    live_all: Callable[[], list[LiveSnapshot]] = list,
    recorder: bool = True,
    plane: FakePlane | None = None,
    watched: FakeWatched | None = None,
) -> Sources:
    return Sources(
        SimpleNamespace(live_all=live_all),
        FakeIngest(),
        FakeHttp(),
        FakeOrigin(),
        FakeRecorder() if recorder else None,
        plane or FakePlane(),
        watched or FakeWatched(),
        FakeWebRtc(),
        FakeRooms(),
        FakeBroadcasts(),
        tmp_path,
    )
