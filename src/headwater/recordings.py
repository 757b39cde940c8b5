"""Where the control plane's recordings meet their files: links, deleting, clips, and what a crash left half done."""

from __future__ import annotations

import asyncio
import logging
import shutil
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from headwater.control.files import Named
from headwater.control.plane import ControlPlane
from headwater.control.repository.recordings import RecordingRow, RecordingStatus
from headwater.errors import HeadwaterError, OperatorError
from headwater.events import RecordingFailed, RecordingReady
from headwater.pipeline.maker import Maker, Order
from headwater.pipeline.origin import Origin
from headwater.pipeline.recorder import delete, load, recover
from headwater.pipeline.recorder.files import index_path
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.recorder.sprite import SpriteMaker
from headwater.pipeline.store import Store, StoredFile

log = logging.getLogger("headwater")

FETCH_RESERVE_BYTES = 1 << 30
"""What is left on the disk when a recording is fetched from the store for a clip: livestreams need it more."""

INTERRUPTED = "ERR_INTERRUPTED: the server stopped before anything was recorded"


class Recordings:
    """The recordings' files."""

    def __init__(
        self,
        plane: ControlPlane,
        origin: Origin,
        maker: Maker,
        data: Path,
        store: Store | None = None,
        *,
        signed: bool = False,
    ) -> None:
        """
        Args:
            signed: Whether downloads are sent to the store.
        """
        self._plane = plane
        self._origin = origin
        self._maker = maker
        self._data = data
        self._store = store
        self._signed = signed
        self._sprites = SpriteMaker()

    async def find(self, recording_id: str, expires: str, signature: str) -> tuple[Path, str] | None:
        """What a link leads to; see `web.downloads.Downloads`."""
        found = await self._plane.links.find(recording_id, expires, signature, time.time_ns() // 1_000_000)
        return None if found is None else (self._data / found.path, found.file_name)

    async def stored(self, recording: Path) -> StoredFile | None:
        """A recording in the store; see `web.downloads.Downloads`."""
        if self._store is None:
            return None
        try:
            return await self._store.open(self._key(recording))
        except Exception as error:  # of a network: they are many
            log.warning("%s cannot be had from the store: %s", recording.name, type(error).__name__)
            return None

    async def signed(self, recording: Path, method: str, expires: int) -> str | None:
        """The store's own URL of a recording; see `web.downloads.Downloads`."""
        if self._store is None or not self._signed:
            return None
        try:
            return await self._store.signed(self._key(recording), method, expires - int(time.time()))
        except Exception as error:  # of a network, where the store's credentials are fetched
            log.warning("%s cannot be signed for: %s", recording.name, type(error).__name__)
            return None

    def _key(self, path: Path) -> str:
        """Its name in the store."""
        return path.relative_to(self._data).as_posix()

    async def sprite(self, recording: Path, name: str) -> Path | None:
        """A recording's pictures; see `web.downloads.Downloads`."""
        try:
            return await self._sprites.get(recording, name)
        except HeadwaterError as error:
            log.warning("no pictures of %s: %s", recording.name, error, extra={"session_id": recording.stem})
            return None

    async def size(self, recording: Named) -> int:
        """Bytes of a recording's file; 0 where there is none."""
        try:
            return (await asyncio.to_thread((self._data / (recording.path or "")).stat)).st_size
        except OSError:
            return 0

    async def remove(self, recordings: Sequence[Named]) -> None:
        """Delete the files of recordings whose rows say that they are gone."""
        for recording in recordings:
            if recording.path is not None:
                self._origin.forget(recording.path, recording.session_id)
                about = {"session_id": recording.session_id}
                path = self._data / recording.path
                try:
                    await asyncio.to_thread(delete, path)
                    if self._store is not None:
                        await self._store.delete([self._key(path), self._key(index_path(path))])
                    log.info("deleted the recording %s", recording.path, extra=about)
                except Exception as error:  # of a disk or of a network; the next start tries again
                    log.error("a recording cannot be deleted: %s", error, extra=about)

    async def clip(self, clip: RecordingRow, source: RecordingRow) -> None:
        """Have a clip made of a recording.

        Raises:
            LimitReached: too many wait.
        """
        assert source.path is not None and clip.clip_start is not None and clip.clip_end is not None
        path = self._data / source.path
        is_here = await asyncio.to_thread(path.exists)
        copy = path if is_here else self._data / "spool" / f"{clip.id}-source.mp4"
        self._maker.submit(
            Order(
                clip.livestream_id,
                clip.session_id,
                clip.id,
                copy,
                seconds=((clip.clip_start, clip.clip_end),),
                reason="API_CALL",
                fetch=None if is_here else partial(self._fetch, path, copy, source.file_size or 0),
            )
        )
        if not is_here:
            await self._maker.dispose(copy)

    async def _fetch(self, path: Path, copy: Path, size: int) -> None:
        """Have a recording back from the store, for a clip."""
        if self._store is None:
            raise OperatorError(f"{path.name} is gone")
        await asyncio.to_thread(copy.parent.mkdir, parents=True, exist_ok=True)
        await asyncio.to_thread(delete, copy)
        free = (await asyncio.to_thread(shutil.disk_usage, copy.parent)).free
        if free - size < FETCH_RESERVE_BYTES:
            raise OperatorError(f"{size} bytes have to be fetched from the store, and the disk has no room for them")
        await self._store.fetch(self._key(index_path(path)), index_path(copy))
        await self._store.fetch(self._key(path), copy)

    async def stop(self) -> None:
        """End what is under way."""
        await self._sprites.stop()

    async def resume(self) -> None:
        """Go on with what the last run of this server left undone; sessions have been recovered before."""
        rows = [row for row in await self._plane.unfinished_recordings() if row.path is None]
        whole = {row.session_id for row in rows if row.spans is None and row.clip_of is None}
        sources: set[Path] = set()
        for row in rows:
            try:
                source = await self._resume(row)
            except HeadwaterError as error:
                self._fail(row, f"ERR_RECORDING_FAILED: {error}")
                continue
            if source is not None and row.session_id not in whole:
                sources.add(source)
        await self._sweep({row.session_id for row in rows})
        for source in sources:
            if not await self._plane.is_kept(str(source.relative_to(self._data))):
                await self._maker.dispose(source)

    async def _resume(self, row: RecordingRow) -> Path | None:
        """One recording; returns the file that it is cut out of, if that was made for it alone."""
        made = self._maker.target(row.id)
        if (row.clip_of is not None or row.spans is not None) and made.exists():
            await self._ready(row, await asyncio.to_thread(load, made))
            return None if row.clip_of is not None else self._session_file(row)
        if row.clip_of is not None:
            source = await self._plane.recording(row.clip_of)
            if source is None or not source.is_there:
                self._fail(row, "ERR_NOTHING_RECORDED: the recording is gone")
            else:
                await self.clip(row, source)
            return None
        file = self._session_file(row)
        recording = None if file is None else await asyncio.to_thread(recover, file)
        if row.status == RecordingStatus.INVOKED or recording is None:
            self._fail(row, INTERRUPTED)
            return file
        if row.spans is None:
            await self._ready(row, recording)
            return None
        spans = tuple(row.spans_ms() or ())
        order = Order(row.livestream_id, row.session_id, row.id, recording.path, wall_ms=spans, reason="INTERNAL_ERROR")
        self._maker.submit(order)
        return file

    def _session_file(self, row: RecordingRow) -> Path | None:
        """What was written of its session."""
        for folder in ("recordings", "spool"):
            path = self._data / folder / f"{row.session_id}.mp4"
            if path.exists():
                return path
        return None

    async def _ready(self, row: RecordingRow, recording: Recording) -> None:
        size = (await asyncio.to_thread(recording.path.stat)).st_size
        path = str(recording.path.relative_to(self._data))
        now_ms = time.time_ns() // 1_000_000
        ids = (row.livestream_id, row.session_id, now_ms, row.id)
        self._plane.listen(
            RecordingReady(*ids, path, size, recording.seconds, recording.end_ms, row.stop_reason or "INTERNAL_ERROR")
        )

    def _fail(self, row: RecordingRow, error: str) -> None:
        now_ms = time.time_ns() // 1_000_000
        self._plane.listen(RecordingFailed(row.livestream_id, row.session_id, now_ms, row.id, error))

    async def _sweep(self, needed: set[str]) -> None:
        """Clear away what was only the DVR window of sessions that have ended, and parts half made."""
        for leftover in (self._data / "spool").glob("*.mp4"):
            if leftover.stem not in needed:
                await asyncio.to_thread(delete, leftover)
        for draft in (self._data / "recordings").glob("*.mp4.new"):
            await asyncio.to_thread(delete, draft)
