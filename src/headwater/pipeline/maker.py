"""Makes recordings out of recordings: clips, and what is left of a session where recording began late or paused.

One order at a time, each in a process of its own with low priority. An order that a crash interrupts is given again by
whoever keeps the rows; nothing half made is ever seen under its name.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

import msgspec

from headwater.errors import LimitReached, OperatorError
from headwater.events import Listener, RecordingFailed, RecordingReady
from headwater.pipeline.recorder import delete
from headwater.pipeline.recorder.cut_worker import CutOrder, CutOutcome

log = logging.getLogger("headwater.maker")

CLIPS_LIMIT = 100
"""Clips that wait; an hour of 3 Mbit/s takes some 10 s."""

ORDERS_LIMIT = 10_000
"""Orders that wait. What is left of sessions is made of nothing else: clips never take its place."""

AGAIN = 30
AGAIN_S = 60.0
"""How often, and how soon, a part is tried again where the disk has no room or fails: its source is kept meanwhile."""

MAX_CUT_BYTES = 64 << 30
"""Of one part: a day of 6 Mbit/s."""

PATIENCE_S = 1800.0
"""For one part; a disk that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Order:
    """A part to be made.

    Attributes:
        source: The recording that it is cut from.
        wall_ms, seconds: Spans, by wall time or by seconds since the beginning.
        reason: Why it was stopped, where nobody has said.
        written: Waits until the source holds what is wanted.
        fetch: Brings the source here, when it is this order's turn.
    """

    livestream_id: str
    session_id: str
    recording_id: str
    source: Path
    wall_ms: tuple[tuple[int, int | None], ...] | None = None
    seconds: tuple[tuple[float, float], ...] | None = None
    reason: str = ""
    written: Callable[[], Awaitable[None]] | None = None
    fetch: Callable[[], Awaitable[None]] | None = None

    @property
    def is_clip(self) -> bool:
        return self.seconds is not None


class Maker:
    """Takes orders, and says what came of them (`RecordingReady`, `RecordingFailed`)."""

    def __init__(self, data_dir: Path, emit: Listener) -> None:
        self._data_dir = data_dir
        self._emit = emit
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._using: Counter[Path] = Counter()
        self._disposable: set[Path] = set()
        self._clips = 0

    def target(self, recording_id: str) -> Path:
        """Where a part is kept."""
        return self._data_dir / "recordings" / f"{recording_id}-part.mp4"

    def submit(self, order: Order) -> None:
        """Take an order.

        Raises:
            LimitReached: too many wait.
        """
        if order.is_clip and self._clips >= CLIPS_LIMIT:
            raise LimitReached("CLIPS_LIMIT", f"{CLIPS_LIMIT} clips wait to be made; try again later")
        if len(self._tasks) >= ORDERS_LIMIT:
            raise LimitReached("ORDERS_LIMIT", f"{ORDERS_LIMIT} parts of recordings wait to be made; try again later")
        self._clips += order.is_clip
        self._using[order.source] += 1
        task = asyncio.get_running_loop().create_task(self._make(order), name=f"make {order.recording_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def uses(self, source: Path) -> bool:
        """Whether parts are still to be made of a file."""
        return self._using[source] > 0

    async def dispose(self, source: Path) -> None:
        """Delete a file, as soon as nothing is to be made of it any more."""
        self._disposable.add(source)
        await self._release(source)

    async def stop(self) -> None:
        """Leave what is not done for the next start."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _make(self, order: Order) -> None:
        try:
            if order.written is not None:
                await order.written()
            outcome = await self._made(order)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("part %s was not made", order.recording_id, extra=_about(order))
            outcome = CutOutcome(error=f"ERR_RECORDING_FAILED: {error or type(error).__name__}")
        self._clips -= order.is_clip
        if order.fetch is None:
            await self._done_with(order.source)
        self._say(order, outcome)

    async def _made(self, order: Order) -> CutOutcome:
        """Try, and again later where that may help."""
        for left in reversed(range(AGAIN)):
            async with self._turn:
                outcome = await (self._run(order) if order.fetch is None else self._fetched(order, order.fetch))
            if not outcome.again or order.is_clip or not left:
                break
            log.warning("part %s cannot be made now: %s", order.recording_id, outcome.error, extra=_about(order))
            await asyncio.sleep(AGAIN_S)
        return outcome

    async def _fetched(self, order: Order, fetch: Callable[[], Awaitable[None]]) -> CutOutcome:
        """What was fetched goes before the next is: each takes as much room as a recording."""
        try:
            await fetch()
            return await self._run(order)
        finally:
            await self._done_with(order.source)

    async def _run(self, order: Order) -> CutOutcome:
        target = self.target(order.recording_id)
        target.parent.mkdir(parents=True, exist_ok=True)
        request = CutOrder(
            str(order.source),
            str(target),
            MAX_CUT_BYTES,
            list(order.wall_ms) if order.wall_ms is not None else None,
            list(order.seconds) if order.seconds is not None else None,
        )
        # -P: the working folder is no place to import from.
        command = (sys.executable, "-P", "-m", "headwater.pipeline.recorder.cut_worker")
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
        try:
            async with asyncio.timeout(PATIENCE_S):
                out, _ = await process.communicate(msgspec.json.encode(request))
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            raise OperatorError(f"the process that cuts recordings ended with {process.returncode}")
        return msgspec.json.decode(out, type=CutOutcome)

    async def _done_with(self, source: Path) -> None:
        self._using[source] -= 1
        await self._release(source)

    async def _release(self, source: Path) -> None:
        if self._using[source] <= 0:
            del self._using[source]
            if source in self._disposable:
                self._disposable.discard(source)
                try:
                    await asyncio.to_thread(delete, source)
                except OperatorError as error:
                    log.error("%s", error)

    def _say(self, order: Order, outcome: CutOutcome) -> None:
        now_ms = time_ns() // 1_000_000
        ids = (order.livestream_id, order.session_id, now_ms, order.recording_id)
        if outcome.error:
            log.error("part %s was not made: %s", order.recording_id, outcome.error, extra=_about(order))
            self._emit(RecordingFailed(*ids, outcome.error))
            return
        path = str(self.target(order.recording_id).relative_to(self._data_dir))
        log.info("made %s of %s: %d bytes", path, order.source.name, outcome.size, extra=_about(order))
        self._emit(RecordingReady(*ids, path, outcome.size, outcome.seconds, outcome.end_ms, order.reason))


def _about(order: Order) -> dict[str, str]:
    """What log lines of an order carry."""
    return {"session_id": order.session_id, "livestream_id": order.livestream_id}
