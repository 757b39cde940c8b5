"""The open rooms of this server: who is let in where, and what the API asks of rooms (`headwater.rooms.Rooms`)."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Collection, Sequence

from headwater.errors import LimitReached
from headwater.events import RoomListener
from headwater.meetings.rooms.clock import Clock
from headwater.meetings.rooms.open_room import OpenRoom
from headwater.meetings.rooms.room import Participant
from headwater.meetings.rooms.settings import RoomSettings
from headwater.meetings.rooms.tap import Follower
from headwater.meetings.tap import SourceName, TapListener
from headwater.rooms import Livestreams, RoomView
from headwater.webrtc.peer import Acceptor

log = logging.getLogger("headwater.rooms")

TICK_S = 0.04
"""How often missing packets are asked for again, and changes are noticed. Nothing ticks while no room is open."""


def new_id() -> str:
    return str(uuid.uuid4())


class OpenRooms:
    """All open rooms. Belongs to the event loop."""

    def __init__(
        self,
        acceptor: Acceptor,
        livestreams: Livestreams,
        tell: RoomListener,
        settings: RoomSettings | None = None,
        *,
        clock: Clock | None = None,
        new_id: Callable[[], str] = new_id,
    ) -> None:
        self._acceptor = acceptor
        self._livestreams = livestreams
        self._tell = tell
        self._settings = settings or RoomSettings()
        self._clock = clock or Clock()
        self._new_id = new_id
        self._rooms: dict[str, OpenRoom] = {}
        self._followers: dict[str, list[Follower]] = {}
        self._ticking: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[None]] = set()
        self._stopped = False

    def find(self, meeting_id: str) -> OpenRoom | None:
        """The open room of a meeting."""
        found = self._rooms.get(meeting_id)
        return None if found is None or found.room.closed else found

    def open(self, meeting_id: str) -> OpenRoom:
        """The room of a meeting, made where there is none; its session opens with the first participant.

        Raises:
            LimitReached: rooms.max_rooms; or the server stops.
        """
        found = self.find(meeting_id)
        if found is not None:
            return found
        if self._stopped:
            raise LimitReached("shutdown", "the server is about to stop")
        if len(self._rooms) >= self._settings.max_rooms:
            raise LimitReached("rooms.max_rooms", "too many rooms are open")
        room = OpenRoom(
            meeting_id, self._new_id(), self._acceptor, self._tell, self._settings, self._clock, self._new_id
        )
        self._rooms[meeting_id] = room
        for follower in self._followers.get(meeting_id, ()):
            follower.enter(room)
        self._look_up_livestream(room)
        if self._ticking is None:
            self._ticking = asyncio.get_running_loop().create_task(self._tick_for_ever(), name="rooms")
        return room

    def tap(self, meeting_id: str) -> MeetingTap:
        """What a broadcast of a meeting listens to, whether or not anybody is there."""
        return MeetingTap(self, meeting_id)

    def follow(self, meeting_id: str, listener: TapListener) -> Callable[[], None]:
        """Have a listener hear every room of a meeting, from now on. Returns what ends it; idempotent."""
        follower = Follower(listener)
        followers = self._followers.setdefault(meeting_id, [])
        followers.append(follower)
        follower.enter(self.find(meeting_id))

        def end() -> None:
            follower.leave()
            if follower in followers:
                followers.remove(follower)
            if not followers and self._followers.get(meeting_id) is followers:
                del self._followers[meeting_id]

        return end

    def _dropped(self, meeting_id: str) -> None:
        """A room is closed."""
        del self._rooms[meeting_id]
        for follower in self._followers.get(meeting_id, ()):
            follower.enter(None)

    async def stop(self) -> None:
        """Say goodbye to everybody and end every session."""
        self._stopped = True
        for meeting_id, room in list(self._rooms.items()):
            room.room.close("SHUTDOWN", self._clock.now(), left="SHUTDOWN")
            room.sync()
            self._dropped(meeting_id)
        tasks = [*self._asking, *([self._ticking] if self._ticking is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _tick_for_ever(self) -> None:
        """Until no room is open."""
        while self._rooms:
            await asyncio.sleep(TICK_S)
            for room in list(self._rooms.values()):
                self._tick(room)
        self._ticking = None

    def _tick(self, room: OpenRoom) -> None:
        try:
            room.tick()
        except Exception:
            log.exception("a room failed: its session ends", extra={"meeting_id": room.room.meeting_id})
            try:
                room.room.close("SHUTDOWN", self._clock.now(), left="SHUTDOWN")
            except Exception:  # the others' time must go on
                log.exception("a room that failed could not be closed", extra={"meeting_id": room.room.meeting_id})
                room.room.closed = True
        if room.room.closed and self._rooms.get(room.room.meeting_id) is room:
            self._dropped(room.room.meeting_id)

    def _look_up_livestream(self, room: OpenRoom) -> None:
        """A room may open while its meeting is broadcast already."""

        async def look() -> None:
            status = await self._livestreams.status(room.room.meeting_id)
            if room.room.livestream is None:
                room.room.livestream_changed(status)
                room.sync()

        task = asyncio.get_running_loop().create_task(look(), name="room-livestream")
        self._asking.add(task)
        task.add_done_callback(self._asked)

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._asking.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("the livestream of a meeting is not known: %s", error)

    # -- headwater.rooms.Rooms

    def active(self, meeting_id: str) -> RoomView | None:
        room = self.find(meeting_id)
        return None if room is None or not room.room.opened else room.room.view()

    def all(self) -> Sequence[RoomView]:
        return [room.room.view() for room in self._rooms.values() if room.room.opened and not room.room.closed]

    async def kick(self, meeting_id: str, participant_ids: Collection[str], reason: str) -> None:
        room = self.find(meeting_id)
        if room is not None:
            for participant in _named(room, participant_ids):
                room.leave(participant, reason)

    async def kick_all(self, meeting_id: str, reason: str) -> None:
        room = self.find(meeting_id)
        if room is not None:
            room.room.close("HOST_ENDED_MEETING", self._clock.now(), left=reason)
            room.sync()
            self._dropped(meeting_id)

    def mute(
        self, meeting_id: str, participant_ids: Collection[str], *, audio: bool = True, video: bool = False
    ) -> None:
        room = self.find(meeting_id)
        if room is not None:
            room.room.mute(_named(room, participant_ids), audio=audio, video=video)
            room.sync()

    def mute_all(self, meeting_id: str, *, allow_unmute: bool) -> None:
        room = self.find(meeting_id)
        if room is not None:
            room.room.mute_all(allow_unmute=allow_unmute)
            room.sync()

    def livestream_changed(self, meeting_id: str, status: str | None) -> None:
        room = self.find(meeting_id)
        if room is not None:
            room.room.livestream_changed(status)
            room.sync()


class MeetingTap:
    """One meeting, as a broadcast sees it; a `headwater.meetings.tap.Tap`."""

    def __init__(self, rooms: OpenRooms, meeting_id: str) -> None:
        self._rooms = rooms
        self._meeting_id = meeting_id

    def subscribe(self, listener: TapListener) -> Callable[[], None]:
        return self._rooms.follow(self._meeting_id, listener)

    def request_keyframe(self, participant_id: str, source: SourceName) -> None:
        room = self._rooms.find(self._meeting_id)
        for stream in room.streams() if room is not None else ():
            if stream.participant.id == participant_id and stream.source == source:
                stream.keyframe()


def _named(room: OpenRoom, participant_ids: Collection[str]) -> list[Participant]:
    inside = room.room.participants
    return [inside[each] for each in participant_ids if each in inside]
