"""Pictures of a livestream, and how loud it is: decoded in a process of its own.

A decoder is where hostile media does its harm, so it runs apart from the server, with limits on memory and time. The
process starts with the first question, is killed and replaced when it hangs or dies, ends when it has had nothing to do
for a while, and ends by itself when the server is gone (its standard input ends). Caching is the caller's.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from headwater.errors import LimitReached, OperatorError, PublisherError
from headwater.pipeline.sound import Level, Window

# What is asked for, width, size; then an init segment and a fragment, or `Window`s in MessagePack.
REQUEST = struct.Struct(">BII")
ASK_JPEG = 1
ASK_LEVELS = 2

REPLY = struct.Struct(">BI")  # status, size; then the JPEG, the `Level`s in MessagePack, or a sentence in UTF-8
STATUS_DONE = 0
STATUS_NOTHING = 1

# One part: half a second at 100 Mbit/s and more.
MAX_MEDIA_SIZE = 16 * 1024 * 1024
MAX_REPLY_SIZE = 16 * 1024 * 1024
MIN_WIDTH, MAX_WIDTH = 16, 3840


_encoder = msgspec.msgpack.Encoder()
_levels = msgspec.msgpack.Decoder(list[Level | None])


class DecoderDied(PublisherError):
    """Media killed its decoder, or held it up for too long."""


@dataclass(frozen=True, slots=True)
class ThumbnailSettings:
    """Limits of the decoding process.

    Attributes:
        timeout_ms: One picture, the process's start (about half a second) included; a 4K key frame takes 100 ms.
        idle_ms: How long the process stays with nothing to do; it holds some 60 MB.
        waiting_limit: Pictures that wait for the one process; the caller's cache makes it one a livestream.
        memory_limit_bytes: Address space of the process: FFmpeg's code takes 300 MB, a 4K decoder 200 MB.
        cpu_limit_s: CPU time of one picture, should nobody be left to enforce the timeout.
    """

    timeout_ms: int = 5000
    idle_ms: int = 60_000
    waiting_limit: int = 64
    memory_limit_bytes: int = 1024 * 1024 * 1024
    cpu_limit_s: int = 10


class Thumbnailer:
    """Makes JPEGs and measures sound, one request at a time."""

    def __init__(self, settings: ThumbnailSettings | None = None) -> None:
        self.settings = settings or ThumbnailSettings()
        self._process: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._idle: asyncio.TimerHandle | None = None
        self._stopped = False

    async def jpeg(self, init: bytes, fragment: bytes, *, width: int) -> bytes:
        """Decode the first sync sample of a fragment.

        Args:
            init: The track's init segment.
            fragment: moof + mdat, the first sample a sync sample.
            width: Of the picture, in pixels; a smaller video is not enlarged. The height follows.

        Raises:
            PublisherError: the media yields no picture, in time or at all.
            LimitReached: too many wait, or the media is too large.
            OperatorError: the process cannot be started.
        """
        if len(init) + len(fragment) > MAX_MEDIA_SIZE:
            raise LimitReached("MAX_MEDIA_SIZE", f"a picture of more than {MAX_MEDIA_SIZE} bytes of media")
        width = max(MIN_WIDTH, min(width, MAX_WIDTH))
        status, reply = await self._in_turn(ASK_JPEG, width, init + fragment)
        if status != STATUS_DONE:
            raise PublisherError(f"the media yields no picture: {reply.decode('utf-8', 'replace')}")
        return reply

    async def levels(self, windows: Sequence[Window]) -> list[Level | None]:
        """How loud windows of sound are; None for those that cannot be decoded.

        Raises:
            DecoderDied: the decoder died or hung of one of them.
            LimitReached, OperatorError: as `jpeg`.
        """
        body = _encoder.encode(windows)
        if len(body) > MAX_MEDIA_SIZE:
            raise LimitReached("MAX_MEDIA_SIZE", f"sound of more than {MAX_MEDIA_SIZE} bytes")
        status, reply = await self._in_turn(ASK_LEVELS, 0, body)
        if status != STATUS_DONE:
            raise OperatorError(f"sound cannot be decoded here: {reply.decode('utf-8', 'replace')}")
        return _levels.decode(reply)

    async def _in_turn(self, kind: int, width: int, body: bytes) -> tuple[int, bytes]:
        if self._stopped or self._waiting >= self.settings.waiting_limit:
            raise LimitReached("waiting_limit", "too many pictures wait to be decoded")
        self._waiting += 1
        try:
            async with self._turn:
                return await self._ask(REQUEST.pack(kind, width, len(body)) + body)
        finally:
            self._waiting -= 1

    async def stop(self) -> None:
        """End the process. Idempotent."""
        self._stopped = True
        await self._kill()

    async def _ask(self, request: bytes) -> tuple[int, bytes]:
        """One request; whatever goes wrong half way costs the process, so that the next one starts clean."""
        if self._idle is not None:
            self._idle.cancel()
        try:
            async with asyncio.timeout(self.settings.timeout_ms / 1000):
                process = await self._running()
                answer = await _exchange(process, request)
        except TimeoutError as error:
            await self._kill()
            raise DecoderDied("the media yields no picture: its decoder took too long") from error
        except (EOFError, ConnectionError) as error:
            await self._kill()
            raise DecoderDied("the media yields no picture: its decoder died") from error
        except BaseException:
            await self._kill()
            raise
        self._idle = asyncio.get_running_loop().call_later(self.settings.idle_ms / 1000, self._end_idle)
        return answer

    async def _running(self) -> asyncio.subprocess.Process:
        """The process, started if need be."""
        if self._process is not None and self._process.returncode is None:
            return self._process
        limits = (str(self.settings.memory_limit_bytes), str(self.settings.cpu_limit_s))
        # -P: the working folder is no place to import from.
        command = (sys.executable, "-P", "-m", "headwater.pipeline.origin.thumbnail_worker", *limits)
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            self._process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=nowhere)
        except OSError as error:
            raise OperatorError(f"the decoder of pictures cannot be started: {error.strerror}") from error
        return self._process

    async def _kill(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            try:
                process.kill()
            except ProcessLookupError:  # it went in between
                pass
        # Its transport closes both pipes when it has been waited for.
        await asyncio.shield(asyncio.ensure_future(process.wait()))

    def _end_idle(self) -> None:
        """The end of its standard input ends the process; the child watcher reaps it."""
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()


async def _exchange(process: asyncio.subprocess.Process, request: bytes) -> tuple[int, bytes]:
    """Send one request, read its reply.

    Raises:
        EOFError, ConnectionError: the process died.
    """
    assert process.stdin is not None, "started with pipes"
    assert process.stdout is not None, "started with pipes"
    process.stdin.write(request)
    await process.stdin.drain()
    status, size = REPLY.unpack(await process.stdout.readexactly(REPLY.size))
    if size > MAX_REPLY_SIZE:
        raise EOFError("not a reply")
    return status, await process.stdout.readexactly(size)
