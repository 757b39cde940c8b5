"""The events of pipeline and rooms on their way to the database: a bounded, ordered queue and one task that writes.

`EventWriter.listen` is called in the event loop and never blocks. One transaction takes everything that is waiting, and
a session's progress is kept once, its newest: 200 livestreams cost two commits a second. While the database is down the
queue waits, in order; what does not fit is dropped loudly, the least important first. An API request that wants to see
what has just happened waits for `settle`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    ProgrammingError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control import history, meeting_history
from headwater.control.database import Database, DatabaseAway
from headwater.control.repository.sessions import Progress, save_progress
from headwater.events import (
    Event,
    ParticipantJoined,
    ParticipantLeft,
    RecordingChanged,
    RecordingFailed,
    RecordingReady,
    RoomClosed,
    RoomEvent,
    RoomOpened,
    SessionClosed,
    SessionHealth,
    SessionOpened,
    SessionPlayable,
    SessionProgress,
)

QUEUE_LIMIT = 10_000
"""Events waiting; beyond it only those that change what a session is are still taken."""

ESSENTIAL_LIMIT = 50_000
"""Waiting events at which even those are dropped: about 20 MB, hours of a database outage."""

BATCH_LIMIT = 500
"""Events of one transaction; it holds SQLite's one writer lock for some 100 ms at most."""

PROGRESS_DELAY_S = 0.5
"""How long progress alone waits for more progress, so that one commit serves many sessions."""

RETRY_FIRST_S = 0.1
RETRY_MAX_S = 5.0

_ROOM = (RoomOpened, ParticipantJoined, ParticipantLeft, RoomClosed)
_ESSENTIAL = (
    SessionOpened,
    SessionPlayable,
    SessionClosed,
    RecordingChanged,
    RecordingReady,
    RecordingFailed,
    *_ROOM,
)

log = logging.getLogger("headwater.control")


class EventWriter:
    """Takes events now, writes them soon.

    Args:
        written: Called after events have become durable, with the ids of the livestreams and meetings they are about.
    """

    def __init__(self, database: Database, node: str, *, written: Callable[[set[str]], None] | None = None) -> None:
        self._database = database
        self._node = node
        self._written = written
        self._queue: deque[Event | RoomEvent] = deque()
        self._progress: dict[str, SessionProgress] = {}
        # How many events and how much progress has been taken, and how much of either is durable.
        self._taken = self._durable = 0
        self._progress_taken = self._progress_durable = 0
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._advanced = asyncio.Event()
        self._closing = False
        self._dropped = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="event-writer")

    def listen(self, event: Event | RoomEvent) -> None:
        """Take an event; the `headwater.events.Listener` of the control plane."""
        if isinstance(event, SessionProgress):
            self._progress[event.session_id] = event  # bounded by the open sessions
            self._progress_taken += 1
        elif self._has_room(event):
            if isinstance(event, SessionClosed):
                self._progress.pop(event.session_id, None)  # the totals of the close are the newer ones
            self._queue.append(event)
            self._taken += 1
            if not isinstance(event, SessionHealth):
                self._urgent.set()
        else:
            self._drop(event)
            return
        self._wake.set()

    def _has_room(self, event: Event | RoomEvent) -> bool:
        return len(self._queue) < (ESSENTIAL_LIMIT if isinstance(event, _ESSENTIAL) else QUEUE_LIMIT)

    def _drop(self, event: Event | RoomEvent) -> None:
        self._dropped += 1
        if self._dropped & (self._dropped - 1) == 0:  # the 1st, 2nd, 4th ...: an outage does not flood the log too
            log.error(
                "an event was dropped: kind=%s dropped=%d waiting=%d",
                type(event).__name__,
                self._dropped,
                len(self._queue),
                extra=_about(event),
            )

    @property
    def dropped(self) -> int:
        """Events that were lost for want of room, so far."""
        return self._dropped

    @property
    def waiting(self) -> int:
        """Events that are not durable yet."""
        return len(self._queue) + len(self._progress)

    async def settle(self, timeout_s: float, *, progress: bool = False) -> bool:
        """Wait until the events taken so far are durable.

        Args:
            progress: Whether to wait for progress too, which is otherwise in no hurry.

        Returns:
            False if that took longer than `timeout_s`.
        """
        wanted, wanted_progress = self._taken, self._progress_taken if progress else 0
        if self._reached(wanted, wanted_progress):
            return True
        self._urgent.set()
        try:
            async with asyncio.timeout(timeout_s):
                while not self._reached(wanted, wanted_progress):
                    await self._advanced.wait()
        except TimeoutError:
            return False
        return True

    def _reached(self, wanted: int, wanted_progress: int) -> bool:
        return self._durable >= wanted and self._progress_durable >= wanted_progress

    async def close(self, timeout_s: float) -> None:
        """Write what is left, for at most `timeout_s`, and stop."""
        if self._task is None:
            return
        self._closing = True
        self._urgent.set()
        self._wake.set()
        done, _ = await asyncio.wait({self._task}, timeout=timeout_s)
        if not done:
            log.error("events were not written in time and are lost: waiting=%d", self.waiting)
            self._task.cancel()
            await asyncio.wait({self._task})
        self._task = None

    async def _run(self) -> None:
        while True:
            if not self.waiting:
                if self._closing:
                    return
                await self._wake.wait()
            self._wake.clear()
            if self.waiting:
                await self._let_progress_gather()
                await self._write_next()

    async def _let_progress_gather(self) -> None:
        if self._urgent.is_set() or self._closing:
            return
        try:
            async with asyncio.timeout(PROGRESS_DELAY_S):
                await self._urgent.wait()
        except TimeoutError:
            pass

    async def _write_next(self) -> None:
        """Write one batch, however long that takes."""
        self._urgent.clear()
        batch = [self._queue[i] for i in range(min(len(self._queue), BATCH_LIMIT))]
        progress, progress_taken = dict(self._progress), self._progress_taken
        delay = RETRY_FIRST_S
        while True:
            try:
                await self._write(batch, list(progress.values()))
                break
            except (SQLAlchemyError, DatabaseAway) as error:
                if _is_ours(error) and await self._write_singly(batch, list(progress.values())):
                    break
                log.error("events cannot be written: %s; waiting=%d retry_s=%g", error, self.waiting, delay)
                await asyncio.sleep(delay)
                delay = min(delay * 2, RETRY_MAX_S)
        self._forget(batch, progress)
        self._durable += len(batch)
        self._progress_durable = progress_taken
        self._advanced.set()
        self._advanced = asyncio.Event()

    def _forget(self, batch: list[Event | RoomEvent], progress: dict[str, SessionProgress]) -> None:
        for _ in batch:
            self._queue.popleft()
        for session_id, entry in progress.items():
            if self._progress.get(session_id) is entry:
                del self._progress[session_id]
        if self._written is not None:
            about = (_subject(event) for event in batch if not isinstance(event, SessionHealth))
            self._written({of for of in about if of is not None})

    async def _write(self, batch: list[Event | RoomEvent], progress: list[SessionProgress]) -> None:
        async with self._database.write() as conn:
            for event in batch:
                await record(conn, event, self._node)
            await save_progress(conn, [_totals(entry) for entry in progress])

    async def _write_singly(self, batch: list[Event | RoomEvent], progress: list[SessionProgress]) -> bool:
        """Write event by event, leaving out those that the database refuses: one bad event must not stop the rest.

        Returns:
            False where the database went away meanwhile; everything is to be tried again (writing is idempotent).
        """
        for event in [*batch, *progress]:
            try:
                async with self._database.write() as conn:
                    await record(conn, event, self._node)
            except (SQLAlchemyError, DatabaseAway) as error:
                if not _is_ours(error):
                    return False
                log.error("the database refused an event: kind=%s %s", type(event).__name__, error, extra=_about(event))
        return True


async def record(conn: AsyncConnection, event: Event | RoomEvent, node: str) -> None:
    """Write one event."""
    if isinstance(event, _ROOM):
        await meeting_history.record(conn, event, node)
    else:
        await history.record(conn, event, node)


def _is_ours(error: Exception) -> bool:
    """Whether the statement is at fault, so that trying it again cannot help, and not the connection."""
    if isinstance(error, DBAPIError):
        return isinstance(error, IntegrityError | DataError | ProgrammingError) and not error.connection_invalidated
    return isinstance(error, StatementError)


def _subject(event: Event | RoomEvent) -> str | None:
    return event.meeting_id if isinstance(event, _ROOM) else event.livestream_id


def _about(event: Event | RoomEvent) -> dict[str, str]:
    """What the log line of an event carries."""
    names = ("session_id", "livestream_id", "meeting_id")
    return {name: value for name in names if (value := getattr(event, name, None)) is not None}


def _totals(event: SessionProgress) -> Progress:
    return Progress(event.session_id, event.at_ms, event.ingest_seconds, event.viewer_seconds)
