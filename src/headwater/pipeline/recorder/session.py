"""Takes what the packager makes of one session, and hands it to the disk writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from headwater.errors import LimitReached, OperatorError
from headwater.media.cmaf import InitSegment, Output, Part, Playable, SegmentClosed, SegmentOpened
from headwater.pipeline.recorder.files import delete, index_path, read_extents
from headwater.pipeline.recorder.head import HEAD_SIZE, build_head
from headwater.pipeline.recorder.recording import Recording
from headwater.pipeline.recorder.records import (
    InitRecord,
    OpenRecord,
    PlayableRecord,
    Record,
    SessionRecord,
    box,
    frame,
)
from headwater.pipeline.recorder.recovery import recover
from headwater.pipeline.recorder.segments import OpenSegment
from headwater.pipeline.recorder.survey import survey
from headwater.pipeline.recorder.writer import DiskWriter, Kind, RecordingSink
from headwater.protocols.isobmff.movie import MAX_SAMPLE_ENTRIES


class SessionRecorder:
    """One session's recording while it grows: a `RecordingReader`. All but `read` and `recording` in the event loop.

    Attributes:
        path: The MP4 file.
        failure: Why nothing more is recorded; None while all is well. What was written stays playable.
    """

    def __init__(self, path: Path, session_id: str, sink: RecordingSink) -> None:
        self.path = path
        self.session_id = session_id
        self.failure: str | None = None
        self._sink = sink
        self._end = HEAD_SIZE
        self._inits: list[InitSegment] = []
        self._open: dict[int, OpenSegment] = {}
        self._on_failure: Callable[[str], None] | None = None
        self._closing: asyncio.Task[Recording | None] | None = None

    @classmethod
    def create(
        cls, path: Path, session_id: str, writer: DiskWriter, *, on_failure: Callable[[str], None] | None = None
    ) -> SessionRecorder:
        """Begin a recording. The files are made in the writer's thread, folders included; they must not exist.

        Args:
            path: The MP4 file; of our own making, never from what a publisher sent.
            on_failure: Called in the event loop, once, with a sentence, when the recording has to stop.
        """
        recorder = cls(path, session_id, writer.open(path, index_path(path), HEAD_SIZE))
        recorder._on_failure = on_failure
        recorder._sink.on_failure = recorder._fail
        recorder._record(SessionRecord(session_id), indexed=True)
        return recorder

    @property
    def written(self) -> int:
        """See `RecordingReader.written`."""
        return self._sink.written

    def apply(self, outputs: Sequence[Output]) -> None:
        """Record what the packager made; sets `Part.offset` of each part that will be in the file. Never blocks."""
        if self.failure is not None:
            return
        for output in outputs:
            if isinstance(output, Part):
                self._part(output)
            elif isinstance(output, SegmentOpened):
                opened = OpenRecord.of(output)
                self._open[output.track_id] = OpenSegment(opened)
                self._record(opened, indexed=False)
            elif isinstance(output, SegmentClosed):
                self._segment_closed(output)
            elif isinstance(output, InitSegment):
                self._init(output)
            elif isinstance(output, Playable):
                self._record(PlayableRecord(output.target_duration_s), indexed=True)

    def read(self, extents: Sequence[tuple[int, int]]) -> bytes:
        """See `RecordingReader.read`."""
        return read_extents(self.path, extents)

    def recording(self) -> Recording:
        """See `RecordingReader.recording`."""
        return survey(self.path, index_only=True).recording()

    async def close(self) -> Recording | None:
        """End the recording: write what is waiting, bring head and index up to date, sync. Idempotent.

        Returns:
            The whole recording; None where nothing could be recorded (then there is no file either).
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close())
        return await asyncio.shield(self._closing)

    async def discard(self) -> None:
        """End the recording and delete it; cheaper than `close` where it is not to be kept. Idempotent.

        Raises:
            OperatorError: the file system refuses.
        """
        await self._release()
        if self._sink.made:
            await asyncio.to_thread(delete, self.path)

    async def _close(self) -> Recording | None:
        await self._release()
        return await asyncio.to_thread(self._complete) if self._sink.made else None

    async def _release(self) -> None:
        """Written, and nobody is told any more: what points back at its owner would outlive both until the next pass of
        the garbage collector."""
        await self._sink.release()
        self._sink.on_failure = self._on_failure = None

    def _complete(self) -> Recording | None:
        try:
            recording = recover(self.path)
            if recording is None:
                delete(self.path)
        except OperatorError:
            return None
        return recording

    def _init(self, init: InitSegment) -> None:
        self._inits.append(init)
        try:
            if init.version >= MAX_SAMPLE_ENTRIES:
                raise LimitReached("MAX_SAMPLE_ENTRIES", f"track {init.track.id} changed its configuration too often")
            head = build_head(self._inits)
        except LimitReached as error:
            self._fail(str(error))
            return
        self._sink.put(Kind.HEAD, head)
        self._record(InitRecord.of(init), indexed=True)

    def _part(self, part: Part) -> None:
        segment = self._open.get(part.track_id)
        if segment is None or part.data is None:
            return
        offset = self._end
        self._media(part.data)
        if self.failure is None:
            part.offset = offset
            segment.add(offset, part.size)

    def _segment_closed(self, closed: SegmentClosed) -> None:
        """Also one without parts: a gap, for which the track has nothing."""
        segment = self._open.pop(closed.track_id, None)
        if segment is not None and any(init.track.id == closed.track_id for init in self._inits):
            self._sink.put(Kind.INDEX, frame(segment.closed(closed.duration)))

    def _record(self, record: Record, *, indexed: bool) -> None:
        self._media(box(record))
        if indexed:
            self._sink.put(Kind.INDEX, frame(record))

    def _media(self, data: bytes) -> None:
        self._end += len(data)
        self._sink.put(Kind.MEDIA, data)

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            self.failure = reason
            if self._on_failure is not None:
                self._on_failure(reason)
