"""Requests that come before there is anything to play: held for a while, in bounded number."""

from __future__ import annotations

import asyncio

from headwater.pipeline.origin.settings import OriginSettings


class Holds:
    """Who waits for a session, or for its first playlist.

    Attributes:
        draining: The server stops: nobody waits any more.
    """

    def __init__(self, settings: OriginSettings) -> None:
        self.draining = False
        self._settings = settings
        self._held = 0
        self._expected: dict[str, tuple[asyncio.Event, int]] = {}

    def opened(self, playback_id: str) -> None:
        """A session of this playback id has opened."""
        expected = self._expected.get(playback_id)
        if expected is not None:
            expected[0].set()

    def drain(self) -> None:
        """Let everybody go who expects a session."""
        self.draining = True
        for event, _ in self._expected.values():
            event.set()

    async def until(self, event: asyncio.Event) -> None:
        """Wait for an event, for a bounded time and in bounded number."""
        if event.is_set() or self.draining or self._held >= self._settings.max_waiting:
            return
        self._held += 1
        try:
            await asyncio.wait_for(event.wait(), self._settings.hold_s)
        except TimeoutError:
            pass
        finally:
            self._held -= 1

    async def until_opened(self, playback_id: str) -> None:
        """Wait until a session of this playback id opens."""
        event, waiting = self._expected.get(playback_id) or (asyncio.Event(), 0)
        self._expected[playback_id] = (event, waiting + 1)
        try:
            await self.until(event)
        finally:
            event, waiting = self._expected[playback_id]
            if waiting > 1:
                self._expected[playback_id] = (event, waiting - 1)
            else:
                del self._expected[playback_id]
