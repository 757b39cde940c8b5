"""A compositor's process, as its parent sees it: started, fed, listened to, ended.

The way to it is bounded. What it does not read waits in a queue; when that is full, all pictures in it are thrown away,
and those of each stream up to its next key frame, which is asked for. One that reads or reports nothing for too long
hangs, and is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, cast

from headwater.errors import ProtocolError
from headwater.meetings.compositor import wire
from headwater.meetings.compositor.settings import CompositorSettings
from headwater.meetings.rooms.forwarding.keyframe import STARTS
from headwater.meetings.tap import Kind, RoomSnapshot, SourceName, Tap, TapCodec
from headwater.protocols.rtp.packet import payload_of

HANGS_S = 10.0
"""Without a report, which comes every second; its start takes one or two on a busy machine."""

WATCH_S = 1.0
SOCKET_BYTES = 256 * 1024
"""Given to the system at once."""

TrackKey = tuple[str, SourceName, Kind, str]


class _Message(NamedTuple):
    data: bytes
    kind: wire.Type
    video: int | None
    """Track number, for what may be left out."""


class CompositorProcess(asyncio.Protocol):
    """One process.

    Attributes:
        dropped: RTP packets that were left out.
    """

    def __init__(self, tap: Tap, settings: CompositorSettings, heard: Callable[[wire.Report], None]) -> None:
        self.dropped = 0
        self._tap = tap
        self._limit = settings.queue_bytes
        self._heard = heard
        self._process: Process | None = None
        self._transport: asyncio.Transport | None = None
        self._reader = wire.Reader()
        self._fatal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._tracks: dict[TrackKey, int] = {}
        self._keys: dict[int, TrackKey] = {}
        self._numbers = 0
        self._waiting_for_key: set[int] = set()
        self._queue: deque[_Message] = deque()
        self._queued = 0
        self._paused = self._flushing = False
        self._alive_s = time.monotonic()

    @property
    def pid(self) -> int:
        assert self._process is not None, "started"
        return self._process.pid

    async def start(self) -> None:
        """
        Raises:
            OSError: the process cannot be started.
        """
        ours, theirs = socket.socketpair()
        # -P: the working folder is no place to import from.
        command = (sys.executable, "-P", "-m", "headwater.meetings.compositor")
        try:
            with theirs:
                self._process = await asyncio.create_subprocess_exec(
                    *command, stdin=theirs.fileno(), stdout=asyncio.subprocess.DEVNULL
                )
            ours.setblocking(False)
            transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, sock=ours)
        except BaseException:
            ours.close()
            await self.stop(0)
            raise
        self._transport = transport
        transport.set_write_buffer_limits(SOCKET_BYTES)

    async def ended(self) -> tuple[str, bool]:
        """Wait until it has ended or hangs; returns why, and whether a new start would be in vain."""
        assert self._process is not None, "started"
        exit_ = asyncio.ensure_future(self._process.wait())
        try:
            while True:
                done, _ = await asyncio.wait((exit_, self._fatal), timeout=WATCH_S, return_when=asyncio.FIRST_COMPLETED)
                if self._fatal in done:
                    return self._fatal.result(), True
                if exit_ in done:
                    # What it said last may still be in the socket.
                    await asyncio.wait((self._fatal,), timeout=0.1)
                    return (self._fatal.result(), True) if self._fatal.done() else (_words(exit_.result()), False)
                if time.monotonic() - self._alive_s > HANGS_S:
                    return f"it has not been heard for {HANGS_S:g} s", False
        finally:
            exit_.cancel()

    async def stop(self, timeout_s: float) -> None:
        """End it: SIGTERM, and SIGKILL after `timeout_s`. Idempotent; returns when it has been reaped."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM if timeout_s else signal.SIGKILL)
            try:
                await asyncio.wait_for(process.wait(), timeout_s or None)
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    # What it is told.

    def send(self, kind: wire.Type, data: bytes) -> None:
        """Queue a message that is not left out."""
        self._put(_Message(data, kind, None))

    def state(self, snapshot: RoomSnapshot) -> None:
        """The room as it is now; who left takes their tracks along, on both sides."""
        here = {one.id for one in snapshot.participants}
        for key in [key for key in self._tracks if key[0] not in here]:
            number = self._tracks.pop(key)
            del self._keys[number]
            self._waiting_for_key.discard(number)
        if self._paused:
            self._queue = deque(one for one in self._queue if one.kind is not wire.Type.STATE)
            self._queued = sum(len(one.data) for one in self._queue)
        self.send(wire.Type.STATE, wire.message(wire.Type.STATE, snapshot))

    def rtp(self, participant_id: str, source: SourceName, kind: Kind, codec: TapCodec, packet: bytes) -> None:
        """Hot: each packet of the meeting."""
        key = participant_id, source, kind, codec.name
        number = self._tracks.get(key)
        if number is None:
            number = self._number(key, codec.clock_rate)
        if kind == "video":
            if self._waiting_for_key and number in self._waiting_for_key:
                if not _starts(codec.name, packet):
                    self.dropped += 1
                    return
                self._waiting_for_key.discard(number)
            self._put(_Message(wire.rtp(number, time.monotonic_ns() // 1000, packet), wire.Type.RTP, number))
        else:
            self._put(_Message(wire.rtp(number, time.monotonic_ns() // 1000, packet), wire.Type.RTP, None))

    def rtcp(self, participant_id: str, source: SourceName, compound: bytes) -> None:
        """Sender reports; before the first packet of a sender they say nothing."""
        for key, number in self._tracks.items():
            if key[:2] == (participant_id, source):
                self._put(_Message(wire.rtcp(number, compound), wire.Type.RTCP, None))
                return

    def _number(self, key: TrackKey, clock_rate: int) -> int:
        self._numbers = number = (self._numbers + 1) & 0xFFFF
        if stale := self._keys.pop(number, None):  # after 65,535 others
            self._tracks.pop(stale, None)
        self._tracks[key], self._keys[number] = number, key
        participant, source, kind, codec = key
        track = wire.Track(number, participant, source, kind, codec, clock_rate)
        self.send(wire.Type.TRACK, wire.message(wire.Type.TRACK, track))
        return number

    def _put(self, message: _Message) -> None:
        if self._queued + len(message.data) > self._limit:
            self._overflow()
            if message.video is not None or (message.kind is wire.Type.RTP and self._queued > self._limit):
                self.dropped += 1
                return
        self._queue.append(message)
        self._queued += len(message.data)
        if not self._paused and not self._flushing:
            self._flushing = True
            asyncio.get_running_loop().call_soon(self._flush)

    def _overflow(self) -> None:
        """Throw the pictures away, or all media where that is not enough; ask for key frames."""
        videos = {number for number, key in self._keys.items() if key[2] == "video"}
        for number in videos - self._waiting_for_key:
            participant, source, _, _ = self._keys[number]
            self._tap.request_keyframe(participant, source)
        self._waiting_for_key |= videos
        kept = deque(one for one in self._queue if one.video is None)
        if sum(len(one.data) for one in kept) > self._limit // 2:
            kept = deque(one for one in kept if one.kind in (wire.Type.JOB, wire.Type.TRACK, wire.Type.STATE))
        self.dropped += len(self._queue) - len(kept)
        self._queue, self._queued = kept, sum(len(one.data) for one in kept)

    def _flush(self) -> None:
        self._flushing = False
        if self._transport is None or self._transport.is_closing():
            self._queue.clear()
            self._queued = 0
            return
        while self._queue and not self._paused:
            batch = bytearray()
            while self._queue and len(batch) < SOCKET_BYTES:
                batch += self._queue.popleft().data
            self._queued -= len(batch)
            self._transport.write(batch)  # may call pause_writing

    # What it says: asyncio.Protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        try:
            for kind, body in self._reader.feed(data):
                self._message(kind, body)
        except ProtocolError as error:
            if not self._fatal.done():
                self._fatal.set_result(f"the compositor speaks another language: {error}")

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush()

    def _message(self, kind: int, body: bytes) -> None:
        if kind == wire.Type.STATE:
            self._alive_s = time.monotonic()
            self._heard(wire.read(body, wire.Report))
        elif kind == wire.Type.KEYFRAME:
            key = self._keys.get(int.from_bytes(body[: wire.TRACK_HEAD.size], "big"))
            if key is not None:
                self._tap.request_keyframe(key[0], key[1])
        elif kind == wire.Type.FATAL and not self._fatal.done():
            self._fatal.set_result(wire.read(body, wire.Fatal).reason)


def _starts(codec: str, packet: bytes) -> bool:
    starts = STARTS.get(codec)
    try:
        return starts is None or starts(payload_of(packet))
    except ProtocolError:
        return False


def _words(code: int) -> str:
    """An exit code for people."""
    if code >= 0:
        return f"its process ended with code {code}"
    try:
        return f"its process was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"its process was ended by signal {-code}"
