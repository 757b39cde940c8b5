"""A recording at a glance: one JPEG with a picture of each few seconds, and a WebVTT file that says which is where.

Players show them while one drags along the time line. They are made when somebody asks for the first time, by one
process at a time of low priority, and kept beside the recording.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from headwater.errors import LimitReached, OperatorError, PublisherError
from headwater.pipeline.recorder.files import SPRITES

TILES_LIMIT = 100
COLUMNS = 10
TILE_WIDTH = 160
TILE_HEIGHT_LIMIT = 320
LEAST_INTERVAL_S = 2.0
"""Sync samples are about so far apart: more pictures would be the same ones."""

TIMEOUT_S = 120.0
CPU_LIMIT_S = 60
MEMORY_LIMIT_BYTES = 1 << 30
"""FFmpeg's code takes 300 MB of address space, a 4K decoder 200 MB."""

WAITING_LIMIT = 16
"""Recordings that wait for the one process."""

REPLY_LIMIT_BYTES = 16 << 20


class Sheet(msgspec.Struct, frozen=True):
    """What is on a sheet; `error` where there is none.

    Attributes:
        tiles: Row by row, `COLUMNS` in each.
        seconds: Of the whole recording.
    """

    tiles: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    error: str = ""


def interval_s(seconds: float) -> float:
    """From a picture to the next."""
    return max(LEAST_INTERVAL_S, seconds / TILES_LIMIT)


def tile_times(seconds: float) -> list[float]:
    """Where the pictures are taken: one at least."""
    step = interval_s(seconds)
    return [number * step for number in range(max(1, min(TILES_LIMIT, int(seconds / step + 0.999))))]


def webvtt(sheet: Sheet, picture: str) -> str:
    """The index of a sheet (WebVTT; the fragments are Media Fragments' `xywh`).

    Args:
        picture: URL of the JPEG, relative to that of this text.
    """
    step = interval_s(sheet.seconds)
    cues = ["WEBVTT\n"]
    for number in range(sheet.tiles):
        end = sheet.seconds if number == sheet.tiles - 1 else (number + 1) * step
        x, y = number % COLUMNS * sheet.width, number // COLUMNS * sheet.height
        place = f"{picture}#xywh={x},{y},{sheet.width},{sheet.height}"
        cues.append(f"{clock(number * step)} --> {clock(max(end, number * step + 0.001))}\n{place}\n")
    return "\n".join(cues)


def clock(seconds: float) -> str:
    """`00:01:02.500`"""
    ms = round(seconds * 1000)
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"


PICTURE, INDEX = SPRITES


def sprite_path(recording: Path, name: str) -> Path:
    """Where `PICTURE` or `INDEX` of a recording stands: beside it."""
    return recording.with_name(f"{recording.name}.{name}")


class SpriteMaker:
    """Makes sheets, one at a time; who asks for one that is being made waits for it."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._under_way: dict[Path, asyncio.Task[None]] = {}

    async def get(self, recording: Path, name: str) -> Path:
        """The file `PICTURE` or `INDEX` of a recording, made if need be.

        Raises:
            LimitReached: too many wait.
            PublisherError: the media yields no pictures.
            OperatorError: files or process fail.
        """
        path = sprite_path(recording, name)
        if not await asyncio.to_thread(path.exists):
            task = self._under_way.get(recording)
            if task is None:
                if len(self._under_way) >= WAITING_LIMIT:
                    raise LimitReached("WAITING_LIMIT", "too many recordings wait for their pictures")
                task = asyncio.get_running_loop().create_task(self._make(recording))
                self._under_way[recording] = task
                task.add_done_callback(lambda done: self._done(recording, done))
            await asyncio.shield(task)
        return path

    def _done(self, recording: Path, task: asyncio.Task[None]) -> None:
        del self._under_way[recording]
        if not task.cancelled():
            task.exception()  # whoever asked may have gone

    async def stop(self) -> None:
        """End what is under way."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _make(self, recording: Path) -> None:
        async with self._turn:
            out = await self._run(recording)
        head, _, picture = out.partition(b"\n")
        try:
            sheet = msgspec.json.decode(head, type=Sheet)
        except msgspec.MsgspecError as error:
            raise PublisherError("the recording yields no pictures: its decoder died") from error
        if sheet.error or not picture:
            raise PublisherError(f"the recording yields no pictures: {sheet.error}")
        await asyncio.to_thread(_keep, recording, sheet, picture)

    async def _run(self, recording: Path) -> bytes:
        command = (sys.executable, "-P", "-m", "headwater.pipeline.recorder.sprite_worker", str(recording))
        pipe, nowhere = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        try:
            process = await asyncio.create_subprocess_exec(*command, stdin=nowhere, stdout=pipe, stderr=nowhere)
        except OSError as error:
            raise OperatorError(f"the decoder of pictures cannot be started: {error.strerror}") from error
        assert process.stdout is not None, "started with a pipe"
        try:
            async with asyncio.timeout(TIMEOUT_S):
                out = bytearray()
                while chunk := await process.stdout.read(1 << 16):
                    out += chunk
                    if len(out) > REPLY_LIMIT_BYTES:
                        raise PublisherError("the recording yields too large a picture")
                await process.wait()
        except TimeoutError as error:
            raise PublisherError("the recording yields no pictures in time") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return bytes(out)


def _keep(recording: Path, sheet: Sheet, picture: bytes) -> None:
    """Write both files, each whole or not at all; not where the recording has gone meanwhile."""
    try:
        for name, content in ((PICTURE, picture), (INDEX, webvtt(sheet, PICTURE).encode())):
            if not recording.exists():
                raise OperatorError(f"{recording.name} is gone")
            path = sprite_path(recording, name)
            draft = path.with_name(path.name + ".new")
            draft.write_bytes(content)
            draft.replace(path)
    except OSError as error:
        raise OperatorError(f"the pictures of {recording.name} cannot be kept: {error.strerror}") from error
