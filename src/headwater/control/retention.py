"""How long recordings are kept: by age, and by the room that all of them may take. The oldest go first.

Only what has ended goes. The row stays, and says so: what was recorded stays in the list and in the analytics. A file
that somebody is reading is read to its end; its room is free then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from headwater.control.database import Database, DatabaseAway
from headwater.control.files import Files
from headwater.control.repository import recordings
from headwater.control.repository.recordings import RecordingRow

log = logging.getLogger("headwater.control")

BATCH = 50
"""Files of one transaction and one turn of the disk."""

LATELY_MS = 86_400_000

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class RecordingSettings:
    """What becomes of recordings.

    Attributes:
        keep_days: Recordings that ended longer ago are deleted; 0: none is, for its age.
        keep_bytes: What all recordings and clips together may take; the oldest are deleted for newer ones. 0: no limit.
        check_interval_s: How often that is looked at.
    """

    keep_days: float = 0
    keep_bytes: int = 0
    check_interval_s: float = 60


class Retention:
    """Deletes what is not to be kept any longer.

    Args:
        changed: Called after files have gone.
    """

    def __init__(
        self,
        database: Database,
        node: str,
        settings: RecordingSettings,
        files: Callable[[], Files],
        changed: Callable[[], None],
    ) -> None:
        self._database = database
        self._node = node
        self._settings = settings
        self._files = files
        self._changed = changed
        self._task: asyncio.Task[None] | None = None

    def start(self, now_ms: Callable[[], int]) -> None:
        """Look again and again, if there is anything to look for."""
        self._task = asyncio.get_running_loop().create_task(self._run(now_ms), name="retention")

    async def stop(self) -> None:
        """Returns when nothing of it uses the database any more: closing that under a query never ends."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self, now_ms: Callable[[], int]) -> None:
        await self._quietly(self.finish_removals(now_ms() - LATELY_MS))
        await self._quietly(self.measure())
        while self._settings.keep_days or self._settings.keep_bytes:
            await self._quietly(self.sweep(now_ms()))
            await asyncio.sleep(self._settings.check_interval_s)

    async def _quietly(self, work: Awaitable[object]) -> None:
        try:
            await work
        except (SQLAlchemyError, DatabaseAway) as error:
            log.error("what is to be deleted cannot be looked up: %s", error)
        except Exception:
            log.exception("deleting old recordings failed")

    async def finish_removals(self, since_ms: int) -> None:
        """Delete files whose rows say that they are gone: the last run may have ended in between."""
        async with self._database.read() as conn:
            rows = await recordings.gone(conn, self._node, since_ms)
        await self._files().remove(rows)

    async def measure(self) -> None:
        """Write down how large recordings are whose rows do not say: they are of earlier versions."""
        async with self._database.read() as conn:
            rows = await recordings.unmeasured(conn, self._node)
        for row in rows:
            size = await self._files().size(row)
            async with self._database.write() as conn:
                await recordings.update(conn, row.id, row.updated_ms, file_size=size)

    async def sweep(self, now_ms: int) -> int:
        """Delete what is too old or too much; returns how many."""
        removed = 0
        if self._settings.keep_days:
            before_ms = now_ms - round(self._settings.keep_days * DAY_MS)
            while rows := await self._oldest(before_ms):
                await self._remove(rows, now_ms, "it is older than recordings.keep_days")
                removed += len(rows)
        if self._settings.keep_bytes:
            while rows := await self._too_much():
                await self._remove(rows, now_ms, "together they are larger than recordings.keep_bytes")
                removed += len(rows)
        return removed

    async def _oldest(self, before_ms: int | None) -> list[RecordingRow]:
        async with self._database.read() as conn:
            return await recordings.oldest(conn, self._node, before_ms=before_ms, limit=BATCH)

    async def _too_much(self) -> list[RecordingRow]:
        """The oldest, as many as are too many; none where only what is being recorded is left."""
        async with self._database.read() as conn:
            excess = await recordings.total_size(conn, self._node) - self._settings.keep_bytes
        going: list[RecordingRow] = []
        for row in await self._oldest(None) if excess > 0 else ():
            if excess <= 0:
                break
            going.append(row)
            excess -= row.file_size or 0
        return going

    async def _remove(self, rows: list[RecordingRow], now_ms: int, why: str) -> None:
        async with self._database.write() as conn:
            kept = await recordings.lock_removable(conn, [row.id for row in rows])
            rows = [row for row in rows if row.id in kept]
            await recordings.remove(conn, [row.id for row in rows], now_ms)
        self._changed()
        for row in rows:
            about = {"session_id": row.session_id, "livestream_id": row.livestream_id}
            log.info("recording %s of %s bytes goes: %s", row.id, row.file_size, why, extra=about)
        await self._files().remove(rows)
