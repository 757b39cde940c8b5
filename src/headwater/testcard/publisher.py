"""Send a source to an RTMP(S) server, in real time, and come back when the connection is lost.

    source (thread, paces itself) ──queue──► sender (event loop) ──ClientSession──► socket

While there is no connection the source goes on and its tags are thrown away. A new connection begins with the newest
sequence headers and the next sync sample; its timestamps start at 0.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from headwater.errors import OperatorError, ProtocolError
from headwater.protocols.rtmp.client import ClientSession, PublishUrl
from headwater.protocols.rtmp.handshake import RANDOM_SIZE, NotRtmp
from headwater.testcard.clock import Clock, WallClock
from headwater.testcard.connection import NoTls, distrust, listen, negotiate, open_connection, tls_context, words
from headwater.testcard.tags import VIDEO, Tag

QUEUE_TAGS = 512
"""Between source and sender: some seconds of picture and sound; a source that is further ahead waits."""

MAX_UNSENT_BYTES = 4 * 1024 * 1024
"""What the network has not taken yet: 13 s at 2.5 Mbit/s. Beyond it, pictures are left out up to a sync sample."""

PUBLISH_TIMEOUT_S = 15.0
GOODBYE_TIMEOUT_S = 2.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0


class Source(Protocol):
    """What can be sent."""

    @property
    def skipped(self) -> int:
        """Frames left out because the machine was too slow."""

    @property
    def has_video(self) -> bool:
        """A connection begins at a sync sample of the picture."""

    def describe(self) -> str:
        """One line for people."""

    def metadata(self) -> Mapping[str, object]:
        """Values for onMetaData."""

    def request_sync(self) -> None:
        """Make the next picture a sync sample, if that can be asked for. From any thread."""

    def tags(self, clock: Clock) -> Iterator[Tag]:
        """The tags, each when its time has come. Runs in a thread of its own."""


@dataclass(slots=True)
class Progress:
    """How it goes; one object, updated in place.

    Attributes:
        state: `connecting`, `publishing`, `waiting` (to connect again) or `ended`.
        reason: Why it is waiting, in words.
        sent_bytes: Media payload sent, over all connections.
        media_ms: Media time sent on all connections.
        video_frames: Pictures sent.
        dropped: Pictures left out because the network was too slow, or while there was no connection.
        connections: How often publishing began.
    """

    state: str = "connecting"
    reason: str = ""
    sent_bytes: int = 0
    media_ms: int = 0
    video_frames: int = 0
    dropped: int = 0
    connections: int = 0


class Publisher:
    """One source on its way to one URL.

    Args:
        insecure: With RTMPS, do not verify the server's certificate.
        reconnect: Come back when the connection is lost or cannot be made.
        changed: Called at every change of `progress.state`.
    """

    def __init__(
        self,
        source: Source,
        url: PublishUrl,
        *,
        insecure: bool = False,
        reconnect: bool = True,
        changed: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self.progress = Progress()
        self._source = source
        self._url = url
        self._insecure = insecure
        self._reconnect = reconnect
        self._changed = changed
        self._clock = WallClock()
        self._room = threading.Semaphore(QUEUE_TAGS)
        self._tags: asyncio.Queue[Tag | BaseException | None] = asyncio.Queue()
        self._setup: dict[tuple[int, int], Tag] = {}
        self._thread: threading.Thread | None = None

    async def run(self) -> Progress:
        """Publish until the source ends or the task is cancelled.

        Raises:
            PublishRefused: the server understood and refused; there is no second try.
            OperatorError: the server cannot be reached (without `reconnect`), speaks another protocol, its certificate
                is not trusted, or the source fails.
        """
        pause_s = FIRST_PAUSE_S
        try:
            while True:
                began = self.progress.connections
                try:
                    await self._once()
                    self._change("ended")
                    return self.progress
                except ssl.SSLCertVerificationError as error:
                    raise OperatorError(distrust(error)) from error
                except (NotRtmp, NoTls) as error:
                    raise OperatorError(f"{self._url.host}:{self._url.port}: {words(error)}") from error
                except (OSError, ProtocolError, EOFError, TimeoutError) as error:
                    why = f"{self._url.host}:{self._url.port}: {words(error)}"
                    if not self._reconnect:
                        raise OperatorError(f"the connection failed: {why}") from error
                if self.progress.connections > began:
                    pause_s = FIRST_PAUSE_S
                self._change("waiting", f"{why}; trying again in {pause_s:g} s")
                await self._pause(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        finally:
            self._clock.stop()
            self._room.release(QUEUE_TAGS)
            if self._thread is not None:
                await asyncio.to_thread(self._thread.join)

    async def _pause(self, seconds: float) -> None:
        """Wait, throwing away what the source makes meanwhile."""
        deadline = asyncio.get_running_loop().time() + seconds
        while (left := deadline - asyncio.get_running_loop().time()) > 0:
            try:
                tag = await asyncio.wait_for(self._next(), left)
            except TimeoutError:
                return
            if tag is None:
                await self._tags.put(None)
                return
            self.progress.dropped += tag.type_id == VIDEO

    async def _once(self) -> None:
        """One connection, from its opening to the end of the source."""
        self._change("connecting")
        context = tls_context(self._insecure) if self._url.tls else None
        reader, writer = await open_connection(self._url, context)
        session = ClientSession(self._url, random=os.urandom(RANDOM_SIZE))
        try:
            await asyncio.wait_for(negotiate(session, reader, writer), PUBLISH_TIMEOUT_S)
            self.progress.connections += 1
            self._change("publishing")
            await self._send_all(session, reader, writer)
        finally:
            with contextlib.suppress(OSError, TimeoutError):
                session.finish()
                writer.write(session.data_to_send())
                writer.close()
                await asyncio.wait_for(writer.wait_closed(), GOODBYE_TIMEOUT_S)

    async def _send_all(
        self, session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        listening = asyncio.create_task(listen(session, reader, writer))
        sending = asyncio.create_task(self._send(session, writer))
        try:
            await asyncio.wait((listening, sending), return_when=asyncio.FIRST_COMPLETED)
            # A refusal in words is worth more than the broken pipe that follows it.
            if not listening.done() and sending.exception() is not None:
                await asyncio.wait((listening,), timeout=1.0)
            if listening.done():
                listening.result()
            sending.result()
        finally:
            for task in (listening, sending):
                task.cancel()
            await asyncio.gather(listening, sending, return_exceptions=True)

    async def _send(self, session: ClientSession, writer: asyncio.StreamWriter) -> None:
        self._start_source()
        session.send_metadata(self._source.metadata())
        for known in self._setup.values():
            _put(session, known, 0)
        self._source.request_sync()
        base_ms: int | None = None
        before_ms = self.progress.media_ms
        wait_for_sync = self._source.has_video
        while (tag := await self._next()) is not None:
            if tag.setup is not None:
                _put(session, tag, 0 if base_ms is None else max(0, tag.timestamp_ms - base_ms))
                continue
            if writer.transport.get_write_buffer_size() > MAX_UNSENT_BYTES and tag.type_id == VIDEO:
                wait_for_sync = True
            if wait_for_sync and not tag.is_sync:
                self.progress.dropped += tag.type_id == VIDEO
                if tag.type_id == VIDEO or base_ms is None:
                    continue
            wait_for_sync = wait_for_sync and not tag.is_sync
            base_ms = tag.timestamp_ms if base_ms is None else base_ms
            timestamp_ms = max(0, tag.timestamp_ms - base_ms)
            _put(session, tag, timestamp_ms)
            writer.write(session.data_to_send())
            if writer.is_closing():
                raise ConnectionResetError("the server closed the connection")
            self._count(tag, before_ms + timestamp_ms)
        writer.write(session.data_to_send())
        await writer.drain()

    def _count(self, tag: Tag, media_ms: int) -> None:
        self.progress.sent_bytes += len(tag.body)
        self.progress.media_ms = max(self.progress.media_ms, media_ms)
        self.progress.video_frames += tag.type_id == VIDEO

    async def _next(self) -> Tag | None:
        """The next tag; None at the source's end."""
        item = await self._tags.get()
        self._room.release()
        if isinstance(item, BaseException):
            raise item
        if item is not None and item.setup is not None:
            self._setup[item.setup] = item
        return item

    def _start_source(self) -> None:
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._produce, args=(loop,), name="source", daemon=True)
            self._thread.start()

    def _produce(self, loop: asyncio.AbstractEventLoop) -> None:
        last: BaseException | None = None
        try:
            for tag in self._source.tags(self._clock):
                self._room.acquire()
                if not self._clock.wait_until(0):
                    return
                loop.call_soon_threadsafe(self._tags.put_nowait, tag)
        except Exception as error:
            last = error
        with contextlib.suppress(RuntimeError):  # the loop is gone: nobody wants the end
            loop.call_soon_threadsafe(self._tags.put_nowait, last)

    def _change(self, state: str, reason: str = "") -> None:
        self.progress.state, self.progress.reason = state, reason
        self._changed(self.progress)


def _put(session: ClientSession, tag: Tag, timestamp_ms: int) -> None:
    send = session.send_video if tag.type_id == VIDEO else session.send_audio
    send(timestamp_ms, tag.body)
