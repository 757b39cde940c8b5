"""A meeting's broadcast: a compositor's process, fed from the room's tap, started again when it dies.

    tap ──► Broadcast ──queue──► compositor's process ──RTMP──► ingest URL
        ◄── key frames ◄────────┘

A compositor that dies is started again at once, and the ingest goes on with the same session. Too many deaths, or a
reason that a new start would not remove (the ingest refuses), end the broadcast.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from headwater.meetings.compositor import wire
from headwater.meetings.compositor.settings import CompositorSettings, job
from headwater.meetings.compositor_process import CompositorProcess
from headwater.meetings.tap import Kind, RoomSnapshot, SourceName, Tap, TapCodec

Status: TypeAlias = Literal["new", "running", "ended"]

PAUSE_S = 0.5
"""Before a compositor is started again that died soon after the one before it."""

_log = logging.getLogger("headwater.broadcast")


@dataclass(slots=True)
class Tally:
    """What broadcasts have done so far; updated in place.

    Attributes:
        failed: Broadcasts that ended by themselves.
        restarts: Compositors started again.
        pictures: Sent.
        skipped: Instants without a picture, because the machine was too slow.
        cpu_s: CPU time of compositors, their starts too.
    """

    failed: int = 0
    restarts: int = 0
    pictures: int = 0
    skipped: int = 0
    cpu_s: float = 0.0


class Broadcast:
    """One meeting on its way to one ingest URL; a `headwater.meetings.tap.TapListener`.

    Attributes:
        status: `new`, `running` or `ended`.
        reason: Why it ended by itself, in words; None while it runs and after `stop`.
        report: How the compositor does; its last report.
        restarts: How often a compositor had to be started again.
        dropped: RTP packets that were left out because compositors that have ended did not keep up.
    """

    def __init__(
        self,
        tap: Tap,
        url: str,
        width: int,
        height: int,
        settings: CompositorSettings | None = None,
        *,
        ended: Callable[[str], None] = lambda reason: None,
        tally: Tally | None = None,
    ) -> None:
        """
        Args:
            url: RTMP URL with the stream key; it goes to the compositor over its socket, and nowhere else.
            ended: Called with the reason when the broadcast ends by itself, not after `stop`.
            tally: To be added to.
        """
        self.settings = settings or CompositorSettings()
        self.status: Status = "new"
        self.reason: str | None = None
        self.report = wire.Report()
        self.restarts = self.dropped = 0
        self._tap = tap
        self._job = wire.message(wire.Type.JOB, job(self.settings, url, width, height))
        self._ended = ended
        self._tally = tally or Tally()
        self._snapshot = RoomSnapshot()
        self._process: CompositorProcess | None = None
        self._task: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int | None:
        """The compositor's process; None where there is none at the moment."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin; what becomes of it shows in `status`, `report` and `ended`."""
        assert self.status == "new", self.status
        self.status = "running"
        self._unsubscribe = self._tap.subscribe(self)
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End the broadcast, within `stop_timeout_s` and a moment. Idempotent."""
        self.status = "ended"
        self._unsubscribe()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def state(self, snapshot: RoomSnapshot) -> None:
        self._snapshot = snapshot
        if self._process is not None:
            self._process.state(snapshot)

    def rtp(self, participant_id: str, source: SourceName, kind: Kind, codec: TapCodec, packet: bytes) -> None:
        if self._process is not None:
            self._process.rtp(participant_id, source, kind, codec, packet)

    def rtcp(self, participant_id: str, source: SourceName, compound: bytes) -> None:
        if self._process is not None:
            self._process.rtcp(participant_id, source, compound)

    async def _run(self) -> None:
        deaths: deque[float] = deque(maxlen=self.settings.max_restarts + 1)
        while True:
            began = time.monotonic()
            try:
                why, final = await self._once()
            except OSError as error:
                why, final = f"its process cannot be started: {error.strerror or error}", False
            now = time.monotonic()
            deaths.append(now)
            if not final and len(deaths) > self.settings.max_restarts:
                final = now - deaths[0] <= self.settings.restart_window_s
                why = f"the compositor died {len(deaths)} times in {now - deaths[0]:.0f} s; the last time {why}"
            if final:
                self._give_up(why)
                return
            self.restarts += 1
            self._tally.restarts += 1
            _log.warning("compositor started again: %s", why)
            if now - began < PAUSE_S:
                await asyncio.sleep(PAUSE_S)

    async def _once(self) -> tuple[str, bool]:
        """One process, from its start to its end: why it ended, and whether that is final."""
        process = CompositorProcess(self._tap, self.settings, self._heard)
        self.report = wire.Report()
        await process.start()
        try:
            process.send(wire.Type.JOB, self._job)
            process.state(self._snapshot)
            self._process = process
            return await process.ended()
        finally:
            self._process = None
            # Also where this task is cancelled: no process is left behind.
            await asyncio.shield(asyncio.ensure_future(process.stop(self.settings.stop_timeout_s)))
            self.dropped += process.dropped

    def _heard(self, report: wire.Report) -> None:
        before, self.report = self.report, report
        self._tally.pictures += report.frames - before.frames
        self._tally.skipped += report.skipped - before.skipped
        self._tally.cpu_s += report.cpu_s - before.cpu_s

    def _give_up(self, reason: str) -> None:
        _log.error("broadcast ended: %s", reason)
        self.status, self.reason = "ended", reason
        self._tally.failed += 1
        self._unsubscribe()
        self._ended(reason)
