"""What lies on disk: indexes of recordings, and media read back from them. All file work is done in threads.

What many viewers ask for at once is read once: the first one's work is shared by those who come while it is under way.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from headwater.pipeline.origin.program import LiveProgram
from headwater.pipeline.origin.recorded import RecordedProgram
from headwater.pipeline.origin.response import Response, media_response
from headwater.pipeline.recorder import RecordingFile
from headwater.pipeline.recorder.recording import RecordingReader

T = TypeVar("T")

CACHED_RECORDINGS = 16
"""Indexes of recordings kept in memory, at most."""

CACHED_SEGMENTS = 200_000
"""Segments in all of those: an hour of two tracks has 3,600, some 1 MB. One at least is kept, however long."""

CACHED_MEDIA_BYTES = 32 << 20
"""Media that was read from disk and is kept: viewers of one recording or DVR window ask for the same segments."""

DVR_AGE_S = 1.0


class Library:
    """Recordings and their media, with small caches.

    Args:
        reader: Opens a recording that has ended.
    """

    def __init__(self, data_dir: Path, threads: int, reader: Callable[[Path], RecordingReader] = RecordingFile) -> None:
        self._data_dir = data_dir
        self.reader = reader
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="origin-read")
        self._under_way: dict[object, asyncio.Future[Any]] = {}
        self._recordings: OrderedDict[str, RecordedProgram] = OrderedDict()
        self._media: OrderedDict[str, Response] = OrderedDict()
        self._media_bytes = 0

    def stop(self) -> None:
        self._threads.shutdown(wait=False)  # reads under way are short, and somebody waits for them

    async def recorded(self, relative: str) -> RecordedProgram:
        """The index of an ended recording.

        Raises:
            OperatorError: the files cannot be read.
        """
        known = self._recordings.get(relative)
        if known is None:
            path = self._data_dir / relative
            known = await self._shared(relative, lambda: RecordedProgram(self.reader(path).recording()))
            self._recordings[relative] = known
            self._forget_oldest()
        if relative in self._recordings:
            self._recordings.move_to_end(relative)
        return known

    def forget(self, relative: str) -> None:
        """A recording is gone."""
        self._recordings.pop(relative, None)

    def _forget_oldest(self) -> None:
        known = self._recordings
        segments = sum(recorded.size for recorded in known.values())
        while len(known) > 1 and (len(known) > CACHED_RECORDINGS or segments > CACHED_SEGMENTS):
            segments -= known.popitem(last=False)[1].size

    async def so_far(self, program: LiveProgram, recorder: RecordingReader) -> RecordedProgram:
        """The index of a running session, about a second old at most.

        Raises:
            OperatorError: the files cannot be read.
        """
        known = program.so_far
        if known is None or time.monotonic() - known[0] > DVR_AGE_S:
            now = time.monotonic()
            index = await self._shared(program.session_id, lambda: RecordedProgram(recorder.recording()))
            known = program.so_far = (now, index)
        return known[1]

    async def playlist(self, recorded: RecordedProgram, track: str, *, compressed: bool) -> Response | None:
        """A recording's media playlist; None where it has no such track."""
        ready = recorded.prepared(track, compressed=compressed)
        if ready is not None or track not in recorded.tracks:
            return ready
        key = (id(recorded), track, compressed)
        return await self._shared(key, lambda: recorded.playlist(track, compressed=compressed))

    async def media(self, reader: RecordingReader, extents: Sequence[tuple[int, int]], etag: str) -> Response:
        """A part or a segment from a recording file.

        Raises:
            OperatorError: the file is gone or does not hold it.
            LimitReached: it is too large.
        """
        response = self._media.get(etag)
        if response is None:
            data = await self._shared(etag, lambda: reader.read(extents))
            response = media_response((data,), etag)
            self._keep(etag, response)
        else:
            self._media.move_to_end(etag)
        return response

    def _keep(self, etag: str, response: Response) -> None:
        before = self._media.pop(etag, None)
        self._media_bytes += response.size - (before.size if before is not None else 0)
        self._media[etag] = response
        while self._media_bytes > CACHED_MEDIA_BYTES:
            self._media_bytes -= self._media.popitem(last=False)[1].size

    async def _shared(self, key: object, work: Callable[[], T]) -> T:
        """Do work in a thread; who asks for the same while it is under way gets the same."""
        future: asyncio.Future[T] | None = self._under_way.get(key)
        if future is None:
            future = asyncio.get_running_loop().run_in_executor(self._threads, work)
            self._under_way[key] = future
            future.add_done_callback(lambda _: self._under_way.pop(key, None))
        return await asyncio.shield(future)
