"""All broadcasts of this server's meetings: what the control plane starts and stops (`headwater.rooms.Broadcasts`)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from headwater.errors import LimitReached
from headwater.meetings.broadcast import Broadcast, Tally
from headwater.meetings.compositor.settings import CompositorSettings
from headwater.meetings.tap import Tap

FAILED = "ERR_COMPOSITOR_FAILED"

log = logging.getLogger("headwater.broadcast")


class MeetingBroadcasts:
    """Starts and ends broadcasts, by livestream; belongs to the event loop.

    Attributes:
        tally: What all broadcasts have done so far.
    """

    def __init__(
        self,
        tap: Callable[[str], Tap],
        failed: Callable[[str, str, str], Awaitable[None]],
        settings: CompositorSettings | None = None,
    ) -> None:
        """
        Args:
            tap: A meeting's tap, by its id.
            failed: Told of a broadcast that has ended by itself: livestream id, code, and why in words.
        """
        self._tap = tap
        self._failed = failed
        self._settings = settings or CompositorSettings()
        self.tally = Tally()
        self._running: dict[str, Broadcast] = {}
        self._telling: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> int:
        """Broadcasts that run."""
        return len(self._running)

    def find(self, livestream_id: str) -> Broadcast | None:
        """The broadcast of a livestream, while it runs."""
        return self._running.get(livestream_id)

    async def start(
        self, meeting_id: str, livestream_id: str, ingest_url: str, stream_key: str, width: int, height: int
    ) -> None:
        """See `headwater.rooms.Broadcasts`.

        Raises:
            LimitReached: compositor.max_broadcasts.
        """
        if livestream_id in self._running:
            return
        if len(self._running) >= self._settings.max_broadcasts:
            raise LimitReached("compositor.max_broadcasts", "too many meetings are broadcast at the moment")
        url = f"{ingest_url.rstrip('/')}/{stream_key}"
        broadcast = Broadcast(
            self._tap(meeting_id),
            url,
            width,
            height,
            self._settings,
            ended=lambda reason: self._ended(livestream_id, reason),
            tally=self.tally,
        )
        self._running[livestream_id] = broadcast
        broadcast.start()

    async def stop(self, meeting_id: str, livestream_id: str) -> None:
        """See `headwater.rooms.Broadcasts`."""
        broadcast = self._running.pop(livestream_id, None)
        if broadcast is not None:
            await broadcast.stop()

    async def stop_all(self) -> None:
        """End every broadcast: the server stops."""
        running, self._running = list(self._running.values()), {}
        await asyncio.gather(*(broadcast.stop() for broadcast in running))
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)

    def _ended(self, livestream_id: str, reason: str) -> None:
        self._running.pop(livestream_id, None)
        sentence = reason[:1].upper() + reason[1:]
        task = asyncio.get_running_loop().create_task(self._tell(livestream_id, sentence), name="broadcast-failed")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, livestream_id: str, reason: str) -> None:
        try:
            await self._failed(livestream_id, FAILED, reason)
        except Exception:
            log.exception("nobody could be told that a broadcast has ended: %s", reason)
