"""Whether this server takes publishers and viewers, and if not, why.

    starting, draining, listeners, database, recorder, disk: each is well, or says in a sentence what is wrong.

Everybody may ask, so the answer is kept for a second, and questions to database and disk are bounded.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from headwater.telemetry.probe import Probe
from headwater.telemetry.settings import TelemetrySettings
from headwater.telemetry.sources import Sources

FRESH_S = 1.0
"""How old an answer may be: strangers who ask a thousand times a second cost the database one question."""

DISK_S = 2.0
"""A local disk answers at once; a network's may hang for ever."""

STARTING = "the server is starting"
DRAINING = "the server is draining: it takes nobody new"


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """Bytes of the disk that the data folder is on; `free` is what this process may still write."""

    free: int
    size: int


@dataclass(frozen=True, slots=True)
class Report:
    """What was found.

    Attributes:
        checks: What is wrong, in a sentence, by what was looked at; empty where it is well.
        disk: None: it could not be measured.
    """

    checks: dict[str, str] = field(default_factory=dict)
    disk: DiskSpace | None = None

    @property
    def ready(self) -> bool:
        return not any(self.checks.values())

    @property
    def failing(self) -> list[str]:
        return [name for name, wrong in self.checks.items() if wrong]


class Readiness:
    """Looks when it is asked.

    Attributes:
        accepting: Every listener is up; the composition root says so.
        draining: The server stops; likewise.
    """

    def __init__(self, settings: TelemetrySettings) -> None:
        self.accepting = False
        self.draining = False
        self._settings = settings
        self._sources: Sources | None = None
        self._database: Probe[None] | None = None
        self._disk: Probe[DiskSpace] | None = None
        self._report: asyncio.Task[Report] | None = None
        self._reported_at = float("-inf")

    def watch(self, sources: Sources) -> None:
        """There is something to look at from now on."""
        self._sources = sources
        self._database = Probe(sources.plane.ping, self._settings.ready_database_s)
        self._disk = Probe(lambda: asyncio.to_thread(disk_space, sources.data), DISK_S)

    def stop(self) -> None:
        """Ask nobody any more."""
        for probe in (self._database, self._disk):
            if probe is not None:
                probe.cancel()
        if self._report is not None:
            self._report.cancel()

    async def report(self) -> Report:
        """What is known, a second old at most."""
        if self.draining or not self.accepting or self._sources is None:
            state = {"started": "" if self.accepting else STARTING, "draining": DRAINING if self.draining else ""}
            return Report(state)
        now = time.monotonic()
        if self._report is None or (self._report.done() and now - self._reported_at >= FRESH_S):
            self._report = asyncio.create_task(self._look(self._sources))
        return await asyncio.shield(self._report)

    async def _look(self, sources: Sources) -> Report:
        database, (disk, disk_wrong) = await asyncio.gather(self._database_wrong(), self._measure(sources))
        recorder_dead = sources.recorder is not None and not sources.recorder.alive
        self._reported_at = time.monotonic()
        return Report(
            {
                "started": "",
                "draining": "",
                "listeners": _listeners_wrong(sources),
                "database": database,
                "recorder": "the thread that writes recordings has ended" if recorder_dead else "",
                "disk": disk_wrong,
            },
            disk,
        )

    async def _database_wrong(self) -> str:
        assert self._database is not None
        try:
            await self._database.answer()
        except Exception as error:
            return str(error) or type(error).__name__
        return ""

    async def _measure(self, sources: Sources) -> tuple[DiskSpace | None, str]:
        """Free space, which only a server that writes to disk needs."""
        assert self._disk is not None
        try:
            space = await self._disk.answer()
        except Exception as error:
            return None, str(error) or type(error).__name__
        least = self._settings.ready_free_bytes
        short = sources.recorder is not None and space.free < least
        return space, f"{space.free} bytes are free, {least} are wanted (telemetry.ready_free_bytes)" if short else ""


def disk_space(path: Path) -> DiskSpace:
    """Blocks."""
    found = os.statvfs(path)
    return DiskSpace(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def _listeners_wrong(sources: Sources) -> str:
    down = [name for name, server in (("http", sources.http), ("rtmp", sources.ingest)) if not server.serving]
    return f"not listening: {', '.join(down)}" if down else ""
