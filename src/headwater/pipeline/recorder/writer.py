"""The one thread that writes every session's recording.

The event loop hands bytes over and goes on; the thread gathers what has come, writes it in few system calls, and syncs
each file to the disk every few seconds. Where the disk fails or is too slow, that session's recording stops with a
reason, and nothing else does.
"""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

_IOV_MAX = 1024  # Linux and macOS both: buffers in one pwritev
_datasync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """Limits of the disk writer.

    Attributes:
        queue_limit_bytes: Bytes waiting to be written, of all sessions: 3 s of 100 streams at 3 Mbit/s. A disk that is
            further behind than that will not catch up, and the bytes are memory.
        gather_ms: How long the thread waits for more after the first bytes: one pass then writes for
            every session, and each takes the interpreter from the event loop. A crash of the process may lose as much.
        sync_interval_ms: How long bytes may be written and not yet on the disk; under the 5 s that are promised.
        reserve_bytes: Left free on the disk: recordings stop before the database, which lies beside them, cannot be
            written any more, and the server not be started.
    """

    queue_limit_bytes: int = 128 * 1024 * 1024
    gather_ms: int = 150
    sync_interval_ms: int = 4000
    reserve_bytes: int = 64 * 1024 * 1024


class Kind(Enum):
    """What a hand-over is."""

    OPEN = auto()
    HEAD = auto()
    MEDIA = auto()
    INDEX = auto()
    RELEASE = auto()


class RecordingSink:
    """One recording's two files, as the writer knows them; made by `DiskWriter.open`.

    Attributes:
        failure: Why nothing more is written; None while all is well. Set in the event loop.
        written: The MP4 is in the file up to here. Set by the thread, read anywhere.
        made: The files are ours: they did not exist before. Set by the thread, final once released.
    """

    def __init__(self, writer: DiskWriter, path: Path, index_path: Path, start: int) -> None:
        self.path = path
        self.index_path = index_path
        self.failure: str | None = None
        self.written = start
        self.made = False
        self.on_failure: Callable[[str], None] | None = None
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._released: asyncio.Future[None] = self._loop.create_future()
        # The thread's own:
        self._fd = -1
        self._index_fd = -1
        self._dead = False
        self._dirty_since: float | None = None

    def put(self, kind: Kind, data: bytes) -> None:
        """Hand bytes over; they are media or index to append, or a new head. Never blocks."""
        if self.failure is None:
            self._writer._put(self, kind, data)

    async def release(self) -> None:
        """Wait until everything is written and synced, and the files are closed."""
        self._writer._put(self, Kind.RELEASE, b"")
        await asyncio.shield(self._released)

    def _fail(self, reason: str) -> None:
        """In the event loop, once."""
        if self.failure is None:
            self.failure = reason
            self._writer.failures += 1
            if self.on_failure is not None:
                self.on_failure(reason)


class DiskWriter:
    """Writes recordings in a thread of its own, which starts with the first one.

    Attributes:
        failures: Recordings that had to stop, so far.
    """

    def __init__(self, settings: WriterSettings | None = None) -> None:
        self.settings = settings or WriterSettings()
        self.failures = 0  # only the event loop adds
        self._jobs: deque[tuple[RecordingSink, Kind, bytes]] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._ended = False  # the thread, or what it would have been
        self._thread: threading.Thread | None = None
        self._bytes_in = 0  # only the event loop adds
        self._bytes_out = 0  # only the thread adds
        self._sinks: set[RecordingSink] = set()  # not yet released; the thread looks at copies
        self._cpu_s = 0.0

    @property
    def queued_bytes(self) -> int:
        """Bytes handed over and not yet written."""
        return self._bytes_in - self._bytes_out

    @property
    def cpu_s(self) -> float:
        """CPU seconds that the thread has taken, as of its last pass."""
        return self._cpu_s

    @property
    def alive(self) -> bool:
        """The thread runs, or will with the first recording."""
        return not self._ended and (self._thread is None or self._thread.is_alive())

    def open(self, path: Path, index_path: Path, start: int) -> RecordingSink:
        """Begin a recording; the files, which must not exist, are made in the thread.

        Args:
            start: Where media starts in the file: behind the head.
        """
        assert not self._stopping, "a recording was begun after the writer was stopped"
        sink = RecordingSink(self, path, index_path, start)
        self._sinks.add(sink)
        self._put(sink, Kind.OPEN, b"")
        return sink

    async def stop(self) -> None:
        """Write what is waiting, close the files, end the thread. Idempotent."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._ended = True

    def _put(self, sink: RecordingSink, kind: Kind, data: bytes) -> None:
        if self._ended:
            sink._fail("the disk writer has ended")
            _resolve(sink._released)
            return
        if self._bytes_in - self._bytes_out + len(data) > self.settings.queue_limit_bytes:
            sink._fail(f"the disk is too slow: {self.queued_bytes} bytes are waiting (queue_limit_bytes)")
            return
        self._bytes_in += len(data)
        self._jobs.append((sink, kind, data))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="headwater-recorder", daemon=True)
            self._thread.start()
        if not self._wake.is_set():
            self._wake.set()

    # What follows runs in the thread.

    def _run(self) -> None:
        try:
            while not (self._stopping and not self._jobs):
                self._pass()
        finally:  # also where a bug ends it: nobody must wait for a thread that is gone
            self._ended = True
            for sink in list(self._sinks):
                self._release(sink)

    def _pass(self) -> None:
        """Wait for something to do, and do it."""
        self._wake.wait(self._until_sync_s())
        if self._wake.is_set() and not self._stopping:
            time.sleep(self.settings.gather_ms / 1000)
        self._wake.clear()
        self._drain()
        self._sync_due(time.monotonic())
        self._cpu_s = time.thread_time()

    def _until_sync_s(self) -> float | None:
        """Seconds until a file must be synced; None where none must."""
        dirty = [sink._dirty_since for sink in list(self._sinks) if sink._dirty_since is not None]
        if not dirty:
            return None
        return max(0.0, min(dirty) + self.settings.sync_interval_ms / 1000 - time.monotonic())

    def _drain(self) -> None:
        """Write what has come, sorted by recording."""
        by_sink: dict[RecordingSink, list[tuple[Kind, bytes]]] = {}
        for _ in range(len(self._jobs)):
            sink, kind, data = self._jobs.popleft()
            by_sink.setdefault(sink, []).append((kind, data))
        for sink, jobs in by_sink.items():
            if not sink._dead:
                try:
                    self._write(sink, jobs)
                except OSError as error:
                    self._give_up(sink, error)
            self._bytes_out += sum(len(data) for _, data in jobs)
            if jobs[-1][0] is Kind.RELEASE:
                self._release(sink)

    def _write(self, sink: RecordingSink, jobs: list[tuple[Kind, bytes]]) -> None:
        """The head before the media that needs it, the media before the index that speaks of it."""
        if jobs[0][0] is Kind.OPEN:
            self._open(sink)
        heads = [data for kind, data in jobs if kind is Kind.HEAD]
        media = [data for kind, data in jobs if kind is Kind.MEDIA]
        index = [data for kind, data in jobs if kind is Kind.INDEX]
        if heads:
            _write_whole(sink._fd, heads[-1], 0)
        if media:
            self._leave_reserve(sink, sum(map(len, media)))
            self._append(sink, media)
        if index:
            data = b"".join(index)
            if os.write(sink._index_fd, data) != len(data):
                raise OSError("the index could not be written whole")
        if sink._dirty_since is None and (heads or media or index):
            sink._dirty_since = time.monotonic()

    def _open(self, sink: RecordingSink) -> None:
        sink.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        sink._fd = os.open(sink.path, flags | os.O_RDWR, 0o640)
        sink.made = True
        sink._index_fd = os.open(sink.index_path, flags | os.O_WRONLY | os.O_APPEND, 0o640)

    def _leave_reserve(self, sink: RecordingSink, size: int) -> None:
        disk = os.fstatvfs(sink._fd)
        if disk.f_bavail * disk.f_frsize - size < self.settings.reserve_bytes:
            raise OSError(errno.ENOSPC, "the disk is nearly full (reserve_bytes)")

    def _append(self, sink: RecordingSink, media: list[bytes]) -> None:
        for first in range(0, len(media), _IOV_MAX):
            buffers = media[first : first + _IOV_MAX]
            size = sum(map(len, buffers))
            done = os.pwritev(sink._fd, buffers, sink.written)
            if done < size:  # a full disk takes what fits first and says so next time
                _write_whole(sink._fd, b"".join(buffers)[done:], sink.written + done)
            sink.written += size

    def _give_up(self, sink: RecordingSink, error: OSError) -> None:
        """Stop this recording; what a failed write left behind its last whole bytes is cut off when it is closed."""
        sink._dead = True
        reason = f"{error.strerror or error}: {sink.path.name}"
        _tell(sink, sink._fail, reason)

    def _sync_due(self, now: float) -> None:
        for sink in list(self._sinks):
            since = sink._dirty_since
            if since is not None and now - since >= self.settings.sync_interval_ms / 1000:
                self._sync(sink)

    def _sync(self, sink: RecordingSink) -> None:
        sink._dirty_since = None
        try:
            _datasync(sink._fd)
            _datasync(sink._index_fd)
        except OSError as error:
            self._give_up(sink, error)

    def _release(self, sink: RecordingSink) -> None:
        self._sinks.discard(sink)
        if sink._dirty_since is not None:
            self._sync(sink)
        for fd in (sink._fd, sink._index_fd):
            if fd >= 0:
                os.close(fd)
        sink._fd = sink._index_fd = -1
        _tell(sink, _resolve, sink._released)


def _write_whole(fd: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def _tell(sink: RecordingSink, what: Callable[..., None], *arguments: object) -> None:
    try:
        sink._loop.call_soon_threadsafe(what, *arguments)
    except RuntimeError:  # the loop is closed: nobody is left to be told
        pass


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
