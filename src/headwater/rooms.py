"""What rooms and the control plane tell each other: who may come in, who is inside, and what is broadcast.

    control plane                                         rooms (meetings/)
    Doorkeeper.admit(token)      ◄── asked at the door ──
    Livestreams.start / stop     ◄── a host's buttons ───
                                 ─── API: kick, mute ───►  Rooms
                                 ◄── what happens ───────  headwater.events.RoomEvent

    control plane ── a meeting's livestream starts, stops ──► Broadcasts (the compositor's side)

Either side implements its Protocols and never imports the other; `app.py` joins them. Times are wall-clock milliseconds
since the Unix epoch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from headwater.errors import CallerError


@dataclass(frozen=True, slots=True)
class Permissions:
    """What a participant may do; from the preset.

    Attributes:
        kick: Send others away.
        mute_others: Take others' sound or picture away.
        livestream: Start and stop the meeting's livestream.
        audio, video, screen: Publish these.
    """

    kick: bool
    mute_others: bool
    livestream: bool
    audio: bool
    video: bool
    screen: bool

    @property
    def publishes(self) -> bool:
        """Whether there is anything of this participant to receive."""
        return self.audio or self.video or self.screen


@dataclass(frozen=True, slots=True)
class Admission:
    """Leave to come in, as it is now: the next request asks again.

    Attributes:
        title: Of the meeting; empty where it has none.
        custom_participant_id: The application's own id of the participant.
        name: To be shown; empty where none was given.
        picture: URL; None where none was given.
        preset: Name of the participant's role, e.g. `host`.
        keep_alive_s: How long an empty room waits for somebody to come back before its session ends.
        expires_ms: When the token ends; who is inside may stay.
    """

    app_id: str
    meeting_id: str
    title: str
    participant_id: str
    custom_participant_id: str
    name: str
    picture: str | None
    preset: str
    permissions: Permissions
    keep_alive_s: float
    expires_ms: int


class AdmissionRefused(CallerError):
    """Somebody may not come in, or may not do that.

    Attributes:
        status: HTTP status: 401 no valid token, 403 not here or not by this role, 404 nothing there, 409 there already.
        code: `ERR_TOKEN_INVALID`, `ERR_TOKEN_EXPIRED`, `ERR_PARTICIPANT_REMOVED`, `ERR_OTHER_MEETING`,
            `ERR_MEETING_INACTIVE`, `ERR_NO_LIVESTREAM`, `ERR_LIVESTREAM_ACTIVE`.
        message: For the caller to read; never holds the token.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status = status
        self.code = code
        self.message = message


class Doorkeeper(Protocol):
    """The control plane's answer to who knocks."""

    async def admit(self, token: str, meeting_id: str) -> Admission:
        """Decide whether the holder of a participant token may come into a meeting now.

        Raises:
            AdmissionRefused: with the reason.
        """


class Livestreams(Protocol):
    """A meeting's livestream, for those inside who may start and stop it; rooms have checked the permission."""

    async def start(self, meeting_id: str) -> str:
        """Start a meeting's livestream as the API does; returns its id.

        Raises:
            AdmissionRefused: 404 no such meeting, 409 one is active.
        """

    async def stop(self, meeting_id: str) -> None:
        """Stop a meeting's active livestream as the API does.

        Raises:
            AdmissionRefused: 404 none is active.
        """

    async def status(self, meeting_id: str) -> str | None:
        """`INVOKED`, `LIVE` or `ERRORED` of the meeting's present livestream; None: it has none, or it was stopped."""

    async def playback_id(self, meeting_id: str) -> str | None:
        """Under which the meeting's present livestream plays; None: it has none, or it was stopped."""


class NoLivestreams:
    """Hosts start and stop livestreams by the API alone."""

    async def start(self, meeting_id: str) -> str:
        raise AdmissionRefused(404, "ERR_NO_LIVESTREAM", "livestreams of meetings are started by the API")

    async def stop(self, meeting_id: str) -> None:
        raise AdmissionRefused(404, "ERR_NO_LIVESTREAM", "livestreams of meetings are stopped by the API")

    async def status(self, meeting_id: str) -> str | None:
        return None

    async def playback_id(self, meeting_id: str) -> str | None:
        return None


@dataclass(frozen=True, slots=True)
class Inside:
    """A participant who is in a room now.

    Attributes:
        peer_id: Of this stay: who leaves and comes back has another one.
    """

    participant_id: str
    custom_participant_id: str
    peer_id: str
    joined_ms: int


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room that is open, perhaps empty and waiting for its keep-alive time to end."""

    meeting_id: str
    session_id: str
    opened_ms: int
    participants: tuple[Inside, ...]


class Rooms(Protocol):
    """The open rooms of this process. Who is named and not inside is passed over."""

    def active(self, meeting_id: str) -> RoomView | None:
        """The open room of a meeting, or None."""

    def all(self) -> Sequence[RoomView]:
        """All open rooms."""

    async def kick(self, meeting_id: str, participant_ids: Collection[str], reason: str) -> None:
        """Send participants away; returns once their `ParticipantLeft` were emitted.

        Args:
            reason: For the page to say, e.g. `KICKED`, `PARTICIPANT_DELETED`.
        """

    async def kick_all(self, meeting_id: str, reason: str) -> None:
        """Send everybody away and end the session at once, without its keep-alive time (`HOST_ENDED_MEETING`)."""

    def mute(
        self, meeting_id: str, participant_ids: Collection[str], *, audio: bool = True, video: bool = False
    ) -> None:
        """Take sound, or picture, of participants away; they may switch it on again."""

    def mute_all(self, meeting_id: str, *, allow_unmute: bool) -> None:
        """Take everybody's sound away.

        Args:
            allow_unmute: Whether they may switch it on again.
        """

    def livestream_changed(self, meeting_id: str, status: str | None) -> None:
        """The meeting's livestream has another status (`Livestreams.status`); called whether or not a room is open."""


class NoRooms:
    """Nobody ever meets: an API without rooms."""

    def active(self, meeting_id: str) -> RoomView | None:
        return None

    def all(self) -> Sequence[RoomView]:
        return ()

    async def kick(self, meeting_id: str, participant_ids: Collection[str], reason: str) -> None:
        return None

    async def kick_all(self, meeting_id: str, reason: str) -> None:
        return None

    def mute(
        self, meeting_id: str, participant_ids: Collection[str], *, audio: bool = True, video: bool = False
    ) -> None:
        return None

    def mute_all(self, meeting_id: str, *, allow_unmute: bool) -> None:
        return None

    def livestream_changed(self, meeting_id: str, status: str | None) -> None:
        return None


class Broadcasts(Protocol):
    """Whoever makes a meeting's picture and sound and publishes them to its livestream."""

    async def start(
        self, meeting_id: str, livestream_id: str, ingest_url: str, stream_key: str, width: int, height: int
    ) -> None:
        """Begin to broadcast; returns at once, what becomes of it shows in the livestream's sessions.

        Starting what is running does nothing.

        Args:
            ingest_url: RTMP URL without the key.
            width, height: Pixels, even.
        """

    async def stop(self, meeting_id: str, livestream_id: str) -> None:
        """End a broadcast, and wait until it has ended; does nothing where none is running."""


class NoBroadcasts:
    """Whoever started a livestream of a meeting publishes to it by RTMP themselves."""

    async def start(
        self, meeting_id: str, livestream_id: str, ingest_url: str, stream_key: str, width: int, height: int
    ) -> None:
        return None

    async def stop(self, meeting_id: str, livestream_id: str) -> None:
        return None
