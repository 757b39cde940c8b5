"""Rooms in a test: they hold whom the test says, and tell what real ones tell."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from headwater.errors import HeadwaterError
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomEvent, RoomOpened
from headwater.rooms import Admission, Inside, RoomView

_numbers = itertools.count(1)


@dataclass
class FakeRooms:
    """Open rooms by meeting; `tell` takes their events."""

    tell: Callable[[RoomEvent], None]
    now_ms: Callable[[], int]
    open: dict[str, RoomView] = field(default_factory=dict)
    kicked: list[tuple[str, str]] = field(default_factory=list)
    muted: list[tuple[str, bool, bool]] = field(default_factory=list)
    all_muted: list[tuple[str, bool]] = field(default_factory=list)
    livestreams: list[tuple[str, str | None]] = field(default_factory=list)

    def join(self, admission: Admission) -> Inside:
        """Let somebody in; the first one opens the room."""
        of = admission.meeting_id
        room = self.open.get(of)
        if room is None:
            number = next(_numbers)
            room = RoomView(of, f"00000000-0000-4000-9000-{number:012d}", self.now_ms(), ())
            self.tell(RoomOpened(of, room.session_id, room.opened_ms))
        peer = f"00000000-0000-4000-a000-{next(_numbers):012d}"
        inside = Inside(admission.participant_id, admission.custom_participant_id, peer, self.now_ms())
        self.open[of] = RoomView(of, room.session_id, room.opened_ms, (*room.participants, inside))
        self.tell(
            ParticipantJoined(
                of,
                room.session_id,
                inside.joined_ms,
                peer,
                admission.participant_id,
                admission.custom_participant_id,
                admission.name,
                admission.picture,
                admission.preset,
            )
        )
        return inside

    def leave(self, meeting_id: str, inside: Inside, reason: str = "LEFT") -> None:
        room = self.open[meeting_id]
        rest = tuple(other for other in room.participants if other.peer_id != inside.peer_id)
        self.open[meeting_id] = RoomView(room.meeting_id, room.session_id, room.opened_ms, rest)
        self.tell(
            ParticipantLeft(meeting_id, room.session_id, self.now_ms(), inside.peer_id, inside.participant_id, reason)
        )

    def close(self, meeting_id: str, reason: str = "ALL_PARTICIPANTS_LEFT") -> None:
        """Its keep-alive time is over, or somebody ended it."""
        for inside in self.open[meeting_id].participants:
            self.leave(meeting_id, inside, "MEETING_ENDED")
        room = self.open.pop(meeting_id)
        self.tell(RoomClosed(meeting_id, room.session_id, self.now_ms(), reason))

    def active(self, meeting_id: str) -> RoomView | None:
        return self.open.get(meeting_id)

    def all(self) -> Sequence[RoomView]:
        return list(self.open.values())

    async def kick(self, meeting_id: str, participant_ids: Collection[str], reason: str) -> None:
        room = self.open.get(meeting_id)
        for inside in () if room is None else room.participants:
            if inside.participant_id in participant_ids:
                self.kicked.append((inside.participant_id, reason))
                self.leave(meeting_id, inside, reason)

    async def kick_all(self, meeting_id: str, reason: str) -> None:
        if meeting_id in self.open:
            self.close(meeting_id, "HOST_ENDED_MEETING")

    def mute(
        self, meeting_id: str, participant_ids: Collection[str], *, audio: bool = True, video: bool = False
    ) -> None:
        self.muted += [(participant_id, audio, video) for participant_id in participant_ids]

    def mute_all(self, meeting_id: str, *, allow_unmute: bool) -> None:
        self.all_muted.append((meeting_id, allow_unmute))

    def livestream_changed(self, meeting_id: str, status: str | None) -> None:
        self.livestreams.append((meeting_id, status))


@dataclass
class FakeCompositors:
    """Makes nothing, and remembers what it was asked for; `refuses` is raised at a start."""

    running: dict[str, tuple[str, str, str, int, int]] = field(default_factory=dict)
    started: int = 0
    refuses: HeadwaterError | None = None

    async def start(
        self, meeting_id: str, livestream_id: str, ingest_url: str, stream_key: str, width: int, height: int
    ) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.started += 1
        self.running[livestream_id] = (meeting_id, ingest_url, stream_key, width, height)

    async def stop(self, meeting_id: str, livestream_id: str) -> None:
        self.running.pop(livestream_id, None)
