"""Meetings' livestreams: started, stopped and failed, whoever asks for it.

API, a host's button, `live_stream_on_start` ──► start ──► Broadcasts.start (the compositor's side)
API, a host's button, the end of the meeting ──► stop  ──► Broadcasts.stop, then the open session
the compositor cannot go on                  ──► failed: ERRORED, and the session says why
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from typing import Final

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from headwater.control import broadcasts as running
from headwater.control import history
from headwater.control.database import Database, DatabaseAway
from headwater.control.lifecycle import ACTIVE, Happening, Status, follow
from headwater.control.listener import EventWriter
from headwater.control.repository import event_log, livestreams, meetings
from headwater.control.repository.livestreams import LivestreamRow
from headwater.control.repository.meetings import MeetingRow
from headwater.control.urls import Urls
from headwater.control.webhooks import outbox
from headwater.errors import CallerError, HeadwaterError
from headwater.rooms import AdmissionRefused, Broadcasts, NoBroadcasts, NoRooms, Rooms

DEFAULT_SIZE: Final = (1280, 720)
"""Pixels, where nobody says."""

STOPPED: Final = ("STOPPED_BY_API", "The meeting's livestream was stopped.")
ENDED: Final = ("MEETING_ENDED", "The meeting has ended.")
START_FAILED: Final = "ERR_BROADCAST_FAILED"

TAKEN_OVER: Final = "Somebody else publishes with the key; the meeting's own picture has ended."

GONE_S = 2.0
"""Within which the connection of a broadcast that has ended is gone, and an encoder that took over has sent media:
whoever publishes then is somebody else."""

SETTLE_S = 2.0
"""How long is waited for events that have just happened to be durable; then what is stored counts."""

log = logging.getLogger("headwater.control")


class AlreadyActive(CallerError):
    """A meeting has an active livestream: this one."""

    def __init__(self, livestream_id: str) -> None:
        super().__init__(f"The meeting already has an active livestream: {livestream_id}")
        self.livestream_id = livestream_id


class NoneActive(CallerError):
    """A meeting has no active livestream."""

    def __init__(self, meeting_id: str) -> None:
        super().__init__(f"No active livestream found for meeting_id {meeting_id}")


class NoMeeting(CallerError):
    """There is no such meeting."""

    def __init__(self) -> None:
        super().__init__("The meeting was not found")


class MeetingLivestreams:
    """Starts and stops them; the `headwater.rooms.Livestreams` of the control plane.

    Attributes:
        sessions: Who runs the open livestream sessions.
        broadcasts: Who makes a meeting's picture and sound.
        rooms: Who is told of a livestream's status.
    """

    def __init__(
        self,
        database: Database,
        events: EventWriter,
        urls: Urls,
        node: str,
        changed: Callable[[], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._events = events
        self._urls = urls
        self._node = node
        self._changed = changed
        self._now_ms = now_ms
        self.sessions: running.Broadcasts = running.NoBroadcasts()
        self.broadcasts: Broadcasts = NoBroadcasts()
        self.rooms: Rooms = NoRooms()

    # -- asked for

    async def begin(
        self,
        meeting_id: str,
        *,
        app_id: str | None = None,
        name: str | None = None,
        size: tuple[int, int] = DEFAULT_SIZE,
    ) -> LivestreamRow:
        """Start a meeting's livestream, and its broadcast.

        Args:
            app_id: Whose meeting it has to be; None: whoever's.
            size: Width and height in pixels, even.

        Raises:
            NoMeeting, AlreadyActive.
        """
        now_ms = self._now_ms()
        async with self._database.write() as conn:
            # Two who start the same meeting meet at its row; the second finds the first one's livestream.
            meeting = await self._meeting(conn, meeting_id, app_id)
            active = await livestreams.active_of_meeting(conn, meeting.app_id, meeting.id)
            if active is not None:
                raise AlreadyActive(active.id)
            await livestreams.end_of_meeting(conn, meeting.id, now_ms)
            width, height = size
            row = await livestreams.create(
                conn, meeting.app_id, name=name, now_ms=now_ms, meeting_id=meeting.id, width=width, height=height
            )
            message = f"Started for meeting {meeting.id}."
            await event_log.append(conn, row.id, at_ms=now_ms, kind="created", message=message)
            await outbox.livestream_status(conn, row, row.status, now_ms)
        self._changed()
        self.rooms.livestream_changed(meeting.id, row.status)
        await self._broadcast(row, meeting.id, size)
        return row

    async def _broadcast(self, row: LivestreamRow, meeting_id: str, size: tuple[int, int]) -> None:
        try:
            await self.broadcasts.start(meeting_id, row.id, self._urls.loopback_ingest(), row.stream_key, *size)
        except HeadwaterError as error:
            await self.failed(row.id, START_FAILED, f"The broadcast could not be started: {error}")

    async def end(
        self,
        meeting_id: str,
        *,
        app_id: str | None = None,
        why: tuple[str, str] = STOPPED,
        until_ms: int | None = None,
    ) -> None:
        """Stop a meeting's active livestream, for good: its key admits nobody any more.

        Args:
            app_id: Whose meeting it has to be; None: whoever's.
            why: Code and sentence for whoever publishes.
            until_ms: Leave one alone that was started later.

        Raises:
            NoMeeting, NoneActive.
        """
        await self._events.settle(SETTLE_S)
        now_ms = self._now_ms()
        async with self._database.write() as conn:
            meeting = await self._meeting(conn, meeting_id, app_id)
            row = await livestreams.active_of_meeting(conn, meeting.app_id, meeting.id)
            if row is None or (until_ms is not None and row.invoked_ms > until_ms):
                raise NoneActive(meeting.id)
            await close(conn, row, now_ms, why[1])
        self._changed()
        self.rooms.livestream_changed(meeting.id, None)
        await self.broadcasts.stop(meeting.id, row.id)
        await self.sessions.stop(row.id, *why)
        await self._events.settle(SETTLE_S)

    @staticmethod
    async def _meeting(conn: AsyncConnection, meeting_id: str, app_id: str | None) -> MeetingRow:
        row = await (meetings.lock_any(conn, meeting_id) if app_id is None else meetings.lock(conn, app_id, meeting_id))
        if row is None:
            raise NoMeeting
        return row

    async def silence(self, row: LivestreamRow) -> None:
        """End a livestream's broadcast before its session is ended, so that it does not come back; if it is one."""
        if row.meeting_id is not None:
            await self.broadcasts.stop(row.meeting_id, row.id)

    async def again(self, row: LivestreamRow) -> None:
        """Broadcast an active livestream of a meeting by the key that it has now, instead of the one before."""
        if row.meeting_id is None or row.ended_ms is not None or Status(row.status) not in ACTIVE:
            return
        size = (row.width or DEFAULT_SIZE[0], row.height or DEFAULT_SIZE[1])
        await self._broadcast(row, row.meeting_id, size)

    # -- headwater.rooms.Livestreams

    async def start(self, meeting_id: str) -> str:
        try:
            return (await self.begin(meeting_id)).id
        except AlreadyActive as error:
            raise AdmissionRefused(409, "ERR_LIVESTREAM_ACTIVE", str(error)) from error
        except NoMeeting as error:
            raise AdmissionRefused(404, "ERR_NO_MEETING", str(error)) from error

    async def stop(self, meeting_id: str) -> None:
        try:
            await self.end(meeting_id)
        except NoneActive as error:
            raise AdmissionRefused(404, "ERR_NO_LIVESTREAM", str(error)) from error
        except NoMeeting as error:
            raise AdmissionRefused(404, "ERR_NO_MEETING", str(error)) from error

    async def playback_id(self, meeting_id: str) -> str | None:
        row = await self._present(meeting_id)
        return None if row is None else row.playback_id

    async def _present(self, meeting_id: str) -> LivestreamRow | None:
        """The newest livestream of a meeting, unless it was stopped."""
        async with self._database.read() as conn:
            row = await livestreams.newest_of(conn, meeting_id)
        return None if row is None or row.ended_ms is not None else row

    async def status(self, meeting_id: str) -> str | None:
        row = await self._present(meeting_id)
        if row is None:
            return None
        snapshot = self.sessions.live(row.id)
        status = Status.LIVE if snapshot is not None and snapshot.playable else Status(row.status)
        return None if status == Status.IDLE else status.value

    # -- what happens

    async def room_opened(self, meeting_id: str) -> None:
        """Somebody is in a meeting: start its livestream, where the meeting says so and none is active."""
        async with self._database.read() as conn:
            meeting = await meetings.find_any(conn, meeting_id)
        if meeting is None or not msgspec.json.decode(meeting.settings).get("live_stream_on_start"):
            return
        try:
            await self.begin(meeting_id)
        except (AlreadyActive, NoMeeting):
            return

    async def room_closed(self, meeting_id: str, at_ms: int) -> None:
        """A meeting has ended, and its livestream with it, if it has one."""
        try:
            await self.end(meeting_id, why=ENDED, until_ms=at_ms)
        except (NoneActive, NoMeeting):
            return

    async def failed(self, livestream_id: str, code: str, description: str) -> None:
        """A broadcast cannot go on: the livestream is ERRORED, and its session's `err_message` says why.

        An open session ends with it; where none is, one is stored for it. Somebody else may have taken over from the
        broadcast, an encoder with the same key: then it is theirs, and goes on.
        """
        error = f"{code}: {description}"
        await self._events.settle(SETTLE_S)
        if await self._is_taken_over(livestream_id):
            async with self._database.write() as conn:
                await event_log.append(
                    conn, livestream_id, at_ms=self._now_ms(), kind="warning", code=code, message=TAKEN_OVER
                )
            return
        if self.sessions.live(livestream_id) is not None:
            await self.sessions.stop(livestream_id, code, description, error=error)
        else:
            async with self._database.write() as conn:
                await history.fail(conn, livestream_id, self._node, self._now_ms(), error)
            await self.tell_rooms([livestream_id])
        self._changed()

    async def _is_taken_over(self, livestream_id: str) -> bool:
        """Whether somebody publishes to a livestream whose own broadcast has ended, and goes on doing so."""
        if self.sessions.live(livestream_id) is None:
            return False
        await asyncio.sleep(GONE_S)
        snapshot = self.sessions.live(livestream_id)
        return snapshot is not None and snapshot.publishing

    async def tell_rooms(self, livestream_ids: Collection[str]) -> None:
        """Livestreams may have another status: those meetings' rooms are told, which are open."""
        if not self.rooms.all():
            return
        try:
            async with self._database.read() as conn:
                rows = await livestreams.get_many(conn, livestream_ids)
            for meeting_id in {row.meeting_id for row in rows.values() if row.meeting_id is not None}:
                if self.rooms.active(meeting_id) is not None:
                    self.rooms.livestream_changed(meeting_id, await self.status(meeting_id))
        except (SQLAlchemyError, DatabaseAway) as error:
            log.warning("rooms were not told of their livestreams: %s", error)


async def close(conn: AsyncConnection, row: LivestreamRow, now_ms: int, message: str) -> None:
    """Stop a meeting's livestream in the caller's transaction."""
    row = await livestreams.lock(conn, row.app_id, row.id) or row
    status = follow(Status(row.status), Happening.STOPPED)
    await livestreams.update(conn, row.id, now_ms, status=status.value, ended_ms=now_ms)
    await event_log.append(conn, row.id, at_ms=now_ms, kind="stopped", message=message)
    if status != row.status:
        await outbox.livestream_status(conn, row, status.value, now_ms)


async def recover(conn: AsyncConnection, meeting_id: str, now_ms: int) -> None:
    """Stop the livestream of a meeting that a crash has ended."""
    meeting = await meetings.lock_any(conn, meeting_id)
    assert meeting is not None
    row = await livestreams.active_of_meeting(conn, meeting.app_id, meeting.id)
    if row is not None:
        await close(conn, row, now_ms, "The server stopped, and the meeting with it.")
