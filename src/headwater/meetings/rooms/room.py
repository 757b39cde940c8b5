"""One session of a meeting: who is inside, what they send, who may do what. Pure: the time is an argument.

    opens      with the first participant
    a stay     begins with the first link (a page that listens, a stream sent or received), and ends
                 at once   when its owner says so, is kicked, or was not heard on its streams any more (`lost`)
                 later     `return_s` after its last link went without a word: pages are reloaded, networks change
    closes     keep-alive time after the last participant left, or at once when somebody ends the meeting

Media does not pass here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from headwater.errors import LimitReached
from headwater.events import ParticipantJoined, ParticipantLeft, RoomClosed, RoomListener, RoomOpened
from headwater.meetings.rooms.moment import Moment
from headwater.meetings.rooms.settings import RoomSettings
from headwater.meetings.rooms.speaking import Speaking
from headwater.rooms import Admission, AdmissionRefused, Inside, RoomView

SourceName: TypeAlias = Literal["camera", "screen"]
SOURCES: tuple[SourceName, ...] = ("camera", "screen")


@dataclass(slots=True)
class Source:
    """What a participant publishes of one kind.

    Attributes:
        audio, video: Whether it has sound, picture.
        stream: Counts up when receivers have to ask anew, because codecs changed; else they are served on.
    """

    audio: bool
    video: bool
    stream: int


@dataclass(slots=True, eq=False)
class Participant:
    """One stay of a participant.

    Attributes:
        admission: The newest: names and permissions may change while its owner is inside.
        audio, video: Of the camera's source: False while muted.
        may_unmute: False after somebody muted everybody for good.
        links: What keeps its owner inside.
        alone_since_s: When the last link went; None while there is one.
    """

    admission: Admission
    peer_id: str
    joined_ms: int
    audio: bool = True
    video: bool = True
    may_unmute: bool = True
    sources: dict[SourceName, Source] = field(default_factory=dict)
    streams: dict[SourceName, int] = field(default_factory=dict)
    links: set[object] = field(default_factory=set)
    alone_since_s: float | None = None

    @property
    def id(self) -> str:
        return self.admission.participant_id

    def sends(self, source: SourceName) -> Source | None:
        """A source as others may see and hear it: without what is muted; None where it does not exist."""
        found = self.sources.get(source)
        if found is None:
            return found
        if source == "screen":
            return Source(found.audio and self.may_unmute, found.video, found.stream)
        return Source(found.audio and self.audio, found.video and self.video, found.stream)


class Room:
    """An open room.

    Attributes:
        version: Another one after each change that participants see.
        livestream: Status of the meeting's livestream; None: there is none.
        closed: The session has ended.
    """

    def __init__(
        self,
        meeting_id: str,
        session_id: str,
        settings: RoomSettings,
        tell: RoomListener,
        new_id: Callable[[], str],
        now: Moment,
    ) -> None:
        self.meeting_id = meeting_id
        self.session_id = session_id
        self.title = ""
        self.participants: dict[str, Participant] = {}
        self.speaking: str | None = None
        self.livestream: str | None = None
        self.version = 0
        self.closed = False
        self._settings = settings
        self._tell = tell
        self._new_id = new_id
        self._opened_ms: int | None = None
        self._empty_since_s: float | None = now.s
        self._keep_alive_s = settings.return_s
        self._voices = Speaking()
        self._joins: dict[str, tuple[float, int]] = {}  # since when they are counted, and how many, by participant
        self._silenced = False

    @property
    def opened(self) -> bool:
        """Whether anybody has ever been inside: before that there is no session."""
        return self._opened_ms is not None

    # -- who is inside

    def enter(self, admission: Admission, link: object, now: Moment) -> Participant:
        """A link of a participant: their first one lets them in.

        Raises:
            LimitReached: rooms.max_participants.
        """
        assert not self.closed, "a session that has ended takes nobody"
        participant = self.participants.get(admission.participant_id)
        if participant is None:
            participant = self._join(admission, now)
        elif participant.admission != admission:
            participant.admission = admission
            self._changed()
        self.title, self._keep_alive_s = admission.title, admission.keep_alive_s
        participant.links.add(link)
        participant.alone_since_s = None
        return participant

    def check_room(self, participant_id: str, now: Moment) -> None:
        """Whether one more may come in.

        Raises:
            LimitReached: rooms.max_participants, rooms.max_joins_per_minute.
        """
        if len(self.participants) >= self._settings.max_participants:
            raise LimitReached("rooms.max_participants", "the room is full")
        since, count = self._joins.get(participant_id, (now.s, 0))
        if count >= self._settings.max_joins_per_minute and now.s - since < 60:
            raise LimitReached("rooms.max_joins_per_minute", "you have come and gone too often; wait a minute")

    def _join(self, admission: Admission, now: Moment) -> Participant:
        self.check_room(admission.participant_id, now)
        since, count = self._joins.get(admission.participant_id, (now.s, 0))
        self._joins[admission.participant_id] = (since, count + 1) if now.s - since < 60 else (now.s, 1)
        participant = Participant(admission, self._new_id(), now.ms)
        if self._silenced:
            participant.audio = participant.may_unmute = False
        self.participants[participant.id] = participant
        self._empty_since_s = None
        self._changed()
        if self._opened_ms is None:
            self._opened_ms = now.ms
            self._tell(RoomOpened(self.meeting_id, self.session_id, now.ms))
        self._tell(
            ParticipantJoined(
                self.meeting_id,
                self.session_id,
                now.ms,
                participant.peer_id,
                participant.id,
                admission.custom_participant_id,
                admission.name,
                admission.picture,
                admission.preset,
            )
        )
        return participant

    def unlink(self, participant: Participant, link: object, now: Moment, *, regular: bool) -> None:
        """A link has gone; `regular`: its owner ended it, and leaves where it was the last one."""
        participant.links.discard(link)
        if participant.links or self.participants.get(participant.id) is not participant:
            return
        if regular:
            self.leave(participant, "LEFT", now)
        elif participant.alone_since_s is None:
            participant.alone_since_s = now.s

    def leave(self, participant: Participant, reason: str, now: Moment) -> None:
        """End a stay. Idempotent."""
        if self.participants.get(participant.id) is not participant:
            return
        del self.participants[participant.id]
        self._voices.gone(participant.id)
        self._hear(now)
        self._changed()
        self._tell(
            ParticipantLeft(self.meeting_id, self.session_id, now.ms, participant.peer_id, participant.id, reason)
        )
        if not self.participants:
            self._empty_since_s = now.s

    def close(self, reason: str, now: Moment, *, left: str) -> None:
        """End the session; everybody leaves, for the reason `left`. Idempotent."""
        if self.closed:
            return
        for participant in list(self.participants.values()):
            self.leave(participant, left, now)
        self.closed = True
        self._changed()
        if self.opened:
            self._tell(RoomClosed(self.meeting_id, self.session_id, now.ms, reason))

    def tick(self, now: Moment) -> None:
        """Let time pass: some times a second."""
        for participant in list(self.participants.values()):
            alone = participant.alone_since_s
            if alone is not None and now.s - alone >= self._settings.return_s:
                self.leave(participant, "LOST", now)
        self._hear(now)
        if self._empty_since_s is not None and now.s - self._empty_since_s >= self._keep_alive_s:
            self.close("ALL_PARTICIPANTS_LEFT", now, left="LEFT")

    # -- what they send

    def publish(self, participant: Participant, source: SourceName, *, audio: bool, video: bool, same: bool) -> None:
        """A source is there; `same`: coded as the one before it."""
        stream = participant.streams.get(source, 0) + (0 if same else 1)
        participant.streams[source] = stream
        participant.sources[source] = Source(audio, video, stream)
        self._changed()

    def unpublish(self, participant: Participant, source: SourceName) -> None:
        """A source is gone."""
        if participant.sources.pop(source, None) is not None:
            if source == "camera":
                self._voices.gone(participant.id)
            self._changed()

    def set_mute(self, participant: Participant, *, audio: bool | None, video: bool | None) -> None:
        """A participant's own switches; True: on, None: as it is.

        Raises:
            AdmissionRefused: 403, not while everybody is muted for good.
        """
        if audio and not participant.audio and not participant.may_unmute:
            raise AdmissionRefused(403, "ERR_MUTED", "the host has muted everybody, and nobody may speak for now")
        self._switch(participant, audio=audio, video=video)

    def mute_all(self, *, allow_unmute: bool) -> None:
        """Take everybody's sound away; for good, also from who comes later, until it is called again otherwise."""
        self._silenced = not allow_unmute
        for participant in self.participants.values():
            participant.may_unmute = allow_unmute
            self._switch(participant, audio=False, video=None)
        self._changed()  # also where all were muted already: a screen's sound goes, too

    def mute(self, participants: Iterable[Participant], *, audio: bool, video: bool) -> None:
        """Take sound or picture of others away."""
        for participant in participants:
            self._switch(participant, audio=False if audio else None, video=False if video else None)

    def _switch(self, participant: Participant, *, audio: bool | None, video: bool | None) -> None:
        before = participant.audio, participant.video
        if audio is not None:
            participant.audio = audio
        if video is not None:
            participant.video = video
        if not participant.audio:
            self._voices.gone(participant.id)
        if before != (participant.audio, participant.video):
            self._changed()

    def heard(self, participant: Participant, level_db: int, now: float) -> None:
        """The level of a packet of a participant's sound. Hot."""
        if participant.audio:
            self._voices.heard(participant.id, level_db, now)

    def _hear(self, now: Moment) -> None:
        speaking = self._voices.speaker(now.s)
        if speaking != self.speaking:
            self.speaking = speaking
            self._changed()

    # -- what is told

    def livestream_changed(self, status: str | None) -> None:
        """The meeting's livestream has another status."""
        if status != self.livestream:
            self.livestream = status
            self._changed()

    def _changed(self) -> None:
        self.version += 1

    def view(self) -> RoomView:
        """As the control plane asks, of an opened room."""
        assert self._opened_ms is not None, "nobody has been inside"
        inside = tuple(
            Inside(each.id, each.admission.custom_participant_id, each.peer_id, each.joined_ms)
            for each in self.participants.values()
        )
        return RoomView(self.meeting_id, self.session_id, self._opened_ms, inside)
