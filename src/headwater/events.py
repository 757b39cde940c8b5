"""What pipeline and rooms tell the rest of the process: typed events, in order per livestream or meeting.

Times are wall-clock milliseconds since the Unix epoch. Events carry totals, never increments, so that a listener
that missed one is right again at the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from headwater.health import HealthSample


@dataclass(frozen=True, slots=True)
class PublishRejected:
    """A publish that was refused: the reason also went to the publisher.

    `livestream_id` is None where the key named no livestream.
    """

    livestream_id: str | None
    at_ms: int
    code: str
    description: str
    remote: str
    encoder: str


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """Media has arrived: a livestream session begins.

    `admitted_ms` is when its first publisher was let in; 0 where that is not known.
    """

    livestream_id: str
    session_id: str
    at_ms: int
    encoder: str
    remote: str
    admitted_ms: int = 0


@dataclass(frozen=True, slots=True)
class SessionPlayable:
    """The first playlist can be played: from here on the livestream is LIVE."""

    livestream_id: str
    session_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class SessionInterrupted:
    """The publisher is gone; the reconnect window is open until `until_ms`."""

    livestream_id: str
    session_id: str
    at_ms: int
    until_ms: int
    reason: str


@dataclass(frozen=True, slots=True)
class SessionResumed:
    """A publisher is back within the window, or took over from another (`takeover`)."""

    livestream_id: str
    session_id: str
    at_ms: int
    takeover: bool


@dataclass(frozen=True, slots=True)
class SessionProgress:
    """Totals so far, at least every 5 s while the session is open."""

    livestream_id: str
    session_id: str
    at_ms: int
    ingest_seconds: float
    viewer_seconds: float


@dataclass(frozen=True, slots=True)
class SessionWarning:
    """Something the owner should change, in words."""

    livestream_id: str
    session_id: str
    at_ms: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """The samples of some seconds, in order; none comes twice."""

    livestream_id: str
    session_id: str
    samples: tuple[HealthSample, ...]


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session has ended; its totals are final.

    `error` is None for a regular end, else `CODE: sentence`, and the livestream becomes ERRORED.
    `recording` is the recording's path below the data folder, or None.
    """

    livestream_id: str
    session_id: str
    at_ms: int
    ingest_seconds: float
    viewer_seconds: float
    error: str | None
    recording: str | None


@dataclass(frozen=True, slots=True)
class RecordingChanged:
    """A recording of an open session began, pauses, goes on, or has been stopped.

    Attributes:
        status: `RECORDING`, `PAUSED`, or `UPLOADING`: stopped, and being made.
        spans: Wall times (ms) between which it records, the last one open while it does; None: the whole session.
        reason: Why it began (`RECORD_ON_START`, `API_CALL`), or why it was stopped (`API_CALL`).
    """

    livestream_id: str
    session_id: str
    at_ms: int
    recording_id: str
    status: str
    spans: tuple[tuple[int, int | None], ...] | None
    reason: str


@dataclass(frozen=True, slots=True)
class RecordingReady:
    """A recording is a whole file.

    Attributes:
        path: Below the data folder.
        size: Bytes.
        seconds: How long it plays.
        end_ms: Wall time at which its media ends.
        reason: Why it was stopped, where nobody did before: `ALL_PEERS_LEFT`.
        to_store: It is still to be carried to the store.
    """

    livestream_id: str
    session_id: str
    at_ms: int
    recording_id: str
    path: str
    size: int
    seconds: float
    end_ms: int
    reason: str
    to_store: bool = False


@dataclass(frozen=True, slots=True)
class RecordingFailed:
    """Nothing came of a recording; `error` is `CODE: sentence`."""

    livestream_id: str
    session_id: str
    at_ms: int
    recording_id: str
    error: str


@dataclass(frozen=True, slots=True)
class SessionExperience:
    """How the viewers of a session fare, all of it so far; it may also come after the close.

    `packed` is what `headwater.analytics.experience.Experience.packed` wrote.
    """

    livestream_id: str
    session_id: str
    at_ms: int
    packed: str


Event: TypeAlias = (
    PublishRejected
    | SessionOpened
    | SessionPlayable
    | SessionInterrupted
    | SessionResumed
    | SessionProgress
    | SessionWarning
    | SessionHealth
    | SessionClosed
    | RecordingChanged
    | RecordingReady
    | RecordingFailed
    | SessionExperience
)

Listener: TypeAlias = Callable[[Event], None]
"""Called in the event loop; must not block and must not raise."""


@dataclass(frozen=True, slots=True)
class RoomOpened:
    """The first participant is in a meeting: a session of it begins."""

    meeting_id: str
    session_id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class ParticipantJoined:
    """A participant is in the room.

    Attributes:
        peer_id: Of this stay, unique: who leaves and comes back has another one.
        name: Empty where none was given.
        preset: Name of the participant's role.
    """

    meeting_id: str
    session_id: str
    at_ms: int
    peer_id: str
    participant_id: str
    custom_participant_id: str
    name: str
    picture: str | None
    preset: str


@dataclass(frozen=True, slots=True)
class ParticipantLeft:
    """A stay in the room has ended.

    Attributes:
        reason: `LEFT`, `KICKED`, `PARTICIPANT_DELETED`, `LOST` (not heard any more), `MEETING_ENDED`, `SHUTDOWN`.
    """

    meeting_id: str
    session_id: str
    at_ms: int
    peer_id: str
    participant_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoomClosed:
    """A session of a meeting has ended, after its keep-alive time; everybody has left before (`ParticipantLeft`).

    Attributes:
        reason: `ALL_PARTICIPANTS_LEFT`, `HOST_ENDED_MEETING` or `SHUTDOWN`.
    """

    meeting_id: str
    session_id: str
    at_ms: int
    reason: str


RoomEvent: TypeAlias = RoomOpened | ParticipantJoined | ParticipantLeft | RoomClosed
"""What happens in meetings, in order per meeting."""

RoomListener: TypeAlias = Callable[[RoomEvent], None]
"""Called in the event loop; must not block and must not raise."""


@dataclass(frozen=True, slots=True)
class LiveSnapshot:
    """An open session as it is right now; a question answered, not an event."""

    livestream_id: str
    session_id: str
    playable: bool
    publishing: bool
    ingest_seconds: float
    viewer_seconds: float
    viewers: int
    health: tuple[HealthSample, ...] = ()
    """The last samples, the newest at the end."""

    warnings: tuple[str, ...] = ()
    """Codes of what they gave reason to say when that was last looked at, some 10 s ago at most."""
