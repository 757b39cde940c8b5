"""Requests that come before there is anything to play: held for a while, in bounded number."""

from __future__ import annotations

import asyncio

from headwater.pipeline.origin.room import Room
from headwater.pipeline.origin.settings import OriginSettings


class Holds:
    """Who waits for a session, or for its first playlist.

    Attributes:
        draining: The server stops: nobody waits any more.
        room: For all that waits for anything on this server.
    """

    def __init__(self, settings: OriginSettings) -> None:
        self.draining = False
        self.room = Room(settings.max_waiting)
        self._settings = settings
        self._expected: dict[str, tuple[asyncio.Event, Room]] = {}

    def livestream_room(self) -> Room:
        """Room for one livestream."""
        return Room(self._settings.max_waiting_livestream, self.room)

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

    async def until(self, event: asyncio.Event, room: Room) -> None:
        """Wait for an event, for a bounded time and in bounded number."""
        if event.is_set() or self.draining or not room.enter():
            return
        try:
            await asyncio.wait_for(event.wait(), self._settings.hold_s)
        except TimeoutError:
            pass
        finally:
            room.leave()

    async def until_opened(self, playback_id: str) -> None:
        """Wait until a session of this playback id opens."""
        event, room = self._expected.setdefault(playback_id, (asyncio.Event(), self.livestream_room()))
        try:
            await self.until(event, room)
        finally:
            if room.taken == 0:
                self._expected.pop(playback_id, None)
