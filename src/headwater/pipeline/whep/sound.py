"""Sound to Opus for viewers by WebRTC: decoded and coded in a process of its own, one for each livestream watched so.

The process starts with the first access unit and ends with the last viewer. One that dies is replaced, `RESTARTS`
times; then the picture goes on without sound. Nothing here waits: what the process does not take in time is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import sys
from collections.abc import Callable

from headwater.media.track import AudioConfig

UNIT = struct.Struct(">Id")
"""Before each access unit and each Opus packet: its size, and when it is due (milliseconds)."""

MAX_UNIT_BYTES = 64 * 1024
"""Longest access unit or packet: AAC has 6,144 bits a channel and frame at most, 48 channels."""

MAX_UNSENT_BYTES = 64 * 1024
"""What may wait for the process: more than a second of any sound."""

MAX_BEHIND_MS = 150.0
"""Packets this far behind the newest access unit are dropped: what has waited for the process to start would make every
viewer's buffer grow, and the picture wait for it. In steady state a packet is 50 ms behind."""

RESTARTS = 3
MEMORY_LIMIT_BYTES = 1024 * 1024 * 1024
"""Address space of the process: FFmpeg's code takes 300 MB."""

_log = logging.getLogger("headwater.whep")


class SoundCoder:
    """One livestream's sound, made Opus."""

    def __init__(self, config: AudioConfig, deliver: Callable[[float, bytes], None]) -> None:
        """`deliver` gets when a packet is due, and the packet (20 ms, stereo), in the event loop."""
        self._config = config
        self._deliver = deliver
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None
        self._newest_ms = 0.0
        self._closed = False

    def push(self, due_ms: float, payload: bytes) -> None:
        """Take one access unit."""
        if self._closed or len(payload) > MAX_UNIT_BYTES:
            return
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="whep-sound")
        self._newest_ms = due_ms
        process = self._process
        if process is None or process.stdin is None:
            return  # it starts
        if process.stdin.transport.get_write_buffer_size() < MAX_UNSENT_BYTES:
            process.stdin.write(UNIT.pack(len(payload), due_ms) + payload)

    def close(self) -> None:
        """End the process. Idempotent."""
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        for attempt in range(1 + RESTARTS):
            try:
                await self._serve()
            except (OSError, EOFError) as error:
                _log.warning("the process that makes a livestream's sound Opus has ended (%d): %s", attempt + 1, error)
        _log.error("a livestream's sound cannot be made Opus: who watches it by WebRTC does not hear it")
        self._closed = True

    async def _serve(self) -> None:
        """One life of the process."""
        record = self._config.record.hex() or "-"
        command = (sys.executable, "-P", "-m", "headwater.pipeline.whep.sound_worker", self._config.codec.value, record)
        process = await asyncio.create_subprocess_exec(
            *command,
            str(self._config.sample_rate),
            str(self._config.channels),
            str(MEMORY_LIMIT_BYTES),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None, "started with pipes"
            self._process = process
            while True:
                size, due_ms = UNIT.unpack(await process.stdout.readexactly(UNIT.size))
                if size > MAX_UNIT_BYTES:
                    raise EOFError("not a packet")
                packet = await process.stdout.readexactly(size)
                if self._newest_ms - due_ms < MAX_BEHIND_MS:
                    self._deliver(due_ms, packet)
        finally:
            self._process = None
            if process.returncode is None:
                try:
                    process.kill()
                except ProcessLookupError:  # it went in between
                    pass
            await asyncio.shield(asyncio.ensure_future(process.wait()))
