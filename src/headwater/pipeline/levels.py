"""How loud livestreams are: once a second, a window of each is decoded, all of them together, in another process.

A window is some frames of what has come since the last one, where most bytes are: what is loud takes more of them than
silence, unless the bitrate is constant. That is enough for levels and clipping, at a tenth of the price of decoding
everything. Where it is quiet, all frames of the next second are decoded, so that nothing is called silent that was not
heard. What kills the decoder is found out by asking for each by itself, and is not asked for again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeAlias

from headwater.errors import HeadwaterError
from headwater.media.cmaf import Part
from headwater.media.track import AudioConfig
from headwater.pipeline.origin.thumbnail import DecoderDied
from headwater.pipeline.sound import MEASURED_FRAMES, UNSETTLED_FRAMES, Level, Window
from headwater.protocols.isobmff.fragment import payloads_of

INTERVAL_S = 1.0
PAUSE_S = 30.0
"""Before the next attempt where nothing can be decoded."""

PARTS = 8
"""Looked at in one turn: there are five in a second, or less."""

QUIET_DB = -50.0
"""Below this peak, all frames are decoded: silence takes little to decode."""

MOST_FRAMES = 128
"""Of a window that is everything: there are 50 in a second, of short Opus frames more."""

MOST_BYTES = 64 * 1024
"""Of a window: a second of 512 kbit/s."""

DEATHS = 2
"""Of the decoder, before a livestream is not measured any more: one may have been another's doing."""

BATCH = 100
"""Livestreams of one request, some 6 ms; pictures take their turn in between."""

log = logging.getLogger("headwater.livestream")

Decode: TypeAlias = Callable[[Sequence[Window]], Awaitable[list[Level | None]]]


def window_of(config: AudioConfig, parts: Sequence[Part], *, whole: bool) -> Window | None:
    """What is to be decoded of some parts; None where that is too much.

    Args:
        whole: Everything.
    """
    if not whole:
        parts = [max(parts, key=lambda part: part.size)]
    frames = [frame for part in parts if part.data is not None for frame in payloads_of(part.data)]
    frames = frames[-MOST_FRAMES:] if whole else _fullest(frames, UNSETTLED_FRAMES[config.codec])
    return Window(config.codec, config.record, frames) if sum(map(len, frames)) <= MOST_BYTES else None


def _fullest(frames: list[bytes], unsettled: int) -> list[bytes]:
    """As many frames as are measured, where most bytes are, and those that the decoder needs before them."""
    sizes = [len(frame) for frame in frames]
    starts = range(unsettled, max(unsettled, len(frames) - MEASURED_FRAMES) + 1)
    first = max(starts, key=lambda start: sum(sizes[start : start + MEASURED_FRAMES]))
    return frames[first - unsettled : first + MEASURED_FRAMES]


class Sounding(Protocol):
    """An open session."""

    id: str
    about: dict[str, str]

    def window(self) -> Window | None:
        """What has come since this was last asked; None: nothing, or no sound at all."""

    def heard(self, level: Level) -> None:
        """How loud it was."""


class Levels:
    """Asks all open sessions, again and again.

    Args:
        sessions: Those that are open.
    """

    def __init__(self, decode: Decode, sessions: Callable[[], Iterable[Sounding]]) -> None:
        self._decode = decode
        self._sessions = sessions
        self._deaths: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="levels")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.measure()
            except HeadwaterError as error:
                log.warning("sound is not measured: %s", error)
                await asyncio.sleep(PAUSE_S)
            except Exception:
                log.exception("sound is not measured")
                await asyncio.sleep(PAUSE_S)

    async def measure(self) -> None:
        """Once.

        Raises:
            LimitReached, OperatorError: nothing can be decoded now.
        """
        sessions = list(self._sessions())
        there = {session.id for session in sessions}
        self._deaths = Counter({id_: deaths for id_, deaths in self._deaths.items() if id_ in there})
        asked = [
            (session, window)
            for session in sessions
            if self._deaths[session.id] < DEATHS and (window := session.window()) is not None
        ]
        for first in range(0, len(asked), BATCH):
            await self._measure(asked[first : first + BATCH])

    async def _measure(self, asked: Sequence[tuple[Sounding, Window]]) -> None:
        try:
            found = await self._decode([window for _, window in asked])
        except DecoderDied:
            if len(asked) > 1:
                for one in asked:
                    await self._measure([one])
                return
            session = asked[0][0]
            self._deaths[session.id] += 1
            log.warning("its sound killed the decoder, or held it up", extra=session.about)
            return
        for (session, _), level in zip(asked, found, strict=True):
            if level is not None:
                session.heard(level)
