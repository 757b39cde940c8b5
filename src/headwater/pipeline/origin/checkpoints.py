"""Makes durable how viewers fare: every few seconds the whole of each livestream session that has changed, as an event.

A whole replaces the one before it, so one that is lost (a crash, a full queue) costs the seconds since the last. When
a session has ended its viewers still play what they have, and report that: it is followed until the origin lets it go.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Sequence

from headwater.analytics.experience import TOTALS
from headwater.analytics.sketch import Sketch
from headwater.events import Listener, SessionExperience
from headwater.pipeline.origin.origin import Origin
from headwater.pipeline.origin.program import LiveProgram

log = logging.getLogger("headwater.origin")


class Checkpoints:
    """A task that tells the control plane.

    Attributes:
        totals: Of all sessions since the start, as of the last check (`analytics.experience.TOTALS`).
    """

    def __init__(self, origin: Origin, emit: Listener) -> None:
        self._origin = origin
        self._emit = emit
        self._known: set[LiveProgram] = set()
        self._past: Counter[str] = Counter()
        self.totals: Counter[str] = Counter(dict.fromkeys(TOTALS, 0))
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Let time pass. Call in the running loop."""
        self._task = asyncio.get_running_loop().create_task(self._for_ever(), name="experience-checkpoints")

    async def stop(self) -> None:
        """The last word on every session."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        self.check(time.monotonic(), time.time_ns() // 1_000_000, over=True)

    async def _for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._origin.experience.checkpoint_interval_s)
            try:
                self.check(time.monotonic(), time.time_ns() // 1_000_000)
            except Exception:
                log.exception("how viewers fare could not be noted")

    def check(self, now_s: float, now_ms: int, *, over: bool = False) -> None:
        """Emit what has changed since the last time; of sessions that have been let go, and of all where it is over,
        for the last time."""
        current = set(self._origin.live_programs())
        for program in self._known | current:
            ledger = program.experience
            ledger.fold(now_s, over=over or program not in current)
            if ledger.changed:
                ledger.changed = False
                packed = ledger.experience.packed()
                self._emit(SessionExperience(program.info.livestream_id, program.session_id, now_ms, packed))
            if over or program not in current:
                self._past.update(ledger.experience.totals)
        self._known = set() if over else current
        for name in TOTALS:
            now = self._past[name] + sum(program.experience.experience.totals[name] for program in self._known)
            # What was taken for played may turn out to have been a stall: what is told only grows.
            self.totals[name] = max(self.totals[name], now)

    def quantiles(self, metric: str, shares: Sequence[float]) -> list[float | None]:
        """What a share of the viewing sessions of live sessions does not exceed (`Experience.quantile`)."""
        whole = Sketch()
        for program in self._known:
            if not program.ended:
                whole.merge(program.experience.experience.sketches[metric])
        return [whole.quantile(share) for share in shares]
