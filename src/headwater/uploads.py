"""Carries recordings that have ended to the store: again and again until they are there, also after a crash.

    UPLOADING, on the disk ─► put ─► same size and checksum there? ─► UPLOADED, in the row ─► the copy on the disk goes
                               ▲             │ no, or an error
                               └── back-off ─┘

What is there already when an attempt begins (a crash came between) is not sent again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from headwater.control.plane import ControlPlane
from headwater.control.repository.recordings import RecordingRow
from headwater.pipeline.recorder.files import index_path
from headwater.pipeline.store import Store, digest

log = logging.getLogger("headwater.store")

POLL_S = 1.0
RETRY_FIRST_S = 1.0


class Uploads:
    """One upload at a time; live delivery has the network first.

    Args:
        before_removal: Called with a file before its copy on the disk goes: what is made of it alone is made then.
    """

    def __init__(
        self,
        plane: ControlPlane,
        store: Store,
        data: Path,
        *,
        keep_local: bool,
        retry_max_s: float,
        before_removal: Callable[[Path], Awaitable[object]],
    ) -> None:
        self._plane = plane
        self._store = store
        self._data = data
        self._keep_local = keep_local
        self._retry_max_s = retry_max_s
        self._before_removal = before_removal
        self._attempts: dict[str, int] = {}
        self._due: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="uploads")

    async def stop(self) -> None:
        """Leave what is under way for the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        await self._quietly(self._clear_away())
        while True:
            await self._quietly(self._turn())
            await asyncio.sleep(POLL_S)

    async def _quietly(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception as error:
            log.error("uploads cannot be looked up: %s", error)

    async def _clear_away(self) -> None:
        """Copies of what is stored, which a crash left on the disk."""
        if self._keep_local:
            return
        for path in await asyncio.to_thread(lambda: list((self._data / "recordings").glob("*.mp4"))):
            if await self._plane.is_stored(path.relative_to(self._data).as_posix()):
                await asyncio.to_thread(path.unlink)

    async def _turn(self) -> None:
        rows = await self._plane.waiting_uploads()
        for gone in set(self._attempts) - {row.id for row in rows}:
            del self._attempts[gone]
            self._due.pop(gone, None)
        for row in rows:
            if self._due.get(row.id, 0.0) <= time.monotonic():
                await self._attempt(row)

    async def _attempt(self, row: RecordingRow) -> None:
        try:
            await self._upload(row)
        except Exception as error:  # of a network: they are many, and all mean to try again
            attempts = self._attempts[row.id] = self._attempts.get(row.id, 0) + 1
            pause_s = min(RETRY_FIRST_S * 2.0 ** min(attempts - 1, 20), self._retry_max_s) * random.uniform(0.75, 1.25)
            self._due[row.id] = time.monotonic() + pause_s
            words = " ".join(str(error).split())[:300]
            log.warning(
                "recording %s is not stored yet (attempt %d, next in %.0f s): %s", row.id, attempts, pause_s, words
            )

    async def _upload(self, row: RecordingRow) -> None:
        assert row.path is not None, "only what is on the disk waits"
        path, key = self._data / row.path, Path(row.path).as_posix()
        if not await asyncio.to_thread(path.exists):
            await self._plane.lost(row, "ERR_RECORDING_LOST: the file was gone before it was stored")
            return
        for file, name in ((index_path(path), index_path(Path(key)).as_posix()), (path, key)):
            found = await asyncio.to_thread(digest, file)
            if not await self._store.holds(name, found):
                await self._store.put(name, file, file_name=row.file_name if file == path else "")
                if not await self._store.holds(name, found):
                    raise OSError(f"{name} differs in the store from what was sent")
        await self._plane.stored(row.id, key, found.sha256)
        log.info("stored recording %s: %d bytes", row.id, found.size)
        if not self._keep_local:
            await self._before_removal(path)
            await asyncio.to_thread(path.unlink, missing_ok=True)
