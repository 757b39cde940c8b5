"""Publish FLV tags to an RTMP server: our own client session over asyncio, the media from a thread."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from headwater.errors import CallerError, HeadwaterError, PublishRefused
from headwater.protocols.rtmp.client import ClientSession, ClientState, PublishUrl, parse_url
from headwater.protocols.rtmp.handshake import RANDOM_SIZE
from headwater.testcard.flv_stream import AUDIO, VIDEO, Tag

QUEUE_LIMIT = 256
"""Tags between the thread that makes them and the socket, about three seconds: a server that reads slower loses us."""

CONNECT_TIMEOUT_S = 10.0
SEND_TIMEOUT_S = 10.0
READ_SIZE = 65_536
FIRST_RETRY_S, LONGEST_RETRY_S = 0.5, 10.0

Tags = Callable[[], Iterator[tuple[float, Tag]]]


class ConnectionFailed(HeadwaterError):
    """The server cannot be reached, or the connection broke: worth another try."""


@dataclass(slots=True)
class Progress:
    """What has been sent so far, for whoever shows it."""

    connected: bool = False
    tags: int = 0
    bytes: int = 0
    media_ms: int = 0
    reconnects: int = 0


async def publish(
    url: str,
    tags: Tags,
    *,
    reconnect: bool = True,
    insecure: bool = False,
    progress: Progress | None = None,
) -> None:
    """Publish until the tags end; comes back after a broken connection with a fresh iterator.

    Raises:
        PublishRefused: the server refused, with its reason; not retried.
        ConnectionFailed: only without `reconnect`.
        CallerError: the URL or the file cannot be used.
    """
    target, progress, wait = parse_url(url), progress or Progress(), FIRST_RETRY_S
    while True:
        try:
            await _once(target, tags, insecure, progress)
            return
        except ConnectionFailed:
            if not reconnect:
                raise
            wait = FIRST_RETRY_S if progress.connected else min(wait * 2, LONGEST_RETRY_S)
            progress.connected = False
            progress.reconnects += 1
            await asyncio.sleep(wait)


async def _once(target: PublishUrl, tags: Tags, insecure: bool, progress: Progress) -> None:
    reader, writer = await _connect(target, insecure)
    session = ClientSession(target, random=os.urandom(RANDOM_SIZE))
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while session.state is not ClientState.PUBLISHING:
                await _exchange(session, reader, writer)
        progress.connected = True
        await _send_all(session, reader, writer, tags, progress)
    except TimeoutError:
        raise ConnectionFailed(f"{target.host}:{target.port} does not answer") from None
    except OSError as error:
        raise ConnectionFailed(f"the connection to {target.host}:{target.port} broke: {error}") from error
    finally:
        writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            await asyncio.wait_for(writer.wait_closed(), 2)


async def _connect(target: PublishUrl, insecure: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = None
    if target.tls:
        context = ssl.create_default_context()
        if insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await asyncio.open_connection(target.host, target.port, ssl=context)
    except ssl.SSLCertVerificationError as error:
        raise CallerError(f"the certificate of {target.host} is not trusted: {error.verify_message}") from error
    except (OSError, TimeoutError) as error:
        raise ConnectionFailed(f"cannot connect to {target.host}:{target.port}: {error or 'no answer'}") from error


async def _exchange(session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send what is to be sent, read once."""
    writer.write(session.data_to_send())
    data = await reader.read(READ_SIZE)
    if not data:
        raise ConnectionFailed("the server closed the connection")
    session.receive_data(data)
    writer.write(session.data_to_send())


async def _send_all(
    session: ClientSession,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    tags: Tags,
    progress: Progress,
) -> None:
    listening = asyncio.create_task(_listen(session, reader, writer))
    feed = Feed(tags)
    try:
        while True:
            following = asyncio.create_task(feed.get())
            await asyncio.wait({following, listening}, return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                following.cancel()
                listening.result()
                raise ConnectionFailed("the server closed the connection")
            tag = following.result()
            if tag is None:
                break
            _send(session, tag)
            data = session.data_to_send()
            writer.write(data)
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await writer.drain()
            progress.tags += 1
            progress.bytes += len(data)
            progress.media_ms = tag.time_ms
        session.finish()
        writer.write(session.data_to_send())
        await writer.drain()
        await asyncio.wait({listening}, timeout=1)  # let the server say that it is done
    finally:
        feed.stop()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError, HeadwaterError, OSError):
            await listening


def _send(session: ClientSession, tag: Tag) -> None:
    if tag.kind == VIDEO:
        session.send_video(tag.time_ms, tag.body)
    elif tag.kind == AUDIO:
        session.send_audio(tag.time_ms, tag.body)


async def _listen(session: ClientSession, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read what the server says while we publish: acknowledgements, pings, and why it ends us."""
    while True:
        data = await reader.read(READ_SIZE)
        if not data:
            return
        session.receive_data(data)
        writer.write(session.data_to_send())


class Feed:
    """Runs an iterator of tags in a thread of its own, and hands them over in order."""

    def __init__(self, tags: Tags) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Tag | BaseException | None] = asyncio.Queue()
        self._room = threading.Semaphore(QUEUE_LIMIT)
        self._stopped = threading.Event()
        self._tags = tags
        threading.Thread(target=self._run, name="publish-feed", daemon=True).start()

    async def get(self) -> Tag | None:
        """The next tag when it is due; None at the end."""
        item = await self._queue.get()
        self._room.release()
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        ending: BaseException | None = None
        try:
            for _, tag in self._tags():
                while not self._room.acquire(timeout=0.2):
                    if self._stopped.is_set():
                        return
                if self._stopped.is_set():
                    return
                self._put(tag)
        except Exception as error:
            ending = error
        self._put(ending)

    def _put(self, item: Tag | BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)


__all__ = ["ConnectionFailed", "Progress", "PublishRefused", "publish"]
